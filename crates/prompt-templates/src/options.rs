//! Rendering options.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;

use crate::now::Now;

/// The options for rendering with any template.
///
/// ```
/// use prompt_templates::{Family, PromptMessage, Options};
///
/// let messages = [PromptMessage::user("Hi")];
/// let options = Options::new().with_bos(true).with_generation_prompt(false);
/// assert_eq!(Family::LLAMA_2.render(&messages, &options)?, "<s>[INST] Hi [/INST]");
/// # Ok::<(), prompt_templates::Error>(())
/// ```
#[non_exhaustive]
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Options {
    /// Whether the prompt starts with the family's BOS token.
    ///
    /// Off by default: completion servers add it when they tokenize, and a second one harms the
    /// output. The BOS tokens that Llama 2 has between turns are always written.
    pub bos: bool,
    /// Whether to open the assistant's turn at the end. On by default.
    pub generation_prompt: bool,
    /// Whether to leave the last message, which must be the assistant's, open for the model to
    /// continue. There is no generation prompt then. Off by default.
    pub continue_final: bool,
    /// Whether to write the family's default system prompt if the conversation has no system
    /// message, as the official template does. On by default.
    pub default_system: bool,
    /// The policy for control tokens in content.
    pub control_tokens: ControlTokens,
    /// The policy for images.
    pub images: Images,
    /// The policy for messages that the format does not support.
    pub strictness: Strictness,
    /// The clock, for templates that contain the date. Without one, they leave the date out.
    pub now: Option<Now>,
    /// Whether the model reasons before its reply, for families with such a switch. By default, the
    /// family's template decides.
    pub thinking: Option<bool>,
    /// The tools that the model may call, each as JSON text in OpenAI's form.
    pub tools: Vec<String>,
    /// Additional variables for chat templates, each as JSON text: `documents`, and the members of
    /// a request's `chat_template_kwargs`. The built-in families have none.
    pub variables: BTreeMap<String, String>,
}

impl Options {
    /// The defaults: a generation prompt, no BOS, control tokens broken up, unsupported messages
    /// rejected.
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

    /// Sets whether to write BOS at the start.
    #[must_use]
    pub const fn with_bos(mut self, bos: bool) -> Self {
        self.bos = bos;
        self
    }

    /// Sets whether to open the assistant's turn at the end.
    #[must_use]
    pub const fn with_generation_prompt(mut self, generation_prompt: bool) -> Self {
        self.generation_prompt = generation_prompt;
        self
    }

    /// Sets whether to leave the last message open for the model to continue.
    #[must_use]
    pub const fn with_continue_final(mut self, continue_final: bool) -> Self {
        self.continue_final = continue_final;
        self
    }

    /// Sets whether to write the family's default system prompt if there is none.
    #[must_use]
    pub const fn with_default_system(mut self, default_system: bool) -> Self {
        self.default_system = default_system;
        self
    }

    /// Sets the policy for control tokens in content.
    #[must_use]
    pub const fn with_control_tokens(mut self, policy: ControlTokens) -> Self {
        self.control_tokens = policy;
        self
    }

    /// Sets the policy for images.
    #[must_use]
    pub fn with_images(mut self, images: Images) -> Self {
        self.images = images;
        self
    }

    /// Sets the policy for messages that the format does not support.
    #[must_use]
    pub const fn with_strictness(mut self, strictness: Strictness) -> Self {
        self.strictness = strictness;
        self
    }

    /// Sets the clock for templates that contain the date.
    #[must_use]
    pub const fn with_now(mut self, now: Now) -> Self {
        self.now = Some(now);
        self
    }

    /// Sets whether the model reasons before its reply.
    #[must_use]
    pub const fn with_thinking(mut self, thinking: bool) -> Self {
        self.thinking = Some(thinking);
        self
    }

    /// Sets the tools that the model may call, each as JSON text in OpenAI's form.
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

/// The policy for control tokens of the format in a message's content.
///
/// A completion server reads `<|im_end|>` in the prompt as the control token regardless of its
/// origin, so user text could end the user's turn and speak as the system. The default is therefore
/// [`Neutralise`](Self::Neutralise): it costs one scan, never rejects a request, and changes only
/// such tokens.
// Every caller must decide how to handle a new policy.
#[allow(clippy::exhaustive_enums)]
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Deserialize, serde::Serialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "lowercase"))]
pub enum ControlTokens {
    /// Keep them: for trusted content, or to reproduce the official template exactly.
    Keep,
    /// Break them up with a space before the last character (`<|im_end| >`), so that they are not
    /// read as control tokens. All other text is kept.
    #[default]
    Neutralise,
    /// Fail with [`ErrorKind::ControlToken`](crate::ErrorKind::ControlToken), which names the
    /// message and the token.
    Reject,
}

/// The policy for an image, or any other part that is not text, in a text prompt.
#[non_exhaustive]
#[derive(Clone, Debug, Default, Eq, Hash, PartialEq)]
pub enum Images {
    /// Write this text instead, such as `<image>`.
    Placeholder(String),
    /// Fail with [`ErrorKind::Image`](crate::ErrorKind::Image).
    #[default]
    Refuse,
}

/// The policy for messages that the format does not support.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub enum Strictness {
    /// Make them fit: adjacent messages of the same role become one message, and an unsupported
    /// system message becomes the beginning of the next user message, each joined with an empty
    /// line. Other unsupported messages are rejected.
    Fold,
    /// Do exactly what the family's official template does, even if it loses a message or prints
    /// `None`: for comparison with the reference, not for production.
    Official,
    /// Reject them with a typed error, even if the official template would lose them silently.
    #[default]
    Strict,
}
