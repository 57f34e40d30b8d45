//! What a caller may choose.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;

use crate::now::Now;

/// How to render: every template takes these.
///
/// ```
/// use prompt_templates::{Family, Message, Options};
///
/// let messages = [Message::user("Hi")];
/// let options = Options::new().with_bos(true).with_generation_prompt(false);
/// assert_eq!(Family::LLAMA_2.render(&messages, &options)?, "<s>[INST] Hi [/INST]");
/// # Ok::<(), prompt_templates::Error>(())
/// ```
#[non_exhaustive]
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Options {
    /// Whether the prompt begins with the family's BOS token.
    ///
    /// Off by default: completion servers add it when they tokenize, and two of them harm the
    /// answer. Only the first one is left out: the ones that Llama 2 has between turns stay.
    pub bos: bool,
    /// Whether the assistant's turn is opened at the end. On by default.
    pub generation_prompt: bool,
    /// Whether the last message, which must be the assistant's, is left open for the model to
    /// continue; then there is no generation prompt. Off by default.
    pub continue_final: bool,
    /// Whether the family's own system prompt is written where the conversation has none, as the
    /// official template does. On by default.
    pub default_system: bool,
    /// What to do with control tokens inside of content.
    pub control_tokens: ControlTokens,
    /// What to do with a picture.
    pub images: Images,
    /// What to do with messages that the format has no place for.
    pub strictness: Strictness,
    /// The clock, for templates that tell the date; without, they tell none.
    pub now: Option<Now>,
    /// Whether the model shall think before it answers, for families that can be told. Without,
    /// as the family's template has it.
    pub thinking: Option<bool>,
    /// The tools that the model may call, each as JSON text in OpenAI's form.
    pub tools: Vec<String>,
    /// More variables for chat templates, each as JSON text: `documents`, and what a request has
    /// under `chat_template_kwargs`. The built-in families have none.
    pub variables: BTreeMap<String, String>,
}

impl Options {
    /// A generation prompt, no BOS, control tokens neutralised, everything unfitting refused.
    pub const fn new() -> Self {
        Self {
            bos: false,
            generation_prompt: true,
            continue_final: false,
            default_system: true,
            control_tokens: ControlTokens::Neutralise,
            images: Images::Refuse,
            strictness: Strictness::Strict,
            now: None,
            thinking: None,
            tools: Vec::new(),
            variables: BTreeMap::new(),
        }
    }

    /// Writes BOS at the start, or leaves it to the server.
    #[must_use]
    pub const fn with_bos(mut self, bos: bool) -> Self {
        self.bos = bos;
        self
    }

    /// Opens the assistant's turn at the end, or not.
    #[must_use]
    pub const fn with_generation_prompt(mut self, generation_prompt: bool) -> Self {
        self.generation_prompt = generation_prompt;
        self
    }

    /// Leaves the last message open for the model to continue.
    #[must_use]
    pub const fn with_continue_final(mut self, continue_final: bool) -> Self {
        self.continue_final = continue_final;
        self
    }

    /// Writes the family's own system prompt where there is none, or not.
    #[must_use]
    pub const fn with_default_system(mut self, default_system: bool) -> Self {
        self.default_system = default_system;
        self
    }

    /// Chooses what to do with control tokens inside of content.
    #[must_use]
    pub const fn with_control_tokens(mut self, policy: ControlTokens) -> Self {
        self.control_tokens = policy;
        self
    }

    /// Chooses what to do with pictures.
    #[must_use]
    pub fn with_images(mut self, images: Images) -> Self {
        self.images = images;
        self
    }

    /// Chooses what to do with messages that the format has no place for.
    #[must_use]
    pub const fn with_strictness(mut self, strictness: Strictness) -> Self {
        self.strictness = strictness;
        self
    }

    /// Gives the clock for templates that tell the date.
    #[must_use]
    pub const fn with_now(mut self, now: Now) -> Self {
        self.now = Some(now);
        self
    }

    /// Tells the model to think before it answers, or not to.
    #[must_use]
    pub const fn with_thinking(mut self, thinking: bool) -> Self {
        self.thinking = Some(thinking);
        self
    }

    /// Gives the tools that the model may call, each as JSON text in OpenAI's form.
    #[must_use]
    pub fn with_tools(mut self, tools: Vec<String>) -> Self {
        self.tools = tools;
        self
    }

    /// Adds a variable for chat templates, as JSON text.
    #[must_use]
    pub fn with_variable(mut self, name: impl Into<String>, json: impl Into<String>) -> Self {
        self.variables.insert(name.into(), json.into());
        self
    }
}

impl Default for Options {
    fn default() -> Self {
        Self::new()
    }
}

/// What to do with control tokens of the format inside of a message's content.
///
/// A completion server turns `<|im_end|>` in the prompt into the control token wherever it comes
/// from, so text of a user could end the user's turn and speak as the system. The default is
/// therefore [`Neutralise`](Self::Neutralise): it costs one scan, never refuses a request, and
/// changes nothing but such tokens.
// Every caller must decide what a new policy means for it.
#[allow(clippy::exhaustive_enums)]
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Deserialize, serde::Serialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "lowercase"))]
pub enum ControlTokens {
    /// Leave them: for content that is trusted, or to get exactly what the official template gives.
    Keep,
    /// Break them up with a space before the last character (`<|im_end| >`), so that they can no
    /// longer be read as control; all other text is kept.
    #[default]
    Neutralise,
    /// Fail with [`ErrorKind::ControlToken`](crate::ErrorKind::ControlToken), which names the
    /// message and the token.
    Reject,
}

/// What to do with a picture (or any part that is no text) in a text prompt.
#[non_exhaustive]
#[derive(Clone, Debug, Default, Eq, Hash, PartialEq)]
pub enum Images {
    /// Write this text in its place, such as `<image>`.
    Placeholder(String),
    /// Fail with [`ErrorKind::Image`](crate::ErrorKind::Image).
    #[default]
    Refuse,
}

/// What to do with messages that the format has no place for.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub enum Strictness {
    /// Make them fit: neighbours of the same role become one message, and a system message that
    /// has no place becomes the beginning of the next user message, each joined by an empty line.
    /// What cannot be made to fit is refused.
    Fold,
    /// Do exactly what the family's official template does, even where it loses a message or
    /// prints `None`: for comparison with the reference, not for production.
    Official,
    /// Refuse them with a typed error, even where the official template would lose them silently.
    #[default]
    Strict,
}
