//! Converts the turns of the assistant.

use llm_types::messages::{Block, BlockContent, ToolUseBlock};
use llm_types::{ToolCall, Value};

use super::ids;
use super::turns::{Conversation, Place};
use crate::error::{Error, excerpt};

impl Conversation<'_> {
    /// Adds to the turn of the assistant. What this crate wrote is always accepted, with or without
    /// its signatures: clients send it back.
    pub(super) fn add_assistant(
        &mut self,
        content: BlockContent,
        place: Place,
    ) -> Result<(), Error> {
        self.end_user();
        let turn = self.assistant.get_or_insert_default();
        let blocks = match content {
            BlockContent::Text(text) => {
                turn.text.push_str(&text);
                return Ok(());
            }
            BlockContent::Blocks(blocks) => blocks,
        };
        for (at, block) in blocks.into_iter().enumerate() {
            match block {
                Block::Text(block) => {
                    self.ignored.add_members(&block.extra);
                    turn.text.push_str(&block.text);
                }
                Block::Thinking(block) => turn.reasoning.push_str(&block.thinking),
                Block::ToolUse(block) => {
                    self.ignored.add_members(&block.extra);
                    turn.calls.push(call(block));
                }
                Block::RedactedThinking(_) => self.ignored.add("redacted_thinking"),
                // A summary of earlier messages, which it replaces.
                Block::Other(map) if map.get("type") == Some(&Value::from("compaction")) => {
                    let text = map.get("content").and_then(Value::as_str);
                    turn.text.push_str(text.unwrap_or_default());
                }
                // Tools that ran on Anthropic's servers: the text that follows has their results.
                Block::Other(map) => {
                    let type_ = map.get("type").and_then(Value::as_str);
                    self.ignored.add(&excerpt(type_.unwrap_or_default()));
                }
                other => {
                    let problem = format!("{} belongs to a user message", other.type_());
                    return Err(Error::invalid(place.block(at).to_string(), &problem));
                }
            }
        }
        Ok(())
    }
}

fn call(block: ToolUseBlock) -> ToolCall {
    let arguments = match block.input {
        Value::Null => "{}".to_owned(),
        // Some clients send the text that they received.
        Value::String(text) => text,
        other => other.to_string(),
    };
    ToolCall::function(ids::to_chat(&block.id), block.name, arguments)
}
