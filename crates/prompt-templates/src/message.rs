//! The input: messages by role, borrowed from the caller if possible.

use alloc::borrow::Cow;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

/// One message of a conversation.
///
/// ```
/// use prompt_templates::{PromptMessage, PromptRole};
///
/// let message = PromptMessage::new(PromptRole::from("user"), "Hello!");
/// assert_eq!(message, PromptMessage::user("Hello!"));
/// ```
#[non_exhaustive]
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PromptMessage<'a> {
    /// The role.
    pub role: PromptRole<'a>,
    /// The content.
    pub content: PromptContent<'a>,
    /// The assistant's tool calls.
    pub tool_calls: Vec<PromptToolCall<'a>>,
    /// The id of the call to which a tool message replies.
    pub tool_call_id: Option<Cow<'a, str>>,
    /// The name of the author or the function.
    pub name: Option<Cow<'a, str>>,
    /// The assistant's reasoning before its reply (`reasoning_content`).
    pub reasoning: Option<Cow<'a, str>>,
}

impl<'a> PromptMessage<'a> {
    /// Creates a message with any role.
    pub fn new(role: PromptRole<'a>, content: impl Into<PromptContent<'a>>) -> Self {
        Self {
            role,
            content: content.into(),
            tool_calls: Vec::new(),
            tool_call_id: None,
            name: None,
            reasoning: None,
        }
    }

    /// Creates a system message.
    pub fn system(content: impl Into<PromptContent<'a>>) -> Self {
        Self::new(PromptRole::System, content)
    }

    /// Creates a user message.
    pub fn user(content: impl Into<PromptContent<'a>>) -> Self {
        Self::new(PromptRole::User, content)
    }

    /// Creates an assistant message.
    pub fn assistant(content: impl Into<PromptContent<'a>>) -> Self {
        Self::new(PromptRole::Assistant, content)
    }

    /// Creates the result of the tool call `id`.
    pub fn tool(id: impl Into<Cow<'a, str>>, content: impl Into<PromptContent<'a>>) -> Self {
        Self {
            tool_call_id: Some(id.into()),
            ..Self::new(PromptRole::Tool, content)
        }
    }

    /// Adds tool calls of the assistant.
    #[must_use]
    pub fn with_tool_calls(mut self, calls: Vec<PromptToolCall<'a>>) -> Self {
        self.tool_calls = calls;
        self
    }

    /// Sets the id of the call to which a tool message replies.
    #[must_use]
    pub fn with_tool_call_id(mut self, id: impl Into<Cow<'a, str>>) -> Self {
        self.tool_call_id = Some(id.into());
        self
    }

    /// Sets the name of the author or the function.
    #[must_use]
    pub fn with_name(mut self, name: impl Into<Cow<'a, str>>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Adds the assistant's reasoning before its reply.
    #[must_use]
    pub fn with_reasoning(mut self, reasoning: impl Into<Cow<'a, str>>) -> Self {
        self.reasoning = Some(reasoning.into());
        self
    }
}

/// The role of a message.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum PromptRole<'a> {
    /// The model.
    Assistant,
    /// The application, under OpenAI's newer name for `system`.
    Developer,
    /// A function, under OpenAI's older name for `tool`.
    Function,
    /// The application.
    System,
    /// A tool that the assistant called.
    Tool,
    /// The user.
    User,
    /// Any other name, unchanged.
    Other(&'a str),
}

impl<'a> PromptRole<'a> {
    /// The role's name on the wire.
    pub fn as_str(&self) -> &'a str {
        match self {
            Self::Assistant => "assistant",
            Self::Developer => "developer",
            Self::Function => "function",
            Self::System => "system",
            Self::Tool => "tool",
            Self::User => "user",
            Self::Other(name) => name,
        }
    }
}

/// The role's name on the wire.
impl fmt::Display for PromptRole<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl<'a> From<&'a str> for PromptRole<'a> {
    fn from(name: &'a str) -> Self {
        match name {
            "assistant" => Self::Assistant,
            "developer" => Self::Developer,
            "function" => Self::Function,
            "system" => Self::System,
            "tool" => Self::Tool,
            "user" => Self::User,
            other => Self::Other(other),
        }
    }
}

/// The content of a message.
#[non_exhaustive]
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub enum PromptContent<'a> {
    /// No content, as in an assistant message that only has tool calls.
    #[default]
    None,
    /// Text.
    Text(Cow<'a, str>),
    /// Texts and images, in order.
    Parts(Vec<PromptPart<'a>>),
}

impl<'a> From<&'a str> for PromptContent<'a> {
    fn from(text: &'a str) -> Self {
        Self::Text(Cow::Borrowed(text))
    }
}

impl<'a> From<&'a String> for PromptContent<'a> {
    fn from(text: &'a String) -> Self {
        Self::Text(Cow::Borrowed(text))
    }
}

impl From<String> for PromptContent<'_> {
    fn from(text: String) -> Self {
        Self::Text(Cow::Owned(text))
    }
}

impl<'a> From<Cow<'a, str>> for PromptContent<'a> {
    fn from(text: Cow<'a, str>) -> Self {
        Self::Text(text)
    }
}

impl<'a> From<Vec<PromptPart<'a>>> for PromptContent<'a> {
    fn from(parts: Vec<PromptPart<'a>>) -> Self {
        Self::Parts(parts)
    }
}

impl<'a, T: Into<Self>> From<Option<T>> for PromptContent<'a> {
    fn from(content: Option<T>) -> Self {
        content.map_or(Self::None, Into::into)
    }
}

/// A part of a message.
#[non_exhaustive]
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum PromptPart<'a> {
    /// An image, by its URL.
    Image(Cow<'a, str>),
    /// Text.
    Text(Cow<'a, str>),
    /// Any other part, by its type, such as `input_audio` or `file`.
    Other(Cow<'a, str>),
}

/// A function call of the assistant.
#[non_exhaustive]
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PromptToolCall<'a> {
    /// The call's id.
    pub id: Cow<'a, str>,
    /// The function's name.
    pub name: Cow<'a, str>,
    /// The arguments as JSON text.
    pub arguments: Cow<'a, str>,
}

impl<'a> PromptToolCall<'a> {
    /// Creates a call of the function `name` with `arguments`, which are JSON text.
    pub fn new(
        id: impl Into<Cow<'a, str>>,
        name: impl Into<Cow<'a, str>>,
        arguments: impl Into<Cow<'a, str>>,
    ) -> Self {
        Self {
            id: id.into(),
            name: name.into(),
            arguments: arguments.into(),
        }
    }
}
