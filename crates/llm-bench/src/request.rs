//! Requests, prepared ahead of time so that sending them takes no other work.

use bytes::Bytes;
use serde_json::{Map, Value, json};

use crate::record::{JobPart, TokenSource, Turn};
use crate::text_api::{TextApi, TextRequest, merge};

/// A request that is ready to be sent.
#[derive(Clone, Debug)]
pub(crate) struct PreparedRequest {
    pub(crate) endpoint: Endpoint,
    pub(crate) body: Bytes,
    /// Our own count of the prompt's tokens, in case the server reports none.
    pub(crate) input: (u64, TokenSource),
    pub(crate) turn: Option<Turn>,
    /// The place of the model in the list of models.
    pub(crate) model: u32,
    /// The job that the request is a part of.
    pub(crate) job: Option<JobPart>,
}

impl PreparedRequest {
    /// A request that is no part of a conversation.
    pub(crate) fn new(endpoint: Endpoint, body: Bytes, input: (u64, TokenSource)) -> Self {
        Self {
            endpoint,
            body,
            input,
            turn: None,
            model: 0,
            job: None,
        }
    }

    /// What stays at one server: the job, the conversation or the request.
    pub(crate) fn affinity(&self, id: u64) -> u64 {
        let conversation = self.turn.map(|turn| turn.conversation);
        self.job.map(|part| part.job).or(conversation).unwrap_or(id)
    }
}

/// The endpoint; it decides the path and how the response is read.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Endpoint {
    Embeddings,
    Prediction,
    Rerank,
    /// Text whose response comes as a stream.
    TextStream(TextApi),
    /// Text whose response comes in one piece.
    TextWhole(TextApi),
}

/// The parts of requests besides their prompts; equal for all runs of an experiment.
#[derive(Clone, Debug)]
pub(crate) struct BodyBuilder {
    pub(crate) model: String,
    /// The place of `model` in the list of models.
    pub(crate) model_place: u32,
    /// Merged last into every body, as in genai-bench.
    pub(crate) additional: Map<String, Value>,
    /// The API for text.
    pub(crate) api: TextApi,
    /// Whether text is streamed.
    pub(crate) stream: bool,
}

impl BodyBuilder {
    /// A request for this model.
    pub(crate) fn request(
        &self,
        endpoint: Endpoint,
        body: Bytes,
        input: (u64, TokenSource),
    ) -> PreparedRequest {
        PreparedRequest {
            model: self.model_place,
            ..PreparedRequest::new(endpoint, body, input)
        }
    }

    /// The endpoint of [`Self::text`].
    pub(crate) fn text_endpoint(&self) -> Endpoint {
        match self.stream {
            true => Endpoint::TextStream(self.api),
            false => Endpoint::TextWhole(self.api),
        }
    }

    /// A request for text; if it is streamed, with usage. Without `max_tokens`, the model decides when
    /// to stop. `own` are the parameters of this request alone.
    pub(crate) fn text(
        &self,
        messages: &[Value],
        max_tokens: Option<u64>,
        own: &Map<String, Value>,
    ) -> Bytes {
        let request = TextRequest {
            messages,
            max_tokens,
            stream: self.stream,
        };
        let mut body = self.api.body(&self.model, request);
        merge(&mut body, own);
        self.finish(body)
    }

    pub(crate) fn embeddings(&self, documents: &[String]) -> Bytes {
        self.finish(json!({
            "model": self.model,
            "input": documents,
            "encoding_format": "float",
        }))
    }

    pub(crate) fn rerank(&self, query: &str, documents: &[String]) -> Bytes {
        self.finish(json!({"model": self.model, "query": query, "documents": documents}))
    }

    /// A prediction; additional parameters become inputs of the model.
    pub(crate) fn prediction(&self, prompt: &str, max_tokens: Option<u64>) -> Bytes {
        let mut input = Map::new();
        input.insert("prompt".to_owned(), prompt.into());
        if let Some(max_tokens) = max_tokens {
            input.insert("max_tokens".to_owned(), max_tokens.into());
        }
        input.extend(self.additional.clone());
        let mut body = json!({"input": input, "stream": true});
        if let ReplicateModel::Version(version) = ReplicateModel::parse(&self.model) {
            body["version"] = version.into();
        }
        to_bytes(&body)
    }

    fn finish(&self, mut body: Value) -> Bytes {
        merge(&mut body, &self.additional);
        to_bytes(&body)
    }
}

