//! What is recorded of each provider.

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use super::http::Request;

/// A provider whose upstream can be recorded.
pub(super) struct Provider {
    pub(super) name: &'static str,
    /// Without the version in the path.
    pub(super) base: &'static str,
    /// The variables with the key; the first that is set is used.
    pub(super) keys: &'static [&'static str],
    /// Kinds of models, each with the default model.
    pub(super) models: &'static [(&'static str, &'static str)],
    exchanges: fn(&Models<'_>) -> Vec<Exchange>,
}

impl Provider {
    /// The exchanges, with the models that the user chose.
    pub(super) fn exchanges(&self, chosen: &[(String, String)]) -> Vec<Exchange> {
        let default = self.models;
        (self.exchanges)(&Models { chosen, default })
    }
}

/// The models of a provider by kind.
struct Models<'a> {
    chosen: &'a [(String, String)],
    default: &'a [(&'a str, &'a str)],
}

impl Models<'_> {
    fn of(&self, kind: &str) -> String {
        let chosen = self.chosen.iter().rev().find(|(of, _)| of == kind);
        let default = self.default.iter().find(|(of, _)| *of == kind);
        let chosen = chosen.map(|(_, model)| model.as_str());
        let model = chosen.or_else(|| default.map(|(_, model)| *model));
        model.unwrap_or_default().to_owned()
    }
}

pub(super) const PROVIDERS: &[Provider] = &[
    Provider {
        name: "together",
        base: "https://api.together.ai",
        keys: &[
            "TOGETHERAI_API_KEY",
            "TOGETHER_API_KEY",
            "TOGETHER_AI_API_KEY",
            "TOGETHER_AI_TOKEN",
        ],
        models: &[
            ("chat", "openai/gpt-oss-20b"),
            ("completion", "meta-llama/Llama-3.3-70B-Instruct-Turbo"),
            ("embedding", "BAAI/bge-base-en-v1.5"),
            ("rerank", "Salesforce/Llama-Rank-V1"),
        ],
        exchanges: together,
    },
    Provider {
        name: "replicate",
        base: "https://api.replicate.com",
        keys: &["REPLICATE_API_TOKEN", "REPLICATE_API_KEY"],
        models: &[("prediction", "meta/meta-llama-3-8b-instruct")],
        exchanges: replicate,
    },
];

/// One request, and what is stored of its answer.
pub(super) struct Exchange {
    /// The name of the file.
    pub(super) name: &'static str,
    pub(super) method: &'static str,
    target: Target,
    headers: &'static [&'static str],
    pub(super) body: Option<Value>,
    auth: Auth,
    /// The answer has the names of the account, which no file may contain.
    pub(super) names_account: bool,
    /// The answer is not stored.
    pub(super) is_private: bool,
    /// Of a list, only the items with these ids are stored.
    only: Vec<String>,
}

enum Target {
    Path(String),
    /// An address in the answer to an earlier exchange.
    Link {
        of: &'static str,
        pointer: &'static str,
    },
}

enum Auth {
    Key,
    Wrong,
}

impl Exchange {
    fn get(name: &'static str, path: impl Into<String>) -> Self {
        Self {
            name,
            method: "GET",
            target: Target::Path(path.into()),
            headers: &[],
            body: None,
            auth: Auth::Key,
            names_account: false,
            is_private: false,
            only: Vec::new(),
        }
    }

    fn post(name: &'static str, path: impl Into<String>, body: Value) -> Self {
        Self {
            method: "POST",
            body: Some(body),
            ..Self::get(name, path)
        }
    }

    fn follow(name: &'static str, of: &'static str, pointer: &'static str) -> Self {
        Self {
            target: Target::Link { of, pointer },
            ..Self::get(name, "")
        }
    }

    fn with_headers(self, headers: &'static [&'static str]) -> Self {
        Self { headers, ..self }
    }

    fn with_wrong_key(self) -> Self {
        Self {
            auth: Auth::Wrong,
            ..self
        }
    }

    /// Removes the items of a list that were not asked for, such as private models of the account, and
    /// the end of long lists.
    pub(super) fn shorten(&self, body: &mut Value) {
        if let Value::Array(items) = body
            && !self.only.is_empty()
        {
            items.retain(|item| self.only.iter().any(|id| item["id"] == **id));
        }
        shorten(body);
    }

    /// The request to send. `linked` finds an address in an earlier answer.
    pub(super) fn request(
        &self,
        base: &str,
        key: &str,
        linked: impl Fn(&str, &str) -> Option<String>,
    ) -> Result<Request> {
        let url = match &self.target {
            Target::Path(path) => format!("{base}{path}"),
            Target::Link { of, pointer } => linked(of, pointer)
                .with_context(|| format!("the answer to {of} has no address at {pointer}"))?,
        };
        let is_local = url.starts_with("http://127.0.0.1:");
        if !is_local && !url.starts_with("https://") {
            bail!("an address is not encrypted: it does not start with https://");
        }
        let mut headers: Vec<String> = self.headers.iter().map(ToString::to_string).collect();
        // An address on another host carries its own permission, and must not get the key.
        if url.starts_with(&format!("{base}/")) {
            let key = match self.auth {
                Auth::Key => key,
                Auth::Wrong => "invalid",
            };
            headers.push(format!("Authorization: Bearer {key}"));
        }
        if self.body.is_some() {
            headers.push("Content-Type: application/json".to_owned());
        }
        Ok(Request {
            method: self.method,
            url,
            headers,
            body: self.body.as_ref().map(ToString::to_string),
        })
    }
}

