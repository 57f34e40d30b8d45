//! Converts the messages of a conversation.

use std::fmt;

use llm_types::messages::{Block, BlockContent, InputMessage};
use llm_types::{Content, ContentPart, Field, Message, Role, ToolCall};

use super::request::InlineSystem;
use crate::error::{Error, excerpt};
use crate::ignored::Ignored;

/// The messages of a chat request.
pub(super) struct Turns {
    pub(super) messages: Vec<Message>,
    /// Whether the last one is the beginning of the reply.
    pub(super) is_prefill: bool,
}

pub(super) fn convert(
    system: Option<BlockContent>,
    messages: Vec<InputMessage>,
    inline_system: InlineSystem,
    files: bool,
    ignored: &mut Ignored,
) -> Result<Turns, Error> {
    let mut conversation = Conversation {
        messages: Vec::with_capacity(messages.len() + 1),
        system: Vec::new(),
        user: Vec::new(),
        assistant: None,
        files,
        ignored,
    };
    if let Some(system) = system {
        let text = conversation.system_text(system, Place::System)?;
        if !text.is_empty() {
            conversation.messages.push(Message::system(text));
        }
    }
    for (at, message) in messages.into_iter().enumerate() {
        conversation.ignored.add_members(&message.extra);
        let place = Place::Message(at);
        match message.role {
            Role::User => conversation.add_user(message.content, place)?,
            Role::Assistant => conversation.add_assistant(message.content, place)?,
            Role::System => conversation.add_system(message.content, place, inline_system)?,
            other => {
                let problem = format!(
                    "unknown role {:?}; use user, assistant or system",
                    excerpt(other.as_str())
                );
                return Err(Error::invalid(format!("{place}.role"), &problem));
            }
        }
    }
    let is_prefill = conversation
        .assistant
        .as_ref()
        .is_some_and(|turn| turn.calls.is_empty());
    conversation.end_assistant();
    conversation.end_user();
    Ok(Turns {
        messages: conversation.messages,
        is_prefill,
    })
}

/// A conversation under construction.
///
/// Messages of one role in a row become one turn, as at Anthropic: many templates require that the
/// roles alternate.
pub(super) struct Conversation<'a> {
    pub(super) messages: Vec<Message>,
    /// System messages that precede the open turn of the user.
    system: Vec<String>,
    /// The open turn of the user.
    pub(super) user: Vec<ContentPart>,
    /// The open turn of the assistant.
    pub(super) assistant: Option<AssistantTurn>,
    pub(super) files: bool,
    pub(super) ignored: &'a mut Ignored,
}

/// A turn of the assistant under construction.
#[derive(Default)]
pub(super) struct AssistantTurn {
    pub(super) text: String,
    pub(super) reasoning: String,
    pub(super) calls: Vec<ToolCall>,
}

/// Where an error is.
#[derive(Clone, Copy)]
pub(super) enum Place {
    System,
    Message(usize),
    Block(usize, usize),
}

impl Place {
    pub(super) fn block(self, at: usize) -> Self {
        match self {
            Self::Message(message) | Self::Block(message, _) => Self::Block(message, at),
            Self::System => self,
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::System => f.write_str("system"),
            Self::Message(message) => write!(f, "messages[{message}]"),
            Self::Block(message, block) => write!(f, "messages[{message}].content[{block}]"),
        }
    }
}

impl Conversation<'_> {
    /// Writes the open turn of the assistant.
    pub(super) fn end_assistant(&mut self) {
        let Some(turn) = self.assistant.take() else {
            return;
        };
        let mut message = Message::assistant(turn.text);
        if !turn.reasoning.is_empty() {
            message.reasoning_content = Field::Value(turn.reasoning);
        }
        if !turn.calls.is_empty() {
            if message.text().is_none_or(|text| text.is_empty()) {
                message.content = Field::Null;
            }
            message.tool_calls = Field::Value(turn.calls);
        }
        self.messages.push(message);
    }

    /// Writes the open turn of the user, after the system messages before it.
    pub(super) fn end_user(&mut self) {
        let system = self.system.drain(..).map(Message::system);
        self.messages.extend(system);
        if !self.user.is_empty() {
            let parts = std::mem::take(&mut self.user);
            self.messages.push(Message::user(content(parts)));
        }
    }

    fn add_system(
        &mut self,
        content: BlockContent,
        place: Place,
        inline_system: InlineSystem,
    ) -> Result<(), Error> {
        let text = self.system_text(content, place)?;
        self.end_assistant();
        if text.is_empty() {
            return Ok(());
        }
        match inline_system {
            InlineSystem::Fold => self.user.push(ContentPart::text(text)),
            InlineSystem::Keep => {
                self.end_user();
                self.system.push(text);
            }
        }
        Ok(())
    }

    /// The text of a system message, without the line in which Claude Code sends a hash per request:
    /// it would change the beginning of every prompt, which caches compare.
    fn system_text(&mut self, content: BlockContent, place: Place) -> Result<String, Error> {
        let blocks = match content {
            BlockContent::Text(text) => return Ok(text),
            BlockContent::Blocks(blocks) => blocks,
        };
        let mut texts = Vec::with_capacity(blocks.len());
        for (at, block) in blocks.into_iter().enumerate() {
            let Block::Text(block) = block else {
                let place = place.block(at).to_string();
                return Err(Error::invalid(
                    place,
                    "a system message has only text blocks",
                ));
            };
            self.ignored.add_members(&block.extra);
            if !block.text.starts_with(BILLING_LINE) {
                texts.push(block.text);
            }
        }
        Ok(texts.join("\n"))
    }
}

/// Texts become one string, which every template accepts; other parts need a list.
fn content(parts: Vec<ContentPart>) -> Content {
    if parts.iter().any(|part| part.as_text().is_none()) {
        return Content::Parts(parts);
    }
    let mut texts = parts.into_iter().filter_map(|part| match part {
        ContentPart::Text(part) => Some(part.text),
        _ => None,
    });
    let mut joined = texts.next().unwrap_or_default();
    for text in texts {
        joined.push('\n');
        joined.push_str(&text);
    }
    Content::Text(joined)
}

const BILLING_LINE: &str = "x-anthropic-billing-header:";
