//! The built-in families, and what each one's format is made of.

mod chatml;
mod instruct;
mod llama;
mod mistral;

use alloc::string::String;
use core::fmt;
use core::hash::{Hash, Hasher};

use crate::error::{Error, ErrorKind};
use crate::message::{Content, Message, Role};
use crate::options::{Options, Strictness};
use crate::prompt::{ALTERNATION, Prompt};

/// A prompt format that a line of models was trained on.
///
/// ```
/// use prompt_templates::Family;
///
/// let family = Family::from_name("llama-3").ok_or("no such family")?;
/// assert_eq!(family, Family::LLAMA_3);
/// assert_eq!(family.stop(), ["<|eot_id|>", "<|end_of_text|>"]);
/// # Ok::<(), &str>(())
/// ```
#[derive(Clone, Copy)]
pub struct Family(&'static Spec);

impl Family {
    /// Stanford Alpaca: `### Instruction:` and `### Response:`.
    pub const ALPACA: Self = Self(&instruct::ALPACA);
    /// ChatML: `<|im_start|>user`, any role anywhere.
    pub const CHATML: Self = Self(&chatml::CHATML);
    /// Llama 2 chat: `[INST] <<SYS>>`.
    pub const LLAMA_2: Self = Self(&llama::LLAMA_2);
    /// Llama 3 instruct: `<|start_header_id|>user<|end_header_id|>`.
    pub const LLAMA_3: Self = Self(&llama::LLAMA_3);
    /// Mistral instruct v0.1 and v0.2: `[INST]` without a system role.
    pub const MISTRAL_V1: Self = Self(&mistral::MISTRAL_V1);
    /// No format at all: the messages' text, joined by an empty line. For base models, and the
    /// fallback that a caller may choose for a model that is not known.
    pub const PLAIN: Self = Self(&instruct::PLAIN);
    /// Vicuna 1.1: `USER:` and `ASSISTANT:`.
    pub const VICUNA: Self = Self(&instruct::VICUNA);

    /// Every family, in the order of their names.
    pub const ALL: &'static [Self] = &[
        Self::ALPACA,
        Self::CHATML,
        Self::LLAMA_2,
        Self::LLAMA_3,
        Self::MISTRAL_V1,
        Self::PLAIN,
        Self::VICUNA,
    ];

    /// The family of this [`name`](Self::name), whatever its case.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL
            .iter()
            .find(|family| family.name().eq_ignore_ascii_case(name))
            .copied()
    }

    /// The name, such as `llama-3`.
    pub const fn name(self) -> &'static str {
        self.0.name
    }

    /// Where the format comes from.
    pub const fn source(self) -> &'static str {
        self.0.source
    }

    /// The token that begins a prompt, or nothing.
    pub const fn bos(self) -> &'static str {
        self.0.bos
    }

    /// The token that ends an answer, or nothing.
    pub const fn eos(self) -> &'static str {
        self.0.eos
    }

    /// The sequences at which to stop generating.
    pub const fn stop(self) -> &'static [&'static str] {
        self.0.stop
    }

    /// The sequences that content must not forge: see
    /// [`ControlTokens`](crate::ControlTokens).
    pub const fn control_tokens(self) -> &'static [&'static str] {
        self.0.control
    }

    /// Where a system message may stand.
    pub const fn system(self) -> SystemRole {
        self.0.system
    }

    /// The system prompt that is written where the conversation has none.
    pub const fn default_system(self) -> Option<&'static str> {
        self.0.default_system
    }

    /// Whether user and assistant must take turns.
    pub const fn alternates(self) -> bool {
        self.0.alternates
    }

    /// Whether tools, their calls and their answers have a place.
    pub const fn tools(self) -> bool {
        self.0.tools
    }

    /// The prompt for `messages`.
    ///
    /// # Errors
    ///
    /// When there is no message, or one that the format has no place for: an unknown role, roles
    /// out of turn, a tool's answer, a picture, no content; [`Strictness`] tells what to do with
    /// these. When a message holds a control token and the policy is to reject it.
    pub fn render(self, messages: &[Message<'_>], options: &Options) -> Result<String, Error> {
        let mut out = String::new();
        self.render_into(&mut out, messages, options)?;
        Ok(out)
    }

    /// Appends the prompt to `out`, which keeps its length when this fails.
    ///
    /// # Errors
    ///
    /// As [`render`](Self::render).
    pub fn render_into(
        self,
        out: &mut String,
        messages: &[Message<'_>],
        options: &Options,
    ) -> Result<(), Error> {
        let start = out.len();
        self.render_to(out, messages, options)
            .inspect_err(|_| out.truncate(start))
    }

    /// Writes the prompt to `out`, which may hold a part of it when this fails.
    ///
    /// # Errors
    ///
    /// As [`render`](Self::render), and [`ErrorKind::Write`] when the writer fails.
    pub fn render_to(
        self,
        out: &mut dyn fmt::Write,
        messages: &[Message<'_>],
        options: &Options,
    ) -> Result<(), Error> {
        self.try_render(out, messages, options)
            .map_err(|error| error.in_template(self.name()))
    }

    fn try_render(
        self,
        out: &mut dyn fmt::Write,
        messages: &[Message<'_>],
        options: &Options,
    ) -> Result<(), Error> {
        if options.continue_final && messages.last().is_none_or(|m| m.role != Role::Assistant) {
            let detail = "only a last message of the assistant can be continued";
            return Err(Error::new(ErrorKind::Continuation, detail));
        }
        if options.strictness != Strictness::Official {
            self.check(messages, options)?;
        }
        let mut prompt = Prompt::new(out, self.0, messages, options);
        match &self.0.format {
            Format::Code(write) => write(&mut prompt),
            Format::Turns(turns) => turns.write(&mut prompt),
        }
    }

    /// Refuses what the format has no place for.
    fn check(self, messages: &[Message<'_>], options: &Options) -> Result<(), Error> {
        if messages.is_empty() {
            return Err(Error::new(ErrorKind::Empty, "there is no message"));
        }
        if !options.tools.is_empty() && !self.0.tools {
            return Err(Error::new(
                ErrorKind::Tools,
                "the format has no place for tools",
            ));
        }
        let mut users_turn = true;
        for (index, message) in messages.iter().enumerate() {
            let (kind, detail) = match message.role {
                Role::System | Role::Developer => {
                    let next = messages.get(index + 1).map(|next| next.role);
                    match self.0.system {
                        SystemRole::Anywhere => continue,
                        SystemRole::First if index == 0 => continue,
                        SystemRole::InUser if index == 0 && next == Some(Role::User) => continue,
                        _ => (
                            ErrorKind::System,
                            "the format has no place for a system message here",
                        ),
                    }
                }
                Role::User | Role::Assistant => {
                    let in_turn = (message.role == Role::User) == users_turn;
                    users_turn = message.role == Role::Assistant;
                    if self.0.alternates && !in_turn {
                        (ErrorKind::Alternation, ALTERNATION)
                    } else if !message.tool_calls.is_empty() && !self.0.tools {
                        (ErrorKind::Tools, "the format has no place for tool calls")
                    } else if matches!(message.content, Content::None)
                        && message.tool_calls.is_empty()
                        && options.strictness == Strictness::Strict
                    {
                        (ErrorKind::NoContent, "the message has no content")
                    } else {
                        continue;
                    }
                }
                Role::Function | Role::Tool if self.0.tools => continue,
                Role::Function | Role::Tool => (
                    ErrorKind::Tools,
                    "the format has no place for a tool's answer",
                ),
                Role::Other(_) => (
                    ErrorKind::Role,
                    "the format does not know the message's role",
                ),
            };
            return Err(Error::new(kind, detail).at_message(index));
        }
        Ok(())
    }
}

impl fmt::Debug for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Family").field(&self.name()).finish()
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Eq for Family {}

impl PartialEq for Family {
    fn eq(&self, other: &Self) -> bool {
        self.name() == other.name()
    }
}

impl Hash for Family {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name().hash(state);
    }
}

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
    /// ([`Strictness::Fold`]).
    Nowhere,
}

/// All that there is to know of a family.
pub(crate) struct Spec {
    pub(crate) name: &'static str,
    pub(crate) source: &'static str,
    pub(crate) bos: &'static str,
    pub(crate) eos: &'static str,
    pub(crate) stop: &'static [&'static str],
    pub(crate) control: &'static [&'static str],
    pub(crate) system: SystemRole,
    pub(crate) default_system: Option<&'static str>,
    pub(crate) alternates: bool,
    pub(crate) tools: bool,
    pub(crate) text: Text,
    pub(crate) format: Format,
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

/// How a conversation is written.
pub(crate) enum Format {
    /// By code.
    Code(fn(&mut Prompt<'_>) -> Result<(), Error>),
    /// By markers around each message.
    Turns(Turns),
}

/// Markers around the messages of each role.
pub(crate) struct Turns {
    pub(crate) system: [&'static str; 2],
    pub(crate) user: [&'static str; 2],
    pub(crate) assistant: [&'static str; 2],
    /// Opens the assistant's turn.
    pub(crate) generation: &'static str,
}

impl Turns {
    fn write(&self, prompt: &mut Prompt<'_>) -> Result<(), Error> {
        prompt.bos()?;
        let has_system = prompt
            .messages
            .first()
            .is_some_and(|m| matches!(m.role, Role::System | Role::Developer));
        if let (false, true, Some(text)) = (
            has_system,
            prompt.options.default_system,
            prompt.spec.default_system,
        ) {
            let [before, after] = self.system;
            prompt.push(before)?;
            prompt.push(text)?;
            prompt.push(after)?;
        }
        for (index, message) in prompt.messages.iter().enumerate() {
            let [before, after] = match message.role {
                Role::Assistant => self.assistant,
                Role::User => self.user,
                _ => self.system,
            };
            prompt.push(before)?;
            prompt.content(index)?;
            if prompt.is_open(index) {
                return Ok(());
            }
            prompt.push(after)?;
        }
        if prompt.options.generation_prompt {
            prompt.push(self.generation)?;
        }
        Ok(())
    }
}
