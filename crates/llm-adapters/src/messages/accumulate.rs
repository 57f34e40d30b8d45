//! [`MessagesAccumulator`]: joins events into a message.

use llm_types::messages::{
    Block, BlockDelta, MessageDeltaEvent, MessagesError, MessagesEvent, MessagesResponse,
    MessagesUsage,
};
use llm_types::{Field, Map, Value};

/// Joins the events of a stream into the message that a call without streaming would return.
#[derive(Clone, Debug, Default)]
pub struct MessagesAccumulator {
    message: Option<MessagesResponse>,
    /// The input of the open tool call, as text.
    input: String,
    error: Option<MessagesError>,
    is_complete: bool,
}

impl MessagesAccumulator {
    /// Adds an event. Events that do not fit, such as the delta of a block that was not started, are
    /// ignored.
    pub fn push(&mut self, event: MessagesEvent) {
        match event {
            MessagesEvent::MessageStart(event) => self.message = Some(event.message),
            MessagesEvent::BlockStart(event) => {
                self.input.clear();
                if let Some(message) = &mut self.message {
                    message.content.push(event.content_block);
                }
            }
            MessagesEvent::BlockDelta(event) => self.push_delta(event.index, event.delta),
            MessagesEvent::BlockStop(event) => self.end_block(event.index),
            MessagesEvent::MessageDelta(event) => self.end_content(event),
            MessagesEvent::MessageStop(_) => self.is_complete = true,
            MessagesEvent::Error(event) => self.error = Some(event.error),
            _ => {}
        }
    }

    /// Returns the message.
    ///
    /// # Errors
    ///
    /// The error of the stream, if it has one, or an `api_error` if the stream is not complete.
    pub fn into_response(self) -> Result<MessagesResponse, Box<MessagesError>> {
        let interrupted = || MessagesError::new("api_error", "the stream was interrupted");
        match (self.error, self.message) {
            (Some(error), _) => Err(Box::new(error)),
            (None, Some(message)) if self.is_complete => Ok(message),
            (None, _) => Err(Box::new(interrupted())),
        }
    }

    fn block(&mut self, index: u32) -> Option<&mut Block> {
        let index = usize::try_from(index).ok()?;
        self.message.as_mut()?.content.get_mut(index)
    }

    fn push_delta(&mut self, index: u32, delta: BlockDelta) {
        if let BlockDelta::InputJson(delta) = delta {
            self.input.push_str(&delta.partial_json);
            return;
        }
        match (self.block(index), delta) {
            (Some(Block::Text(block)), BlockDelta::Text(delta)) => block.text.push_str(&delta.text),
            (Some(Block::Thinking(block)), BlockDelta::Thinking(delta)) => {
                block.thinking.push_str(&delta.thinking);
            }
            (Some(Block::Thinking(block)), BlockDelta::Signature(delta)) => {
                block.signature = Field::Value(delta.signature);
            }
            _ => {}
        }
    }

    fn end_block(&mut self, index: u32) {
        let input = std::mem::take(&mut self.input);
        if let Some(Block::ToolUse(block)) = self.block(index)
            && !input.is_empty()
        {
            let object: Result<Map<String, Value>, _> = serde_json::from_str(&input);
            block.input = object.map_or(Value::String(input), Value::Object);
        }
    }

    fn end_content(&mut self, event: MessageDeltaEvent) {
        let Some(message) = &mut self.message else {
            return;
        };
        message.stop_reason = event.delta.stop_reason;
        message.stop_sequence = event.delta.stop_sequence;
        message.stop_details = event.delta.stop_details;
        merge(&mut message.usage, event.usage);
    }
}

impl Extend<MessagesEvent> for MessagesAccumulator {
    fn extend<I: IntoIterator<Item = MessagesEvent>>(&mut self, events: I) {
        events.into_iter().for_each(|event| self.push(event));
    }
}

/// Counts are cumulative: the later one replaces the earlier one, unless it is missing.
fn merge(usage: &mut MessagesUsage, more: MessagesUsage) {
    let counts = [
        (&mut usage.input_tokens, more.input_tokens),
        (
            &mut usage.cache_creation_input_tokens,
            more.cache_creation_input_tokens,
        ),
        (
            &mut usage.cache_read_input_tokens,
            more.cache_read_input_tokens,
        ),
        (&mut usage.output_tokens, more.output_tokens),
    ];
    for (count, more) in counts {
        *count = more.or(*count);
    }
    if more.output_tokens_details.is_value() {
        usage.output_tokens_details = more.output_tokens_details;
    }
    usage.extra.extend(more.extra);
}