/// The forms of a model name on Replicate.
#[derive(Debug, Eq, PartialEq)]
pub(crate) enum ReplicateModel<'a> {
    /// `deployments/owner/name`.
    Deployment(&'a str),
    /// `owner/name`: official models only.
    Official(&'a str),
    /// `owner/name:version`, or a version alone.
    Version(&'a str),
}

impl<'a> ReplicateModel<'a> {
    pub(crate) fn parse(model: &'a str) -> Self {
        if let Some(deployment) = model.strip_prefix("deployments/") {
            Self::Deployment(deployment)
        } else if let Some((_, version)) = model.split_once(':') {
            Self::Version(version)
        } else if model.contains('/') {
            Self::Official(model)
        } else {
            Self::Version(model)
        }
    }

    /// Whether the name can be used in a path unchanged.
    pub(crate) fn is_valid(&self) -> bool {
        let plain = |part: &str| {
            let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
            !part.is_empty() && ![".", ".."].contains(&part) && part.bytes().all(plain)
        };
        match self {
            Self::Deployment(name) | Self::Official(name) => name
                .split_once('/')
                .is_some_and(|(owner, name)| plain(owner) && plain(name)),
            Self::Version(version) => plain(version),
        }
    }

    /// The path that creates its predictions.
    pub(crate) fn endpoint(&self) -> String {
        match self {
            Self::Deployment(name) => format!("/deployments/{name}/predictions"),
            Self::Official(name) => format!("/models/{name}/predictions"),
            Self::Version(_) => "/predictions".to_owned(),
        }
    }
}

fn to_bytes(body: &Value) -> Bytes {
    Bytes::from(body.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bodies(additional: &str) -> BodyBuilder {
        BodyBuilder {
            model: "m".to_owned(),
            model_place: 0,
            additional: serde_json::from_str(additional).unwrap(),
            api: TextApi::Chat,
            stream: true,
        }
    }

    fn parsed(bytes: &Bytes) -> Value {
        serde_json::from_slice(bytes).unwrap()
    }

    #[test]
    fn additional_parameters_win() {
        let body = bodies(r#"{"temperature":0.7,"ignore_eos":false,"top_k":5}"#);
        let body = parsed(&body.text(
            &[json!({"role": "user", "content": "x"})],
            Some(9),
            &Map::new(),
        ));
        assert_eq!(body["temperature"], 0.7);
        assert_eq!(body["ignore_eos"], false);
        assert_eq!(
            (&body["top_k"], &body["max_tokens"]),
            (&5.into(), &9.into())
        );
    }

    #[test]
    fn a_null_leaves_a_parameter_out() {
        let bodies = bodies(r#"{"ignore_eos":null,"top_k":null}"#);
        let body = parsed(&bodies.text(&[], Some(9), &Map::new()));
        assert_eq!((body.get("ignore_eos"), body.get("top_k")), (None, None));
        assert_eq!(body["max_tokens"], 9);
    }

    #[test]
    fn without_max_tokens_no_limit_is_sent() {
        let body = parsed(&bodies("{}").text(&[], None, &Map::new()));
        assert_eq!(body["ignore_eos"], false);
        assert_eq!(body.get("max_tokens"), None);
    }

    #[test]
    fn a_replicate_name_determines_the_path() {
        let check = |model: &str, endpoint: &str| {
            assert_eq!(ReplicateModel::parse(model).endpoint(), endpoint);
        };
        check("meta/llama", "/models/meta/llama/predictions");
        check("meta/llama:abc", "/predictions");
        check("0123abc", "/predictions");
        check("deployments/a/b", "/deployments/a/b/predictions");
        for name in ["meta/llama", "a/b:v1", "0123abc", "deployments/a/b.c"] {
            assert!(ReplicateModel::parse(name).is_valid(), "{name}");
        }
        for name in [
            "",
            "../account?x=/y",
            "a/b/c",
            "a/..",
            "deployments/../b",
            "a/b:",
            "a/b c",
            "a/b?x",
        ] {
            assert!(!ReplicateModel::parse(name).is_valid(), "{name}");
        }
        let mut body = bodies(r#"{"top_k":5}"#);
        body.model = "a/b:v1".to_owned();
        let body = parsed(&body.prediction("hi", Some(7)));
        let expected = json!({"prompt": "hi", "max_tokens": 7, "top_k": 5});
        assert_eq!(
            (&body["input"], &body["version"]),
            (&expected, &"v1".into())
        );
    }
}
