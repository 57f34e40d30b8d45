//! The input: messages by role, borrowed from the caller where possible.

use alloc::borrow::Cow;
use alloc::string::String;
use alloc::vec::Vec;

/// One message of a conversation.
///
/// ```
/// use prompt_templates::{Message, Role};
///
/// let message = Message::new(Role::from("user"), "Hello!");
/// assert_eq!(message, Message::user("Hello!"));
/// ```
#[non_exhaustive]
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Message<'a> {
    /// Who speaks.
    pub role: Role<'a>,
    /// What is said.
    pub content: Content<'a>,
    /// The calls that an assistant makes.
    pub tool_calls: Vec<ToolCall<'a>>,
    /// The call that a tool message answers.
    pub tool_call_id: Option<Cow<'a, str>>,
    /// The speaker's or the function's name.
    pub name: Option<Cow<'a, str>>,
    /// What an assistant thought before it answered (`reasoning_content`).
    pub reasoning: Option<Cow<'a, str>>,
}

impl<'a> Message<'a> {
    /// A message of any role.
    pub fn new(role: Role<'a>, content: impl Into<Content<'a>>) -> Self {
        Self {
            role,
            content: content.into(),
            tool_calls: Vec::new(),
            tool_call_id: None,
            name: None,
            reasoning: None,
        }
    }

    /// A system message.
    pub fn system(content: impl Into<Content<'a>>) -> Self {
        Self::new(Role::System, content)
    }

    /// A user's message.
    pub fn user(content: impl Into<Content<'a>>) -> Self {
        Self::new(Role::User, content)
    }

    /// An assistant's message.
    pub fn assistant(content: impl Into<Content<'a>>) -> Self {
        Self::new(Role::Assistant, content)
    }

    /// A tool's answer to the call `id`.
    pub fn tool(id: impl Into<Cow<'a, str>>, content: impl Into<Content<'a>>) -> Self {
        Self {
            tool_call_id: Some(id.into()),
            ..Self::new(Role::Tool, content)
        }
    }

    /// Adds the calls that an assistant makes.
    #[must_use]
    pub fn with_tool_calls(mut self, calls: Vec<ToolCall<'a>>) -> Self {
        self.tool_calls = calls;
        self
    }

    /// Names the call that a tool message answers.
    #[must_use]
    pub fn with_tool_call_id(mut self, id: impl Into<Cow<'a, str>>) -> Self {
        self.tool_call_id = Some(id.into());
        self
    }

    /// Names the speaker or the function.
    #[must_use]
    pub fn with_name(mut self, name: impl Into<Cow<'a, str>>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Adds what an assistant thought before it answered.
    #[must_use]
    pub fn with_reasoning(mut self, reasoning: impl Into<Cow<'a, str>>) -> Self {
        self.reasoning = Some(reasoning.into());
        self
    }
}

/// Who speaks.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Role<'a> {
    /// The model.
    Assistant,
    /// The application, in OpenAI's newer word for `system`.
    Developer,
    /// A function, in OpenAI's older word for `tool`.
    Function,
    /// The application.
    System,
    /// A tool that the assistant called.
    Tool,
    /// The person.
    User,
    /// Any other name, as it was given.
    Other(&'a str),
}

impl<'a> Role<'a> {
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

impl<'a> From<&'a str> for Role<'a> {
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

/// What a message says.
#[non_exhaustive]
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub enum Content<'a> {
    /// Nothing, as in an assistant's message that only calls tools.
    #[default]
    None,
    /// Text.
    Text(Cow<'a, str>),
    /// Text and pictures in turn.
    Parts(Vec<Part<'a>>),
}

impl<'a> From<&'a str> for Content<'a> {
    fn from(text: &'a str) -> Self {
        Self::Text(Cow::Borrowed(text))
    }
}

impl<'a> From<&'a String> for Content<'a> {
    fn from(text: &'a String) -> Self {
        Self::Text(Cow::Borrowed(text))
    }
}

impl From<String> for Content<'_> {
    fn from(text: String) -> Self {
        Self::Text(Cow::Owned(text))
    }
}

impl<'a> From<Cow<'a, str>> for Content<'a> {
    fn from(text: Cow<'a, str>) -> Self {
        Self::Text(text)
    }
}

impl<'a> From<Vec<Part<'a>>> for Content<'a> {
    fn from(parts: Vec<Part<'a>>) -> Self {
        Self::Parts(parts)
    }
}

impl<'a, T: Into<Self>> From<Option<T>> for Content<'a> {
    fn from(content: Option<T>) -> Self {
        content.map_or(Self::None, Into::into)
    }
}

/// A part of a message.
#[non_exhaustive]
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Part<'a> {
    /// A picture, by its URL.
    Image(Cow<'a, str>),
    /// Text.
    Text(Cow<'a, str>),
    /// Anything else, by its type: `input_audio`, `file`.
    Other(Cow<'a, str>),
}

/// A call of a function by the assistant.
#[non_exhaustive]
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ToolCall<'a> {
    /// The call's id.
    pub id: Cow<'a, str>,
    /// The function's name.
    pub name: Cow<'a, str>,
    /// The arguments as JSON text.
    pub arguments: Cow<'a, str>,
}

impl<'a> ToolCall<'a> {
    /// A call of the function `name` with `arguments`, which are JSON text.
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
