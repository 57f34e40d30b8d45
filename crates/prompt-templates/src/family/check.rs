//! Finds messages that a family does not support, and makes them fit.

use alloc::borrow::Cow;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

use crate::error::{Error, ErrorKind};
use crate::message::{Content, Message, Part, Role};
use crate::options::{Options, Strictness};
use crate::prompt::Prompt;

use super::{Spec, SystemRole};

/// Rejects messages that the format does not support.
pub(super) fn check(spec: &Spec, messages: &[Message<'_>], options: &Options) -> Result<(), Error> {
    if messages.is_empty() {
        return Err(no_message());
    }
    if !options.tools.is_empty() && !spec.tools {
        return Err(Error::new(
            ErrorKind::Tools,
            "the format has no place for tools",
        ));
    }
    let mut users_turn = true;
    for (index, message) in messages.iter().enumerate() {
        let is_call = !message.tool_calls.is_empty();
        let refused = match message.role {
            Role::System | Role::Developer => {
                let next_is_user = || {
                    messages
                        .get(index + 1)
                        .is_some_and(|m| m.role == Role::User)
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
            Role::User | Role::Assistant if is_call => (!spec.tools)
                .then_some((ErrorKind::Tools, "the format has no place for tool calls")),
            Role::User | Role::Assistant => {
                if spec.alternates && users_turn != (message.role == Role::User) {
                    return Err(Prompt::out_of_turn(index));
                }
                users_turn = !users_turn;
                None
            }
            Role::Function | Role::Tool => {
                let has_place = spec.tools && message.role == Role::Tool;
                (!has_place).then_some((
                    ErrorKind::Tools,
                    "the format has no place for a tool's answer",
                ))
            }
            Role::Other(_) => Some((
                ErrorKind::Role,
                "the format does not know the message's role",
            )),
        };
        let is_silent = matches!(message.content, Content::None) && !is_call;
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
        "the format has no place for a system message here",
    )
}

pub(super) fn no_message() -> Error {
    Error::new(ErrorKind::Empty, "there is no message")
}

/// The messages, made to fit as far as possible, with the index of each among the original ones.
pub(super) fn fold<'m>(spec: &Spec, messages: &'m [Message<'_>]) -> (Vec<Message<'m>>, Vec<usize>) {
    let mut folded: Vec<Message<'m>> = Vec::with_capacity(messages.len());
    let mut places = Vec::with_capacity(messages.len());
    // An unsupported system message, which goes into the next user message.
    let mut homeless: Option<Message<'m>> = None;
    for (index, message) in messages.iter().map(borrowed).enumerate() {
        let mut message = message;
        if matches!(message.role, Role::System | Role::Developer) {
            match (spec.system, &mut folded[..]) {
                (SystemRole::Anywhere, _) | (SystemRole::First | SystemRole::InUser, []) => {}
                (SystemRole::First | SystemRole::InUser, [only])
                    if matches!(only.role, Role::System | Role::Developer) =>
                {
                    append(only, message);
                    continue;
                }
                _ => {
                    message.role = Role::User;
                    match &mut homeless {
                        Some(before) => append(before, message),
                        None => homeless = Some(message),
                    }
                    continue;
                }
            }
        } else if message.role == Role::User
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
        && matches!(first.role, Role::System | Role::Developer)
        && rest.first().is_none_or(|next| next.role != Role::User)
    {
        first.role = Role::User;
    }
    (folded, places)
}

/// Adds a message; joins it to the last one if that has the same role and roles must alternate.
fn push<'m>(
    spec: &Spec,
    folded: &mut Vec<Message<'m>>,
    places: &mut Vec<usize>,
    message: Message<'m>,
    place: usize,
) {
    match folded.last_mut() {
        Some(last)
            if spec.alternates
                && last.role == message.role
                && matches!(last.role, Role::Assistant | Role::User)
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

fn append<'m>(to: &mut Message<'m>, message: Message<'m>) {
    let before = core::mem::take(&mut to.content);
    to.content = match (before, message.content) {
        (Content::None, content) | (content, Content::None) => content,
        (Content::Text(a), Content::Text(b)) => {
            let mut text = String::with_capacity(a.len() + b.len() + 2);
            text.extend([&*a, "\n\n", &*b]);
            Content::Text(text.into())
        }
        (a, b) => {
            let mut parts = parts(a);
            parts.push(Part::Text("\n\n".into()));
            parts.extend(self::parts(b));
            Content::Parts(parts)
        }
    };
}

fn parts(content: Content<'_>) -> Vec<Part<'_>> {
    match content {
        Content::None => Vec::new(),
        Content::Parts(parts) => parts,
        Content::Text(text) => vec![Part::Text(text)],
    }
}

/// A copy that borrows the text.
fn borrowed<'m>(message: &'m Message<'_>) -> Message<'m> {
    Message {
        content: match &message.content {
            Content::Text(text) => Content::Text(Cow::Borrowed(text)),
            other => other.clone(),
        },
        ..message.clone()
    }
}
