//! The events of a stream.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::item::Item;
use super::part::ItemPart;
use super::response::ResponsesResponse;
use crate::lenient;

/// The data of one event of a stream; the event's name is its `type`.
///
/// The types of events differ only in which of these members they have.
#[non_exhaustive]
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ResponsesEvent {
    /// The type, such as `response.output_text.delta`.
    #[serde(rename = "type")]
    pub type_: String,
    /// The number of the event, starting at 0.
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub sequence_number: u64,
    /// The response: in events about the whole response.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response: Option<Box<ResponsesResponse>>,
    /// The id of the item.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub item_id: Option<String>,
    /// The position of the item in the output.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output_index: Option<u32>,
    /// The position of the part in the item's content.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content_index: Option<u32>,
    /// The position of the part in the summary of reasoning.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub summary_index: Option<u32>,
    /// The item: in events about a whole item.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub item: Option<Box<Item>>,
    /// The part: in events about a whole part.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub part: Option<ItemPart>,
    /// A piece of text, arguments or input.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delta: Option<String>,
    /// The whole text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// The whole refusal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refusal: Option<String>,
    /// The whole arguments.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub arguments: Option<String>,
    /// The name of the function, beside the whole arguments.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The whole input of a custom tool.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input: Option<String>,
    /// The log probabilities of a text or its piece.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub logprobs: Option<Vec<Value>>,
    /// All other members, such as `code` and `message` of an `error`.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

impl ResponsesEvent {
    /// Creates an event that has only its type and number.
    pub fn new(type_: impl Into<String>, sequence_number: u64) -> Self {
        Self {
            type_: type_.into(),
            sequence_number,
            ..Self::default()
        }
    }

    /// The name of the event.
    pub fn name(&self) -> &str {
        &self.type_
    }
}
