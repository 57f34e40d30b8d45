//! Checks the order of the events of a Messages stream.

use llm_adapters::messages::MessagesAccumulator;
use llm_types::messages::{Block, BlockDelta, MessagesEvent, MessagesResponse};
use llm_types::{Field, Map, Value};

/// Checks each event against the rules that Anthropic's SDKs and Claude Code rely on.
#[derive(Debug, Default)]
pub(crate) struct MessagesOrder {
    state: State,
    next: u32,
    kind: String,
    input: String,
    deltas: usize,
    signature: bool,
}

#[derive(Debug, Default, Eq, PartialEq)]
enum State {
    #[default]
    Nothing,
    Between,
    InBlock,
    EndOfContent,
    Stopped,
    Failed,
}

impl MessagesOrder {
    pub(crate) fn push(&mut self, event: &MessagesEvent) {
        let value = serde_json::to_value(event).unwrap();
        assert_eq!(value["type"], event.name(), "the name is the type");
        let over = matches!(self.state, State::Stopped | State::Failed);
        assert!(!over, "{} after the end", event.name());
        if let MessagesEvent::Error(error) = event {
            assert!(!error.error.type_.is_empty() && !error.error.message.is_empty());
            self.state = State::Failed;
            return;
        }
        let is_first = self.state == State::Nothing;
        let starts = matches!(event, MessagesEvent::MessageStart(_));
        assert_eq!(is_first, starts, "message_start is the first event, once");
        match event {
            MessagesEvent::MessageStart(event) => {
                check_start(&event.message);
                self.state = State::Between;
            }
            MessagesEvent::BlockStart(event) => {
                assert_eq!(self.state, State::Between, "blocks are sequential");
                assert_eq!(event.index, self.next, "indices are positions");
                check_empty(&event.content_block);
                self.state = State::InBlock;
                self.kind = event.content_block.type_().to_owned();
                self.input.clear();
                (self.deltas, self.signature) = (0, false);
            }
            MessagesEvent::BlockDelta(event) => {
                assert_eq!(self.state, State::InBlock, "a delta is in a block");
                assert_eq!(event.index, self.next);
                assert!(!self.signature, "nothing follows a signature");
                self.push_delta(&event.delta);
            }
            MessagesEvent::BlockStop(event) => {
                assert_eq!(self.state, State::InBlock);
                assert_eq!(event.index, self.next);
                if self.kind == "tool_use" {
                    assert!(self.deltas > 0, "a tool call has at least one delta");
                    serde_json::from_str::<Map<String, Value>>(&self.input).unwrap();
                }
                assert_eq!(self.kind == "thinking", self.signature);
                self.state = State::Between;
                self.next += 1;
            }
            MessagesEvent::MessageDelta(event) => {
                assert_eq!(self.state, State::Between, "all blocks have ended");
                assert!(event.delta.stop_reason.is_value());
                assert!(!event.delta.stop_sequence.is_absent());
                assert!(event.usage.output_tokens.is_some() && event.usage.input_tokens.is_some());
                self.state = State::EndOfContent;
            }
            MessagesEvent::MessageStop(_) => {
                assert_eq!(self.state, State::EndOfContent);
                assert!(self.next > 0, "there is at least one block");
                self.state = State::Stopped;
            }
            MessagesEvent::Ping(_) => {}
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn is_complete(&self) -> bool {
        self.state == State::Stopped
    }

    pub(crate) fn is_failed(&self) -> bool {
        self.state == State::Failed
    }

    fn push_delta(&mut self, delta: &BlockDelta) {
        let kind = match delta {
            BlockDelta::InputJson(delta) => {
                self.input.push_str(&delta.partial_json);
                "tool_use"
            }
            BlockDelta::Signature(delta) => {
                assert!(!delta.signature.is_empty());
                self.signature = true;
                "thinking"
            }
            BlockDelta::Text(delta) => {
                assert!(!delta.text.is_empty());
                "text"
            }
            BlockDelta::Thinking(delta) => {
                assert!(!delta.thinking.is_empty());
                "thinking"
            }
            other => panic!("{other:?}"),
        };
        assert_eq!(self.kind, kind, "a delta has the type of its block");
        self.deltas += 1;
    }
}

/// Checks the order of a complete stream and joins it.
pub(crate) fn joined(events: &[MessagesEvent]) -> MessagesResponse {
    let mut order = MessagesOrder::default();
    let mut accumulator = MessagesAccumulator::default();
    for event in events {
        order.push(event);
        accumulator.push(event.clone());
    }
    assert!(order.is_complete(), "{events:?}");
    accumulator.into_response().unwrap()
}

fn check_start(message: &MessagesResponse) {
    let value = serde_json::to_value(message).unwrap();
    assert_eq!(value["type"], "message");
    assert_eq!(value["role"], "assistant");
    assert_eq!(value["content"], Value::Array(Vec::new()));
    assert!(!message.id.is_empty() && !message.model.is_empty());
    for key in ["stop_reason", "stop_sequence"] {
        assert_eq!(
            value.get(key),
            Some(&Value::Null),
            "{key} is an explicit null"
        );
    }
    for key in [
        "input_tokens",
        "output_tokens",
        "cache_creation_input_tokens",
        "cache_read_input_tokens",
    ] {
        assert!(value["usage"][key].is_u64(), "usage.{key} is an integer");
    }
}

fn check_empty(block: &Block) {
    match block {
        Block::Text(block) => assert_eq!(block.text, ""),
        Block::Thinking(block) => {
            assert_eq!(block.thinking, "");
            assert_eq!(block.signature, Field::Value(String::new()));
        }
        Block::ToolUse(block) => {
            assert_eq!(block.input, Value::Object(Map::new()));
            assert!(!block.id.is_empty());
            let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-".contains(&byte);
            assert!(block.id.bytes().all(is_plain));
        }
        other => panic!("{other:?}"),
    }
}
