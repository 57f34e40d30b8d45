//! The items of an input or an output.

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

use super::part::ItemPart;
use crate::chat::Role;
use crate::open_enum::open_enum;
use crate::tagged::{by_form, elements, from_map, object, tag, type_of, unexpected, untag};
use crate::{field::Field, lenient};

/// An item of an input or an output.
#[allow(clippy::large_enum_variant)] // most items are messages, the largest
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(untagged)]
pub enum Item {
    /// A call of a custom tool, whose input is free text.
    CustomToolCall(CustomToolCallItem),
    /// A call of a function.
    FunctionCall(FunctionCallItem),
    /// The result of a call of either kind.
    CallOutput(CallOutputItem),
    /// A message; its type may be left out.
    Message(MessageItem),
    /// The model's reasoning.
    Reasoning(ReasoningItem),
    /// An item of another type, such as `item_reference`, unchanged.
    Other(Map<String, Value>),
}

impl Item {
    /// The type of the item on the wire.
    pub fn type_(&self) -> &str {
        match self {
            Self::CustomToolCall(_) => "custom_tool_call",
            Self::FunctionCall(_) => "function_call",
            Self::CallOutput(item) => &item.type_,
            Self::Message(_) => "message",
            Self::Reasoning(_) => "reasoning",
            Self::Other(map) => type_of(map),
        }
    }

    /// The id of the item.
    pub fn id(&self) -> Option<&str> {
        match self {
            Self::CustomToolCall(item) => item.id.as_str(),
            Self::FunctionCall(item) => item.id.as_str(),
            Self::CallOutput(item) => item.extra.get("id").and_then(Value::as_str),
            Self::Message(item) => item.id.as_str(),
            Self::Reasoning(item) => item.id.as_str(),
            Self::Other(map) => map.get("id").and_then(Value::as_str),
        }
    }
}

impl<'de> Deserialize<'de> for Item {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        by_form(deserializer, |value| {
            let mut map = object(value)?;
            if map.get("type").is_none_or(Value::is_null) {
                if map.contains_key("role") {
                    return from_map(&map).map(Self::Message);
                }
                // OpenAI's schema also lets references leave out their type.
                if map.keys().all(|key| matches!(key.as_str(), "id" | "type"))
                    && map.contains_key("id")
                {
                    map.insert("type".to_owned(), "item_reference".into());
                }
            }
            match tag(&map)? {
                "custom_tool_call" => untag(map).map(Self::CustomToolCall),
                "function_call" => untag(map).map(Self::FunctionCall),
                "custom_tool_call_output" | "function_call_output" => {
                    from_map(&map).map(Self::CallOutput)
                }
                "message" => from_map(&map).map(Self::Message),
                "reasoning" => untag(map).map(Self::Reasoning),
                _ => Ok(Self::Other(map)),
            }
        })
    }
}

/// Content: a string or a list of parts, written in the form in which it was read.
#[allow(clippy::exhaustive_enums)] // JSON content is a string or an array
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(untagged)]
pub enum ItemContent {
    /// A string.
    Text(String),
    /// A list of parts.
    Parts(Vec<ItemPart>),
}

impl<'de> Deserialize<'de> for ItemContent {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        by_form(deserializer, |value| match value {
            Value::String(text) => Ok(Self::Text(text)),
            Value::Array(parts) => elements(parts).map(Self::Parts),
            other => Err(unexpected("a string or an array of content parts", &other)),
        })
    }
}

