//! What a family is made of.

use crate::control::Control;
use crate::error::Error;
use crate::prompt::Prompt;

/// Where a system message may stand in a family's format.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum SystemRole {
    /// Anywhere, as a turn of its own.
    Anywhere,
    /// At the beginning, as a turn of its own.
    First,
    /// At the beginning, written into the user's turn that must follow.
    InUser,
    /// Nowhere: it is refused, or folded into the user's turn
    /// ([`Strictness::Fold`](crate::Strictness::Fold)).
    Nowhere,
}

/// All that there is to know of a family.
#[derive(Clone, Copy)]
pub(crate) struct Spec {
    pub(crate) name: &'static str,
    pub(crate) source: &'static str,
    pub(crate) bos: &'static str,
    pub(crate) eos: &'static str,
    pub(crate) stop: &'static [&'static str],
    pub(crate) control: Control<'static>,
    pub(crate) system: SystemRole,
    pub(crate) default_system: Option<&'static str>,
    pub(crate) alternates: bool,
    pub(crate) tools: bool,
    /// Whether the official template looks at the first message without asking if there is one.
    pub(crate) needs_message: bool,
    pub(crate) text: Text,
    /// Writes a conversation.
    pub(crate) write: fn(&mut Prompt<'_>) -> Result<(), Error>,
}

/// How the official template takes a message's content.
#[derive(Clone, Copy, Eq, PartialEq)]
pub(crate) enum Text {
    /// As it is: `+ content`.
    Verbatim,
    /// Trimmed, and anything but a string is an error: `content.strip()`.
    Trimmed,
    /// Trimmed, after it was made a string, whatever it was: `content | trim`.
    Stringified,
}

impl Spec {
    /// No format: what the others are built on.
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
