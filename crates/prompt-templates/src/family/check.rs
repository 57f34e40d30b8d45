//! Finds messages that a family does not support, and makes them fit.

use alloc::borrow::Cow;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

use crate::error::{Error, ErrorKind};
use crate::message::{PromptContent, PromptMessage, PromptPart, PromptRole};
use crate::options::{Options, Strictness};
use crate::prompt::Prompt;

use super::{Spec, SystemRole};

/// Rejects messages that the format does not support.
pub(super) fn check(
    spec: &Spec,
    messages: &[PromptMessage<'_>],
    options: &Options,
) -> Result<(), Error> {
    if messages.is_empty() {
        return Err(no_message());
    }
    if !options.tools.is_empty() && !spec.tools {
        return Err(Error::new(
            ErrorKind::Tools,
            "the format does not support tools",
        ));
    }
    let mut users_turn = true;
    for (index, message) in messages.iter().enumerate() {
        let is_call = !message.tool_calls.is_empty();
        let problem = match message.role {
            PromptRole::System | PromptRole::Developer => {
                let next_is_user = || {
                    messages
                        .get(index + 1)
                        .is_some_and(|m| m.role == PromptRole::User)
                };
                let is_supported = match spec.system {
                    SystemRole::Anywhere => true,
                    SystemRole::First => index == 0,
                    SystemRole::InUser => index == 0 && next_is_user(),
                    SystemRole::Nowhere => false,
                };
                if !is_supported {
                    return Err(no_system().at_message(index));
                }
                None
            }
            PromptRole::User | PromptRole::Assistant if is_call => (!spec.tools)
                .then_some((ErrorKind::Tools, "the format does not support tool calls")),
            PromptRole::User | PromptRole::Assistant => {
                if spec.alternates && users_turn != (message.role == PromptRole::User) {
                    return Err(Prompt::not_alternating(index));
                }
                users_turn = !users_turn;
                None
            }
            PromptRole::Function | PromptRole::Tool => {
                let is_supported = spec.tools && message.role == PromptRole::Tool;
                (!is_supported)
                    .then_some((ErrorKind::Tools, "the format does not support tool results"))
            }
            PromptRole::Other(_) => Some((
                ErrorKind::Role,
                "the format does not support the message's role",
            )),
        };
        let is_empty = matches!(message.content, PromptContent::None) && !is_call;
        let problem = problem.or_else(|| {
            (is_empty && options.strictness == Strictness::Strict)
                .then_some((ErrorKind::NoContent, "the message has no content"))
        });
        if let Some((kind, detail)) = problem {
            return Err(Error::new(kind, detail).at_message(index));
        }
    }
    Ok(())
}

pub(super) fn no_system() -> Error {
    Error::new(
        ErrorKind::System,
        "the format does not support a system message here",
    )
}

pub(super) fn no_message() -> Error {
    Error::new(ErrorKind::Empty, "there are no messages")
}

/// Makes the messages fit as far as possible. Returns them, and for each the index of the original
/// message.
pub(super) fn fold<'m>(
    spec: &Spec,
    messages: &'m [PromptMessage<'_>],
) -> (Vec<PromptMessage<'m>>, Vec<usize>) {
    let mut folded: Vec<PromptMessage<'m>> = Vec::with_capacity(messages.len());
    let mut origins = Vec::with_capacity(messages.len());
    // The text of unsupported system messages, to be written into the next user message.
    let mut pending: Option<PromptMessage<'m>> = None;
    for (index, message) in messages.iter().map(borrowed).enumerate() {
        let mut message = message;
        if matches!(message.role, PromptRole::System | PromptRole::Developer) {
            match (spec.system, &mut folded[..]) {
                (SystemRole::Anywhere, _) | (SystemRole::First | SystemRole::InUser, []) => {}
                (SystemRole::First | SystemRole::InUser, [only])
                    if matches!(only.role, PromptRole::System | PromptRole::Developer) =>
                {
                    append(only, message);
                    continue;
                }
                _ => {
                    message.role = PromptRole::User;
                    match &mut pending {
                        Some(before) => append(before, message),
                        None => pending = Some(message),
                    }
                    continue;
                }
            }
        } else if message.role == PromptRole::User
            && let Some(mut before) = pending.take()
        {
            append(&mut before, message);
            message = before;
        }
        push(spec, &mut folded, &mut origins, message, index);
    }
    if let Some(message) = pending {
        push(spec, &mut folded, &mut origins, message, messages.len() - 1);
    }
    // A system message becomes a user message if no user message follows it.
    if spec.system == SystemRole::InUser
        && let [first, rest @ ..] = &mut folded[..]
        && matches!(first.role, PromptRole::System | PromptRole::Developer)
        && rest
            .first()
            .is_none_or(|next| next.role != PromptRole::User)
    {
        first.role = PromptRole::User;
    }
    (folded, origins)
}

/// Adds a message; joins it to the last one if that has the same role and roles must alternate.
fn push<'m>(
    spec: &Spec,
    folded: &mut Vec<PromptMessage<'m>>,
    origins: &mut Vec<usize>,
    message: PromptMessage<'m>,
    origin: usize,
) {
    match folded.last_mut() {
        Some(last)
            if spec.alternates
                && last.role == message.role
                && matches!(last.role, PromptRole::Assistant | PromptRole::User)
                && last.tool_calls.is_empty()
                && message.tool_calls.is_empty() =>
        {
            append(last, message);
        }
        _ => {
            folded.push(message);
            origins.push(origin);
        }
    }
}

fn append<'m>(to: &mut PromptMessage<'m>, message: PromptMessage<'m>) {
    let before = core::mem::take(&mut to.content);
    to.content = match (before, message.content) {
        (PromptContent::None, content) | (content, PromptContent::None) => content,
        (PromptContent::Text(a), PromptContent::Text(b)) => {
            let mut text = String::with_capacity(a.len() + b.len() + 2);
            text.extend([&*a, "\n\n", &*b]);
            PromptContent::Text(text.into())
        }
        (a, b) => {
            let mut parts = parts(a);
            parts.push(PromptPart::Text("\n\n".into()));
            parts.extend(self::parts(b));
            PromptContent::Parts(parts)
        }
    };
}

fn parts(content: PromptContent<'_>) -> Vec<PromptPart<'_>> {
    match content {
        PromptContent::None => Vec::new(),
        PromptContent::Parts(parts) => parts,
        PromptContent::Text(text) => vec![PromptPart::Text(text)],
    }
}

/// A copy that borrows the text.
fn borrowed<'m>(message: &'m PromptMessage<'_>) -> PromptMessage<'m> {
    let borrow = |text: &'m Option<Cow<'_, str>>| text.as_deref().map(Cow::Borrowed);
    PromptMessage {
        role: message.role,
        content: match &message.content {
            PromptContent::Text(text) => PromptContent::Text(Cow::Borrowed(text)),
            other => other.clone(),
        },
        tool_calls: message.tool_calls.clone(),
        tool_call_id: borrow(&message.tool_call_id),
        name: borrow(&message.name),
        reasoning: borrow(&message.reasoning),
    }
}
