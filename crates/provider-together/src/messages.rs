//! Converts messages to Together's schema.

use llm_provider::text::excerpt;
use llm_provider::{Call, Error, ErrorKind, Result};
use llm_types::{Content, ContentPart, Field, Message, RawObject, Role};

/// Rewrites the messages where Together's schema differs: `developer` is unknown, and only users
/// may send content in parts.
pub(crate) fn rewrite(call: &mut Call) -> Result<()> {
    // Checks each message without copying its text.
    let mut items = call.body.objects("messages").into_iter().flatten();
    if !items.any(|message| message.is_ok_and(differs)) {
        return Ok(());
    }
    let mut messages: Vec<Message> = call.param("messages")?.unwrap_or_default();
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
    call.body.set("messages", messages);
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
    let texts: Option<Vec<&str>> = parts
        .iter()
        .map(|part| match part {
            ContentPart::Refusal(part) => Some(part.refusal.as_str()),
            part => part.as_text(),
        })
        .collect();
    texts
        .map(|texts| Content::Text(texts.concat()))
        .ok_or_else(|| {
            let role = excerpt(role.as_str());
            let message = format!(
                "Together takes images and sound in user messages only, not in those of the role {role}"
            );
            let param = format!("messages[{place}].content");
            Error::new(ErrorKind::Unsupported, message).with_param(param)
        })
}