fn shorten(value: &mut Value) {
    match value {
        Value::Array(items) => {
            items.truncate(LONGEST_LIST);
            items.iter_mut().for_each(shorten);
        }
        Value::Object(members) => members.values_mut().for_each(shorten),
        _ => {}
    }
}

fn together(models: &Models<'_>) -> Vec<Exchange> {
    let (chat, chats) = (models.of("chat"), "/v1/chat/completions");
    let messages = json!([{"role": "user", "content": "Say hello in one word."}]);
    let short = |more: Value| {
        let mut body = json!({"model": chat, "messages": messages, "max_tokens": 64});
        if let (Some(body), Some(more)) = (body.as_object_mut(), more.as_object()) {
            body.extend(more.clone());
        }
        body
    };
    let tools = json!({
        "messages": [{"role": "user", "content": "What is the weather in Paris? Use get_weather."}],
        "max_tokens": 256,
        "tools": [{"type": "function", "function": {
            "name": "get_weather",
            "parameters": {
                "type": "object",
                "properties": {"city": {"type": "string"}},
                "required": ["city"],
            },
        }}],
    });
    let mut streamed_tools = tools.clone();
    streamed_tools["stream"] = json!(true);
    let prompt = json!({
        "model": models.of("completion"), "prompt": "The sky is", "max_tokens": 8,
    });
    let mut streamed_prompt = prompt.clone();
    streamed_prompt["stream"] = json!(true);
    let rerank = json!({
        "model": models.of("rerank"),
        "query": "What is the capital of the United States?",
        "documents": ["Carson City is the capital of Nevada.", "Washington, D.C. is the capital."],
        "top_n": 1,
    });
    vec![
        Exchange::post("chat", chats, short(json!({}))),
        Exchange::post("chat-stream", chats, short(json!({"stream": true}))),
        Exchange::post("chat-tools", chats, short(tools)),
        Exchange::post("chat-tools-stream", chats, short(streamed_tools)),
        Exchange::post("completion", "/v1/completions", prompt),
        Exchange::post("completion-stream", "/v1/completions", streamed_prompt),
        Exchange::post(
            "embedding",
            "/v1/embeddings",
            json!({"model": models.of("embedding"), "input": ["good morning"]}),
        ),
        Exchange::post("rerank", "/v1/rerank", rerank),
        Exchange {
            only: vec![chat.clone(), models.of("completion")],
            ..Exchange::get("models", "/v1/models")
        },
        Exchange::post("wrong-key", chats, short(json!({}))).with_wrong_key(),
        Exchange::post(
            "unknown-model",
            chats,
            short(json!({"model": "polyllm/no-such-model"})),
        ),
        Exchange::post("no-messages", chats, json!({"model": chat})),
    ]
}

fn replicate(models: &Models<'_>) -> Vec<Exchange> {
    let model = models.of("prediction");
    let predictions = format!("/v1/models/{model}/predictions");
    let input = json!({"prompt": "Say hello in one word.", "max_tokens": 16});
    let account = Exchange {
        names_account: true,
        is_private: true,
        ..Exchange::get("account", "/v1/account")
    };
    vec![
        account,
        Exchange::post("prediction", predictions.clone(), json!({"input": input}))
            .with_headers(&["Prefer: wait"]),
        Exchange::follow("prediction-done", "prediction", "/urls/get"),
        Exchange::post(
            "prediction-stream",
            predictions.clone(),
            json!({"input": input, "stream": true}),
        ),
        Exchange::follow("stream", "prediction-stream", "/urls/stream")
            .with_headers(&["Accept: text/event-stream", "Cache-Control: no-store"]),
        Exchange::follow("stream-done", "prediction-stream", "/urls/get"),
        Exchange::post(
            "prediction-canceled",
            predictions.clone(),
            json!({"input": input}),
        ),
        Exchange {
            method: "POST",
            ..Exchange::follow("cancel", "prediction-canceled", "/urls/cancel")
        },
        Exchange::get("model", format!("/v1/models/{model}")),
        Exchange::get("hardware", "/v1/hardware"),
        Exchange::post("wrong-key", predictions.clone(), json!({"input": input})).with_wrong_key(),
        Exchange::post(
            "unknown-model",
            "/v1/models/polyllm/no-such-model/predictions",
            json!({"input": input}),
        ),
        Exchange::post(
            "unknown-version",
            "/v1/predictions",
            json!({"version": "0".repeat(64), "input": input}),
        ),
        Exchange::post("no-input", predictions, json!({})),
        Exchange::get("unknown-prediction", "/v1/predictions/polyllm-no-such"),
    ]
}

/// Longer lists, such as vectors, are cut.
const LONGEST_LIST: usize = 4;
