//! The events of a stream.

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

use super::block::Block;
use super::error::MessagesErrorResponse;
use super::response::{MessagesResponse, MessagesUsage, StopReason};
use crate::tagged::{by_form, object, tag, type_of, untag};
use crate::{field::Field, lenient};

/// The data of one event of a stream; the event's name is the data's `type`.
#[allow(clippy::large_enum_variant)] // there is one large event per stream
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(untagged)]
pub enum MessagesEvent {
    /// A piece of the open block.
    BlockDelta(BlockDeltaEvent),
    /// A block starts.
    BlockStart(BlockStartEvent),
    /// The open block ends.
    BlockStop(BlockStopEvent),
    /// The stream failed; it is the last event.
    Error(MessagesErrorResponse),
    /// All blocks are complete: the stop reason and the usage.
    MessageDelta(MessageDeltaEvent),
    /// The first event.
    MessageStart(MessageStartEvent),
    /// The last event of a complete stream.
    MessageStop(MessageStopEvent),
    /// Keeps the connection alive.
    Ping(PingEvent),
    /// An event of another type, unchanged.
    Other(Map<String, Value>),
}

impl MessagesEvent {
    /// Creates the first event.
    pub fn message_start(message: MessagesResponse) -> Self {
        Self::MessageStart(MessageStartEvent {
            message,
            extra: Map::new(),
        })
    }

    /// Creates the start of a block.
    pub fn block_start(index: u32, content_block: Block) -> Self {
        Self::BlockStart(BlockStartEvent {
            index,
            content_block,
            extra: Map::new(),
        })
    }

    /// Creates a piece of a block.
    pub fn block_delta(index: u32, delta: BlockDelta) -> Self {
        Self::BlockDelta(BlockDeltaEvent {
            index,
            delta,
            extra: Map::new(),
        })
    }

    /// Creates the end of a block.
    pub fn block_stop(index: u32) -> Self {
        Self::BlockStop(BlockStopEvent {
            index,
            extra: Map::new(),
        })
    }

    /// Creates the event with the stop reason and the usage.
    pub fn message_delta(delta: MessageDelta, usage: MessagesUsage) -> Self {
        Self::MessageDelta(MessageDeltaEvent {
            delta,
            usage,
            extra: Map::new(),
        })
    }

    /// Creates the last event.
    pub fn message_stop() -> Self {
        Self::MessageStop(MessageStopEvent { extra: Map::new() })
    }

    /// Creates an event that keeps the connection alive.
    pub fn ping() -> Self {
        Self::Ping(PingEvent { extra: Map::new() })
    }

    /// The name of the event, which clients require.
    pub fn name(&self) -> &str {
        match self {
            Self::BlockDelta(_) => "content_block_delta",
            Self::BlockStart(_) => "content_block_start",
            Self::BlockStop(_) => "content_block_stop",
            Self::Error(_) => "error",
            Self::MessageDelta(_) => "message_delta",
            Self::MessageStart(_) => "message_start",
            Self::MessageStop(_) => "message_stop",
            Self::Ping(_) => "ping",
            Self::Other(map) => type_of(map),
        }
    }
}

impl<'de> Deserialize<'de> for MessagesEvent {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        by_form(deserializer, |value| {
            let map = object(value)?;
            match tag(&map)? {
                "content_block_delta" => untag(map).map(Self::BlockDelta),
                "content_block_start" => untag(map).map(Self::BlockStart),
                "content_block_stop" => untag(map).map(Self::BlockStop),
                "error" => untag(map).map(Self::Error),
                "message_delta" => untag(map).map(Self::MessageDelta),
                "message_start" => untag(map).map(Self::MessageStart),
                "message_stop" => untag(map).map(Self::MessageStop),
                "ping" => untag(map).map(Self::Ping),
                _ => Ok(Self::Other(map)),
            }
        })
    }
}

