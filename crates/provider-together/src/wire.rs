use std::borrow::Cow;

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use llm_provider::openai::{Dialect, Translated};
use llm_provider::{Call, Error, ErrorKind, Json, Result};
use llm_types::{ChatRequest, Content, ContentPart, Field, Message, ParseError, RawObject, Role};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::config::NAME;
use crate::error;

/// OpenAI's dialect as Together speaks it.
#[derive(Debug)]
pub(crate) struct TogetherDialect;

impl Dialect for TogetherDialect {
    fn provider(&self) -> &'static str {
        NAME
    }

    fn chat_request(&self, call: &Call<ChatRequest>) -> Result<Translated<ChatRequest>> {
        let object = RawObject::parse(call.body.bytes()).map_err(invalid)?;
        let mut edit = object.edit();
        let mut changed = false;
        for (key, value) in renamed(&object)?.into_iter().chain(messages(&object)?) {
            changed = true;
            edit = match value {
                Some(value) => edit.set(key, &value),
                None => edit.remove(key),
            };
        }
        // Most requests need no change, and leave as the bytes that came.
        Ok(Translated::new(match changed {
            true => Json::from_bytes(edit.finish()),
            false => call.body.clone(),
        }))
    }

    fn error(&self, status: StatusCode, headers: &HeaderMap, body: Bytes) -> Error {
        error::read(status, headers, body)
    }
}

/// Top-level parameters that Together knows by another name or in another shape, as changes:
/// a value to set, or `None` to remove the key.
fn renamed(object: &RawObject<'_>) -> Result<Vec<(&'static str, Option<Value>)>> {
    let mut changes = Vec::new();
    // Not in Together's schema; its own `max_tokens` means the same.
    if let Some(limit) = object
        .read::<Value>("max_completion_tokens")
        .map_err(invalid)?
    {
        changes.push(("max_tokens", Some(limit)));
    }
    if object.contains_key("max_completion_tokens") {
        changes.push(("max_completion_tokens", None));
    }
    // `logprobs` is a number here: how many, not whether.
    let wanted = object.bool("logprobs");
    if wanted.is_some() || object.contains_key("top_logprobs") {
        let count = object.read::<Value>("top_logprobs").map_err(invalid)?;
        let count = (wanted == Some(true)).then(|| count.unwrap_or_else(|| json!(1)));
        if wanted.is_some() {
            changes.push(("logprobs", count));
        }
        changes.push(("top_logprobs", None));
    }
    // A list only.
    if let Some(stop) = object.str("stop") {
        changes.push(("stop", Some(json!([stop]))));
    }
    Ok(changes)
}

/// The messages, if any has to be rewritten: `developer` is unknown, and content in parts is for
/// users only.
fn messages(object: &RawObject<'_>) -> Result<Option<(&'static str, Option<Value>)>> {
    let Some(raw) = object.get("messages") else {
        return Ok(None);
    };
    // A look at each message, without copying what it says.
    let differs = serde_json::from_str::<Vec<MessageHead<'_>>>(raw)
        .is_ok_and(|heads| heads.iter().any(MessageHead::differs));
    if !differs {
        return Ok(None);
    }
    let mut messages: Vec<Message> = llm_types::parse(raw.as_bytes()).map_err(invalid)?;
    for (place, message) in messages.iter_mut().enumerate() {
        if message.role.as_str() == "developer" {
            message.role = Role::System;
        }
        if message.role != Role::User
            && let Field::Value(Content::Parts(_)) = &message.content
        {
            message.content = Field::Value(flat(place, message)?);
        }
    }
    let messages = serde_json::to_value(messages).map_err(|error| {
        Error::new(ErrorKind::InvalidRequest, "the messages cannot be written").with_source(error)
    })?;
    Ok(Some(("messages", Some(messages))))
}

/// What of a message tells whether it has to be rewritten.
#[derive(Deserialize)]
struct MessageHead<'a> {
    #[serde(borrow)]
    role: Cow<'a, str>,
    #[serde(borrow, default)]
    content: Option<&'a RawValue>,
}

impl MessageHead<'_> {
    fn differs(&self) -> bool {
        let parts = self
            .content
            .is_some_and(|content| content.get().starts_with('['));
        self.role == "developer" || (parts && self.role != "user")
    }
}

/// The text of a message that has only text.
fn flat(place: usize, message: &Message) -> Result<Content> {
    let Field::Value(Content::Parts(parts)) = &message.content else {
        return Ok(Content::Text(String::new()));
    };
    let texts: Option<Vec<&str>> = parts.iter().map(ContentPart::as_text).collect();
    match texts {
        Some(texts) => Ok(Content::Text(texts.concat())),
        None => Err(Error::new(
            ErrorKind::Unsupported,
            format!(
                "Together takes images and sound in user messages only, not in a {} message",
                message.role
            ),
        )
        .with_param(format!("messages[{place}].content"))),
    }
}

fn invalid(error: ParseError) -> Error {
    Error::new(ErrorKind::InvalidRequest, error.to_string()).with_source(error)
}
