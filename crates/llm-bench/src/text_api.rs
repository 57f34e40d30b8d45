//! The APIs that write text: their paths, and the bodies of their requests.

use std::fmt;
use std::str::FromStr;

use serde_json::{Map, Value, json};

use crate::error::Error;

/// The API of a server through which text is requested.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub enum TextApi {
    /// OpenAI's chat: `/v1/chat/completions`.
    #[default]
    Chat,
    /// OpenAI's completions of a prompt: `/v1/completions`. The messages of a conversation become one
    /// prompt, with an empty line between them.
    Completions,
    /// Anthropic's Messages: `/v1/messages`.
    Messages,
    /// OpenAI's Responses: `/v1/responses`.
    Responses,
}

/// What a request for text says, besides its model.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TextRequest<'a> {
    /// Messages in OpenAI's form.
    pub(crate) messages: &'a [Value],
    /// Without it, the model decides when to stop.
    pub(crate) max_tokens: Option<u64>,
    pub(crate) stream: bool,
}

impl TextApi {
    /// All APIs.
    pub const ALL: [Self; 4] = [
        Self::Chat,
        Self::Completions,
        Self::Messages,
        Self::Responses,
    ];

    /// The name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Chat => "chat",
            Self::Completions => "completions",
            Self::Messages => "messages",
            Self::Responses => "responses",
        }
    }

    /// The path after the version.
    pub(crate) fn path(self) -> &'static str {
        match self {
            Self::Chat => "/chat/completions",
            Self::Completions => "/completions",
            Self::Messages => "/messages",
            Self::Responses => "/responses",
        }
    }

    /// The body of a request.
    pub(crate) fn body(self, model: &str, request: TextRequest<'_>) -> Value {
        match self {
            Self::Chat => openai(model, request, "messages", json!(request.messages)),
            Self::Completions => openai(model, request, "prompt", prompt(request.messages).into()),
            Self::Messages => messages(model, request),
            Self::Responses => responses(model, request),
        }
    }
}

/// Chats and completions. `ignore_eos` keeps the lengths of vLLM's and SGLang's outputs exact.
fn openai(model: &str, request: TextRequest<'_>, input: &str, value: Value) -> Value {
    let mut body = json!({
        "model": model,
        "temperature": 0.0,
        "ignore_eos": request.max_tokens.is_some(),
        "stream": request.stream,
    });
    body[input] = value;
    if request.stream {
        body["stream_options"] = json!({"include_usage": true});
    }
    if let Some(max_tokens) = request.max_tokens {
        body["max_tokens"] = max_tokens.into();
    }
    body
}

fn messages(model: &str, request: TextRequest<'_>) -> Value {
    let (system, others): (Vec<&Value>, Vec<&Value>) = request
        .messages
        .iter()
        .partition(|message| message["role"] == "system");
    let mut body = json!({
        "model": model,
        "messages": others,
        "max_tokens": request.max_tokens.unwrap_or(DEFAULT_MAX_TOKENS),
        "temperature": 0.0,
        "stream": request.stream,
    });
    let system: Vec<String> = system.into_iter().map(text_of).collect();
    if !system.is_empty() {
        body["system"] = system.join("\n\n").into();
    }
    body
}

fn responses(model: &str, request: TextRequest<'_>) -> Value {
    let mut body = json!({
        "model": model,
        "input": request.messages,
        "temperature": 0.0,
        "store": false,
        "stream": request.stream,
    });
    if let Some(max_tokens) = request.max_tokens {
        body["max_output_tokens"] = max_tokens.into();
    }
    body
}

fn prompt(messages: &[Value]) -> String {
    let texts: Vec<String> = messages.iter().map(text_of).collect();
    texts.join("\n\n")
}

/// The text of a message: its content, or the text parts of it.
pub(crate) fn text_of(message: &Value) -> String {
    match &message["content"] {
        Value::String(text) => text.clone(),
        Value::Array(parts) => {
            let texts = parts.iter().filter_map(|part| part["text"].as_str());
            texts.collect::<Vec<_>>().join("\n")
        }
        _ => String::new(),
    }
}

/// Merges parameters into a body; they win. A null removes a member.
pub(crate) fn merge(body: &mut Value, parameters: &Map<String, Value>) {
    if let Value::Object(fields) = body {
        fields.extend(parameters.clone());
        fields.retain(|name, _| parameters.get(name) != Some(&Value::Null));
    }
}

impl fmt::Display for TextApi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for TextApi {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let found = Self::ALL.into_iter().find(|api| api.name() == text);
        found.ok_or_else(|| {
            let reason = "expected chat, completions, messages or responses";
            Error::usage("--endpoint-type", text, reason)
        })
    }
}

/// Anthropic's API requires a limit.
const DEFAULT_MAX_TOKENS: u64 = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    fn body(api: TextApi, max_tokens: Option<u64>) -> Value {
        let messages = [
            json!({"role": "system", "content": "be brief"}),
            json!({"role": "user", "content": [{"type": "text", "text": "hi"}]}),
        ];
        let request = TextRequest {
            messages: &messages,
            max_tokens,
            stream: true,
        };
        api.body("m", request)
    }

    #[test]
    fn each_api_has_its_own_names() {
        let chat = body(TextApi::Chat, Some(9));
        assert_eq!(chat["messages"][0]["content"], "be brief");
        assert_eq!(
            (&chat["max_tokens"], &chat["ignore_eos"]),
            (&9.into(), &true.into())
        );
        let completion = body(TextApi::Completions, Some(9));
        assert_eq!(completion["prompt"], "be brief\n\nhi");
        assert_eq!(completion["stream_options"]["include_usage"], true);
        let messages = body(TextApi::Messages, None);
        assert_eq!(messages["system"], "be brief");
        assert_eq!(messages["messages"].as_array().map(Vec::len), Some(1));
        assert_eq!(messages["max_tokens"], DEFAULT_MAX_TOKENS);
        let responses = body(TextApi::Responses, Some(9));
        assert_eq!(responses["max_output_tokens"], 9);
        assert_eq!(responses["input"].as_array().map(Vec::len), Some(2));
        assert_eq!(responses.get("ignore_eos"), None);
    }

    #[test]
    fn names_round_trip() {
        for api in TextApi::ALL {
            assert_eq!(api.to_string().parse::<TextApi>().unwrap(), api);
        }
        let error = "chats".parse::<TextApi>().unwrap_err().to_string();
        assert!(error.contains("messages or responses"), "{error}");
    }
}
