//! Acme's schema, and its conversion to and from OpenAI's.

use bytes::Bytes;
use llm_provider::{Call, Document, Error, ErrorKind, Record, Result};
use llm_types::{ChatRequest, Content, ContentPart, Message, Model, ModelList, Role};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::config::NAME;

/// The body of a request. Parameters that Acme does not support are rejected, or dropped from the
/// call.
pub(crate) fn request(call: &mut Call, stream: bool, safe_mode: bool) -> Result<Bytes> {
    let request: ChatRequest = call.read()?;
    let safe_mode = call.param("safe_mode")?.unwrap_or(safe_mode);
    for key in call.body.keys() {
        if !CONVERTED.contains(&&*key) {
            call.refuse(&key)?;
        }
    }
    let conversation: Result<Vec<Value>> = request.messages.iter().map(turn).collect();
    let mut body = json!({
        "model": request.model,
        "conversation": conversation?,
        "stream": stream,
        "safe_mode": safe_mode,
    });
    if let Some(limit) = request.max_completion_tokens.or(request.max_tokens) {
        body["max_tokens"] = limit.into();
    }
    if let Some(temperature) = request.temperature {
        body["temperature"] = json!(temperature);
    }
    if let Some(stop) = &request.stop {
        body["stop_sequences"] = json!(stop.as_slice());
    }
    Ok(Bytes::from(body.to_string()))
}

/// A reply in one piece, in OpenAI's schema.
pub(crate) fn reply(body: &[u8]) -> Result<Document> {
    let reply: Generated = read(body)?;
    let message = json!({ "role": "assistant", "content": reply.output });
    let reason = finish_reason(&reply.finish);
    let choice = json!({ "index": 0, "message": message, "finish_reason": reason });
    Ok(Document::new(&json!({
        "id": reply.id,
        "object": "chat.completion",
        "model": reply.model,
        "choices": [choice],
        "usage": usage(&reply.usage),
    })))
}

/// A line of a stream, as a chunk in OpenAI's schema.
pub(crate) fn record(line: &Bytes, model: &str) -> Result<Record> {
    match read(line)? {
        Line::Delta { id, delta } => {
            let choice = json!({ "index": 0, "delta": { "content": delta } });
            Ok(Record::Chunk(chunk(&id, model, choice, Value::Null)))
        }
        Line::Ended { id, finish, counts } => {
            let reason = finish_reason(&finish);
            let choice = json!({ "index": 0, "delta": {}, "finish_reason": reason });
            Ok(Record::Last(chunk(&id, model, choice, usage(&counts))))
        }
        Line::Failed { error } => {
            let failed = Error::new(ErrorKind::UpstreamFailed, error.reason);
            Err(failed.with_code(error.code).with_body(line.clone()))
        }
    }
}

fn chunk(id: &str, model: &str, choice: Value, usage: Value) -> Bytes {
    let chunk = json!({
        "id": id,
        "object": "chat.completion.chunk",
        "model": model,
        "choices": [choice],
        "usage": usage,
    });
    Bytes::from(chunk.to_string())
}

/// The list of models.
pub(crate) fn models(body: &[u8]) -> Result<ModelList> {
    let Models { models } = read(body)?;
    let models = models.into_iter().map(|id| Model::new(id, 0_u64, NAME));
    Ok(ModelList::new(models.collect()))
}

#[derive(Deserialize)]
struct Generated {
    id: String,
    model: String,
    output: String,
    finish: String,
    usage: Counts,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Line {
    Delta {
        id: String,
        delta: String,
    },
    Ended {
        id: String,
        finish: String,
        #[serde(rename = "usage")]
        counts: Counts,
    },
    Failed {
        error: Failure,
    },
}

#[derive(Deserialize)]
struct Counts {
    input: u64,
    output: u64,
}

#[derive(Deserialize)]
struct Models {
    models: Vec<String>,
}

/// An error, also in the body of a response.
#[derive(Deserialize)]
pub(crate) struct Failure {
    pub(crate) code: Option<String>,
    pub(crate) reason: String,
}

fn turn(message: &Message) -> Result<Value> {
    let role = match message.role {
        Role::System | Role::Developer => "system",
        Role::User => "user",
        Role::Assistant if !message.tool_calls.is_value() => "assistant",
        _ => return Err(unsupported("Acme does not support tools")),
    };
    if let Some(Content::Parts(parts)) = message.content.value()
        && parts.iter().any(|part| !matches!(part, ContentPart::Text(_)))
    {
        return Err(unsupported("Acme supports only text in messages"));
    }
    let text = message.text().unwrap_or_default();
    Ok(json!({ "role": role, "text": text }))
}

fn unsupported(message: &'static str) -> Error {
    Error::new(ErrorKind::Unsupported, message).with_param("messages".to_owned())
}

fn finish_reason(finish: &str) -> &str {
    match finish {
        "complete" => "stop",
        "limit" => "length",
        other => other,
    }
}

fn usage(counts: &Counts) -> Value {
    json!({
        "prompt_tokens": counts.input,
        "completion_tokens": counts.output,
        "total_tokens": counts.input.saturating_add(counts.output),
    })
}

fn read<T: DeserializeOwned>(json: &[u8]) -> Result<T> {
    serde_json::from_slice(json).map_err(|error| {
        let message = "the response cannot be read";
        Error::new(ErrorKind::UnexpectedBody, message).with_source(error)
    })
}

/// The members of a chat request that are converted.
const CONVERTED: &[&str] = &[
    "max_completion_tokens",
    "max_tokens",
    "messages",
    "model",
    "safe_mode",
    "stop",
    "stream",
    "stream_options",
    "temperature",
];
