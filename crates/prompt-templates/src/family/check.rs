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
        let refused = match message.role {
            PromptRole::System | PromptRole::Developer => {
                let next_is_user = || {
                    messages
                        .get(index + 1)
                        .is_some_and(|m| m.role == PromptRole::User)
                };
                let has_place = match spec.system {
                    SystemRole::Anywhere => true,
                    SystemRole::First => index == 0,
                    SystemRole::InUser => index == 0 && next_is_user(),
                    SystemRole::Nowhere => false,
                };
                if !has_place {
                    return Err(no_system().at_message(index));
                }
                None
            }
            PromptRole::User | PromptRole::Assistant if is_call => (!spec.tools)
                .then_some((ErrorKind::Tools, "the format does not support tool calls")),
            PromptRole::User | PromptRole::Assistant => {
                if spec.alternates && users_turn != (message.role == PromptRole::User) {
                    return Err(Prompt::out_of_turn(index));
                }
                users_turn = !users_turn;
                None
            }
            PromptRole::Function | PromptRole::Tool => {
                let has_place = spec.tools && message.role == PromptRole::Tool;
                (!has_place)
                    .then_some((ErrorKind::Tools, "the format does not support tool results"))
            }
            PromptRole::Other(_) => Some((
                ErrorKind::Role,
                "the format does not support the message's role",
            )),
        };
        let is_silent = matches!(message.content, PromptContent::None) && !is_call;
        let refused = refused.or_else(|| {
            (is_silent && options.strictness == Strictness::Strict)
                .then_some((ErrorKind::NoContent, "the message has no content"))
        });
        if let Some((kind, detail)) = refused {
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

/// The messages, made to fit as far as possible, with the index of each among the original ones.
pub(super) fn fold<'m>(
    spec: &Spec,
    messages: &'m [PromptMessage<'_>],
) -> (Vec<PromptMessage<'m>>, Vec<usize>) {
    let mut folded: Vec<PromptMessage<'m>> = Vec::with_capacity(messages.len());
    let mut places = Vec::with_capacity(messages.len());
    // An unsupported system message, which goes into the next user message.
    let mut homeless: Option<PromptMessage<'m>> = None;
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
                    match &mut homeless {
                        Some(before) => append(before, message),
                        None => homeless = Some(message),
                    }
                    continue;
                }
            }
        } else if message.role == PromptRole::User
            && let Some(mut before) = homeless.take()
        {
            append(&mut before, message);
            message = before;
        }
        push(spec, &mut folded, &mut places, message, index);
    }
    if let Some(message) = homeless {
        push(spec, &mut folded, &mut places, message, messages.len() - 1);
    }
    // A system message that no user message follows becomes a user message.
    if spec.system == SystemRole::InUser
        && let [first, rest @ ..] = &mut folded[..]
        && matches!(first.role, PromptRole::System | PromptRole::Developer)
        && rest
            .first()
            .is_none_or(|next| next.role != PromptRole::User)
    {
        first.role = PromptRole::User;
    }
    (folded, places)
}

/// Adds a message; joins it to the last one if that has the same role and roles must alternate.
fn push<'m>(
    spec: &Spec,
    folded: &mut Vec<PromptMessage<'m>>,
    places: &mut Vec<usize>,
    message: PromptMessage<'m>,
    place: usize,
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
            places.push(place);
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
    PromptMessage {
        content: match &message.content {
            PromptContent::Text(text) => PromptContent::Text(Cow::Borrowed(text)),
            other => other.clone(),
        },
        ..message.clone()
    }
}