/// A message.
#[non_exhaustive]
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct MessageItem {
    /// `message`; clients may leave it out.
    #[serde(default, rename = "type", skip_serializing_if = "Field::is_absent")]
    pub type_: Field<String>,
    /// The id.
    #[serde(default, skip_serializing_if = "Field::is_absent")]
    pub id: Field<String>,
    /// The role of the author.
    pub role: Role,
    /// The content.
    pub content: ItemContent,
    /// The status.
    #[serde(default, skip_serializing_if = "Field::is_absent")]
    pub status: Field<ItemStatus>,
    /// All other members, such as `phase`.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

impl MessageItem {
    /// Creates a message of the model.
    pub fn output(id: impl Into<String>, content: Vec<ItemPart>, status: ItemStatus) -> Self {
        Self {
            type_: "message".into(),
            id: Field::Value(id.into()),
            role: Role::Assistant,
            content: ItemContent::Parts(content),
            status: Field::Value(status),
            extra: Map::new(),
        }
    }
}

/// A call of a function.
#[non_exhaustive]
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "type", rename = "function_call")]
#[cfg_attr(
    feature = "schema",
    schemars(rename = "FunctionCallItem", transform = crate::schema::tagged("function_call"))
)]
pub struct FunctionCallItem {
    /// The id of the item.
    #[serde(default, skip_serializing_if = "Field::is_absent")]
    pub id: Field<String>,
    /// The id to which the result refers.
    pub call_id: String,
    /// The name of the function.
    pub name: String,
    /// The namespace of the function.
    #[serde(default, skip_serializing_if = "Field::is_absent")]
    pub namespace: Field<String>,
    /// JSON text as the model wrote it; it may be invalid.
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub arguments: String,
    /// The status.
    #[serde(default, skip_serializing_if = "Field::is_absent")]
    pub status: Field<ItemStatus>,
    /// All other members.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

impl FunctionCallItem {
    /// Creates a call.
    pub fn new(
        id: impl Into<String>,
        call_id: impl Into<String>,
        name: impl Into<String>,
        arguments: impl Into<String>,
        status: ItemStatus,
    ) -> Self {
        Self {
            id: Field::Value(id.into()),
            call_id: call_id.into(),
            name: name.into(),
            namespace: Field::Absent,
            arguments: arguments.into(),
            status: Field::Value(status),
            extra: Map::new(),
        }
    }
}

/// A call of a custom tool.
#[non_exhaustive]
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "type", rename = "custom_tool_call")]
#[cfg_attr(
    feature = "schema",
    schemars(rename = "CustomToolCallItem", transform = crate::schema::tagged("custom_tool_call"))
)]
pub struct CustomToolCallItem {
    /// The id of the item.
    #[serde(default, skip_serializing_if = "Field::is_absent")]
    pub id: Field<String>,
    /// The id to which the result refers.
    pub call_id: String,
    /// The name of the tool.
    pub name: String,
    /// The namespace of the tool.
    #[serde(default, skip_serializing_if = "Field::is_absent")]
    pub namespace: Field<String>,
    /// The input: free text.
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub input: String,
    /// The status.
    #[serde(default, skip_serializing_if = "Field::is_absent")]
    pub status: Field<ItemStatus>,
    /// All other members.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

impl CustomToolCallItem {
    /// Creates a call.
    pub fn new(
        id: impl Into<String>,
        call_id: impl Into<String>,
        name: impl Into<String>,
        input: impl Into<String>,
        status: ItemStatus,
    ) -> Self {
        Self {
            id: Field::Value(id.into()),
            call_id: call_id.into(),
            name: name.into(),
            namespace: Field::Absent,
            input: input.into(),
            status: Field::Value(status),
            extra: Map::new(),
        }
    }
}

/// The result of a call.
#[non_exhaustive]
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct CallOutputItem {
    /// `function_call_output` or `custom_tool_call_output`.
    #[serde(rename = "type")]
    pub type_: String,
    /// The id of the call.
    pub call_id: String,
    /// The result.
    pub output: ItemContent,
    /// All other members.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// The model's reasoning.
#[non_exhaustive]
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "type", rename = "reasoning")]
#[cfg_attr(
    feature = "schema",
    schemars(rename = "ReasoningItem", transform = crate::schema::tagged("reasoning"))
)]
pub struct ReasoningItem {
    /// The id.
    #[serde(default, skip_serializing_if = "Field::is_absent")]
    pub id: Field<String>,
    /// The summary.
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub summary: Vec<ItemPart>,
    /// The text.
    #[serde(default, skip_serializing_if = "Field::is_absent")]
    pub content: Field<Vec<ItemPart>>,
    /// The text, encrypted by the server.
    #[serde(default, skip_serializing_if = "Field::is_absent")]
    pub encrypted_content: Field<String>,
    /// The status.
    #[serde(default, skip_serializing_if = "Field::is_absent")]
    pub status: Field<ItemStatus>,
    /// All other members.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

impl ReasoningItem {
    /// Creates reasoning without text.
    pub fn new(id: impl Into<String>, status: ItemStatus) -> Self {
        Self {
            id: Field::Value(id.into()),
            summary: Vec::new(),
            content: Field::Absent,
            encrypted_content: Field::Absent,
            status: Field::Value(status),
            extra: Map::new(),
        }
    }
}

open_enum! {
    /// The status of an item.
    pub enum ItemStatus {
        /// Complete.
        Completed = "completed",
        /// Being generated.
        InProgress = "in_progress",
        /// Cut off.
        Incomplete = "incomplete",
    }
}
