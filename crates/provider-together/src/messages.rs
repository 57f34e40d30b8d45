//! Messages as Together takes them.

use llm_provider::openai::Translation;
use llm_provider::{Error, ErrorKind, Result};
use llm_types::{ChatRequest, Content, ContentPart, Field, Message, RawObject, RawObjects, Role};

use crate::wire::unreadable;

/// Rewrites the messages, if any has to be: `developer` is unknown, and content in parts is for
/// users only.
pub(crate) fn translate(request: &mut Translation<'_, ChatRequest>) -> Result<()> {
    let Some(raw) = request.get("messages") else {
        return Ok(());
    };
    // A look at each message, without copying what it says.
    let mut items = RawObjects::of(&raw).into_iter().flatten();
    if !items.any(|message| message.is_ok_and(differs)) {
        return Ok(());
    }
    let mut messages: Vec<Message> =
        llm_types::parse(raw.as_bytes()).map_err(|error| unreadable("messages", error))?;
    for (place, message) in messages.iter_mut().enumerate() {
        if message.role.as_str() == "developer" {
            message.role = Role::System;
        }
        if message.role != Role::User
            && let Field::Value(Content::Parts(parts)) = &message.content
        {
            message.content = Field::Value(flat(place, &message.role, parts)?);
        }
    }
    let messages = serde_json::to_value(messages).map_err(|error| unreadable("messages", error))?;
    request.set("messages", messages);
    Ok(())
}

fn differs(message: RawObject<'_>) -> bool {
    let role = message.str("role").unwrap_or_default();
    let content = message.bytes("content");
    let parts = content.is_some_and(|content| content.starts_with(b"["));
    role == "developer" || (parts && role != "user")
}

/// The text of a message that has only text.
fn flat(place: usize, role: &Role, parts: &[ContentPart]) -> Result<Content> {
    let texts: Option<Vec<&str>> = parts.iter().map(ContentPart::as_text).collect();
    texts
        .map(|texts| Content::Text(texts.concat()))
        .ok_or_else(|| {
            let message = format!(
                "Together takes images and sound in user messages only, not in a {role} message"
            );
            let param = format!("messages[{place}].content");
            Error::new(ErrorKind::Unsupported, message).with_param(param)
        })
}
