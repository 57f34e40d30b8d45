//! The parts of a family.

use crate::control::Control;
use crate::error::Error;
use crate::prompt::Prompt;

/// The positions at which a family's format supports a system message.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum SystemRole {
    /// Anywhere, as a separate turn.
    Anywhere,
    /// At the beginning, as a separate turn.
    First,
    /// At the beginning, written into the user turn that must follow.
    InUser,
    /// Nowhere. It is rejected, or written into the next user message with
    /// [`Strictness::Fold`](crate::Strictness::Fold).
    Nowhere,
}

/// The definition of a family.
#[derive(Clone, Copy)]
pub(crate) struct Spec {
    pub(crate) name: &'static str,
    /// Where the format is documented.
    pub(crate) source: &'static str,
    /// The token that starts a prompt; empty if there is none.
    pub(crate) bos: &'static str,
    /// The token that ends the assistant's turn; empty if there is none.
    pub(crate) eos: &'static str,
    pub(crate) stop: &'static [&'static str],
    pub(crate) control: Control<'static>,
    pub(crate) system: SystemRole,
    pub(crate) default_system: Option<&'static str>,
    /// Whether user and assistant must alternate.
    pub(crate) alternates: bool,
    /// Whether it supports tools, tool calls and tool results.
    pub(crate) tools: bool,
    /// Whether the official template accesses the first message without checking that it exists.
    pub(crate) needs_message: bool,
    pub(crate) text: Text,
    /// Writes a conversation.
    pub(crate) write: fn(&mut Prompt<'_>) -> Result<(), Error>,
}

/// How the official template converts a message's content.
#[derive(Clone, Copy, Eq, PartialEq)]
pub(crate) enum Text {
    /// Unchanged: `+ content`.
    Verbatim,
    /// Trimmed; anything but a string is an error: `content.strip()`.
    Trimmed,
    /// Converted to a string, then trimmed: `content | trim`.
    Stringified,
}

impl Spec {
    /// Plain text, the base of the other formats.
    pub(super) const PLAIN: Self = Self {
        name: "plain",
        source: "text completion: base models have no format",
        bos: "",
        eos: "",
        stop: &[],
        control: Control::new(&[]),
        system: SystemRole::Anywhere,
        default_system: None,
        alternates: false,
        tools: false,
        needs_message: false,
        text: Text::Verbatim,
        write: |prompt| {
            prompt.bos();
            for index in 0..prompt.messages.len() {
                if index > 0 {
                    prompt.push("\n\n");
                }
                prompt.content(index)?;
            }
            Ok(())
        },
    };
}