/// The first event: the message without content, stop reason and output tokens.
#[non_exhaustive]
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "type", rename = "message_start")]
#[cfg_attr(
    feature = "schema",
    schemars(rename = "MessageStartEvent", transform = crate::schema::tagged("message_start"))
)]
pub struct MessageStartEvent {
    /// The message.
    pub message: MessagesResponse,
    /// All other members.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// The start of a block.
#[non_exhaustive]
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "type", rename = "content_block_start")]
#[cfg_attr(
    feature = "schema",
    schemars(rename = "BlockStartEvent", transform = crate::schema::tagged("content_block_start"))
)]
pub struct BlockStartEvent {
    /// The position of the block in the content.
    #[serde(default, deserialize_with = "lenient::index")]
    pub index: u32,
    /// The block without its text or input.
    pub content_block: Block,
    /// All other members.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// A piece of a block.
#[non_exhaustive]
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "type", rename = "content_block_delta")]
#[cfg_attr(
    feature = "schema",
    schemars(rename = "BlockDeltaEvent", transform = crate::schema::tagged("content_block_delta"))
)]
pub struct BlockDeltaEvent {
    /// The position of the block in the content.
    #[serde(default, deserialize_with = "lenient::index")]
    pub index: u32,
    /// The piece.
    pub delta: BlockDelta,
    /// All other members.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// The end of a block.
#[non_exhaustive]
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "type", rename = "content_block_stop")]
#[cfg_attr(
    feature = "schema",
    schemars(rename = "BlockStopEvent", transform = crate::schema::tagged("content_block_stop"))
)]
pub struct BlockStopEvent {
    /// The position of the block in the content.
    #[serde(default, deserialize_with = "lenient::index")]
    pub index: u32,
    /// All other members.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// The end of the message's content.
#[non_exhaustive]
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "type", rename = "message_delta")]
#[cfg_attr(
    feature = "schema",
    schemars(rename = "MessageDeltaEvent", transform = crate::schema::tagged("message_delta"))
)]
pub struct MessageDeltaEvent {
    /// The members about the end.
    pub delta: MessageDelta,
    /// The usage of the whole message; its members replace those of the first event.
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub usage: MessagesUsage,
    /// All other members.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// The members of the message that are known at its end.
#[non_exhaustive]
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct MessageDelta {
    /// Why the message ended.
    #[serde(default)]
    pub stop_reason: Field<StopReason>,
    /// The stop sequence that occurred.
    #[serde(default)]
    pub stop_sequence: Field<String>,
    /// Details of a refusal.
    #[serde(default)]
    pub stop_details: Field<Value>,
    /// All other members.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// The last event of a complete stream.
#[non_exhaustive]
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "type", rename = "message_stop")]
#[cfg_attr(
    feature = "schema",
    schemars(rename = "MessageStopEvent", transform = crate::schema::tagged("message_stop"))
)]
pub struct MessageStopEvent {
    /// All other members.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// Keeps the connection alive.
#[non_exhaustive]
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "type", rename = "ping")]
#[cfg_attr(
    feature = "schema",
    schemars(rename = "PingEvent", transform = crate::schema::tagged("ping"))
)]
pub struct PingEvent {
    /// All other members.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// A piece of a block.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(untagged)]
pub enum BlockDelta {
    /// A piece of a tool's input.
    InputJson(InputJsonDelta),
    /// The signature of a thinking block.
    Signature(SignatureDelta),
    /// A piece of text.
    Text(TextDelta),
    /// A piece of reasoning.
    Thinking(ThinkingDelta),
    /// A piece of another type, such as `citations_delta`, unchanged.
    Other(Map<String, Value>),
}

impl BlockDelta {
    /// Creates a piece of a tool's input.
    pub fn input_json(partial_json: impl Into<String>) -> Self {
        let partial_json = partial_json.into();
        Self::InputJson(InputJsonDelta { partial_json })
    }

    /// Creates the signature of a thinking block.
    pub fn signature(signature: impl Into<String>) -> Self {
        let signature = signature.into();
        Self::Signature(SignatureDelta { signature })
    }

    /// Creates a piece of text.
    pub fn text(text: impl Into<String>) -> Self {
        Self::Text(TextDelta { text: text.into() })
    }

    /// Creates a piece of reasoning.
    pub fn thinking(thinking: impl Into<String>) -> Self {
        let thinking = thinking.into();
        Self::Thinking(ThinkingDelta { thinking })
    }
}

impl<'de> Deserialize<'de> for BlockDelta {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        by_form(deserializer, |value| {
            let map = object(value)?;
            // A known piece has `type` and one text; with more members, it is kept as it is.
            match tag(&map)? {
                "input_json_delta" if map.len() == 2 => untag(map).map(Self::InputJson),
                "signature_delta" if map.len() == 2 => untag(map).map(Self::Signature),
                "text_delta" if map.len() == 2 => untag(map).map(Self::Text),
                "thinking_delta" if map.len() == 2 => untag(map).map(Self::Thinking),
                _ => Ok(Self::Other(map)),
            }
        })
    }
}

/// A piece of a tool's input.
#[non_exhaustive]
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "type", rename = "input_json_delta")]
#[cfg_attr(
    feature = "schema",
    schemars(rename = "InputJsonDelta", transform = crate::schema::tagged("input_json_delta"))
)]
pub struct InputJsonDelta {
    /// A piece of JSON text; all pieces of a block together are an object.
    pub partial_json: String,
}

/// The signature of a thinking block.
#[non_exhaustive]
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "type", rename = "signature_delta")]
#[cfg_attr(
    feature = "schema",
    schemars(rename = "SignatureDelta", transform = crate::schema::tagged("signature_delta"))
)]
pub struct SignatureDelta {
    /// The whole signature.
    pub signature: String,
}

/// A piece of text.
#[non_exhaustive]
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "type", rename = "text_delta")]
#[cfg_attr(
    feature = "schema",
    schemars(rename = "TextDelta", transform = crate::schema::tagged("text_delta"))
)]
pub struct TextDelta {
    /// The piece.
    pub text: String,
}

/// A piece of reasoning.
#[non_exhaustive]
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "type", rename = "thinking_delta")]
#[cfg_attr(
    feature = "schema",
    schemars(rename = "ThinkingDelta", transform = crate::schema::tagged("thinking_delta"))
)]
pub struct ThinkingDelta {
    /// The piece.
    pub thinking: String,
}
