//! Content blocks, of requests and of responses.

use std::fmt;

use serde::de::value::SeqAccessDeserializer;
use serde::de::{Deserializer, Error as DeError, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::field::Field;
use crate::tagged::{by_form, object, tag, type_of, untag};

/// Content: a string or a list of blocks, written in the form in which it was read.
#[allow(clippy::exhaustive_enums)] // JSON content is a string or an array
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(untagged)]
pub enum BlockContent {
    /// A string; it means the same as one text block.
    Text(String),
    /// A list of blocks.
    Blocks(Vec<Block>),
}

impl From<&str> for BlockContent {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for BlockContent {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<Vec<Block>> for BlockContent {
    fn from(blocks: Vec<Block>) -> Self {
        Self::Blocks(blocks)
    }
}

impl<'de> Deserialize<'de> for BlockContent {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ContentVisitor)
    }
}

/// A content block.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(untagged)]
pub enum Block {
    /// A document: PDF or text.
    Document(DocumentBlock),
    /// An image.
    Image(ImageBlock),
    /// Reasoning that only Anthropic can read.
    RedactedThinking(RedactedThinkingBlock),
    /// A result of the client's own search.
    SearchResult(SearchResultBlock),
    /// Text.
    Text(TextBlock),
    /// The model's reasoning.
    Thinking(ThinkingBlock),
    /// The result of a tool call.
    ToolResult(ToolResultBlock),
    /// A tool call of the model.
    ToolUse(ToolUseBlock),
    /// A block of another type, such as `server_tool_use`, unchanged.
    Other(Map<String, Value>),
}

impl Block {
    /// Creates a text block without citations.
    pub fn text(text: impl Into<String>) -> Self {
        Self::Text(TextBlock {
            text: text.into(),
            citations: Field::Absent,
            extra: Map::new(),
        })
    }

    /// Creates a thinking block.
    pub fn thinking(thinking: impl Into<String>, signature: impl Into<String>) -> Self {
        Self::Thinking(ThinkingBlock {
            thinking: thinking.into(),
            signature: Field::Value(signature.into()),
            extra: Map::new(),
        })
    }

    /// Creates a tool call.
    pub fn tool_use(id: impl Into<String>, name: impl Into<String>, input: Value) -> Self {
        Self::ToolUse(ToolUseBlock {
            id: id.into(),
            name: name.into(),
            input,
            extra: Map::new(),
        })
    }

    /// The type of the block on the wire.
    pub fn type_(&self) -> &str {
        match self {
            Self::Document(_) => "document",
            Self::Image(_) => "image",
            Self::RedactedThinking(_) => "redacted_thinking",
            Self::SearchResult(_) => "search_result",
            Self::Text(_) => "text",
            Self::Thinking(_) => "thinking",
            Self::ToolResult(_) => "tool_result",
            Self::ToolUse(_) => "tool_use",
            Self::Other(map) => type_of(map),
        }
    }
}

impl<'de> Deserialize<'de> for Block {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        by_form(deserializer, |value| {
            let map = object(value)?;
            match tag(&map)? {
                "document" => untag(map).map(Self::Document),
                "image" => untag(map).map(Self::Image),
                "redacted_thinking" => untag(map).map(Self::RedactedThinking),
                "search_result" => untag(map).map(Self::SearchResult),
                "text" => untag(map).map(Self::Text),
                "thinking" => untag(map).map(Self::Thinking),
                "tool_result" => untag(map).map(Self::ToolResult),
                "tool_use" => untag(map).map(Self::ToolUse),
                _ => Ok(Self::Other(map)),
            }
        })
    }
}

/// Text; `extra` may hold `cache_control`.
#[non_exhaustive]
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "type", rename = "text")]
#[cfg_attr(
    feature = "schema",
    schemars(rename = "TextBlock", transform = crate::schema::tagged("text"))
)]
pub struct TextBlock {
    /// The text.
    pub text: String,
    /// The citations.
    #[serde(default, skip_serializing_if = "Field::is_absent")]
    pub citations: Field<Value>,
    /// All other members.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// An image.
#[non_exhaustive]
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "type", rename = "image")]
#[cfg_attr(
    feature = "schema",
    schemars(rename = "ImageBlock", transform = crate::schema::tagged("image"))
)]
pub struct ImageBlock {
    /// The image: `base64`, `url` or `file`.
    pub source: Source,
    /// All other members.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// A document.
#[non_exhaustive]
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "type", rename = "document")]
#[cfg_attr(
    feature = "schema",
    schemars(rename = "DocumentBlock", transform = crate::schema::tagged("document"))
)]
pub struct DocumentBlock {
    /// The document: `base64`, `text`, `content`, `url` or `file`.
    pub source: Source,
    /// The title.
    #[serde(default, skip_serializing_if = "Field::is_absent")]
    pub title: Field<String>,
    /// Notes about the document for the model.
    #[serde(default, skip_serializing_if = "Field::is_absent")]
    pub context: Field<String>,
    /// All other members.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// The source of an image or a document; the `type` determines which members are used.
#[non_exhaustive]
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Source {
    /// `base64`, `text`, `content`, `url` or `file`.
    #[serde(rename = "type")]
    pub type_: String,
    /// The media type of `data`.
    #[serde(default, skip_serializing_if = "Field::is_absent")]
    pub media_type: Field<String>,
    /// The data: base64, or plain text if the type is `text`.
    #[serde(default, skip_serializing_if = "Field::is_absent")]
    pub data: Field<String>,
    /// The URL.
    #[serde(default, skip_serializing_if = "Field::is_absent")]
    pub url: Field<String>,
    /// The id of an uploaded file.
    #[serde(default, skip_serializing_if = "Field::is_absent")]
    pub file_id: Field<String>,
    /// The content of a document that consists of blocks.
    #[serde(default, skip_serializing_if = "Field::is_absent")]
    pub content: Field<BlockContent>,
    /// All other members.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// A result of the client's own search.
#[non_exhaustive]
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "type", rename = "search_result")]
#[cfg_attr(
    feature = "schema",
    schemars(rename = "SearchResultBlock", transform = crate::schema::tagged("search_result"))
)]
pub struct SearchResultBlock {
    /// Where the result was found, such as a URL.
    pub source: String,
    /// The title.
    pub title: String,
    /// The text blocks of the result.
    pub content: Vec<Block>,
    /// All other members.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// The model's reasoning.
#[non_exhaustive]
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "type", rename = "thinking")]
#[cfg_attr(
    feature = "schema",
    schemars(rename = "ThinkingBlock", transform = crate::schema::tagged("thinking"))
)]
pub struct ThinkingBlock {
    /// The text.
    pub thinking: String,
    /// An opaque signature; other gateways leave it out.
    #[serde(default, skip_serializing_if = "Field::is_absent")]
    pub signature: Field<String>,
    /// All other members.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// Reasoning that only Anthropic can read.
#[non_exhaustive]
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "type", rename = "redacted_thinking")]
#[cfg_attr(
    feature = "schema",
    schemars(
        rename = "RedactedThinkingBlock",
        transform = crate::schema::tagged("redacted_thinking")
    )
)]
pub struct RedactedThinkingBlock {
    /// The encrypted text.
    pub data: String,
    /// All other members.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// A tool call of the model.
#[non_exhaustive]
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "type", rename = "tool_use")]
#[cfg_attr(
    feature = "schema",
    schemars(rename = "ToolUseBlock", transform = crate::schema::tagged("tool_use"))
)]
pub struct ToolUseBlock {
    /// The id to which the result refers.
    pub id: String,
    /// The name of the tool.
    pub name: String,
    /// The arguments: an object.
    pub input: Value,
    /// All other members.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// The result of a tool call.
#[non_exhaustive]
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "type", rename = "tool_result")]
#[cfg_attr(
    feature = "schema",
    schemars(rename = "ToolResultBlock", transform = crate::schema::tagged("tool_result"))
)]
pub struct ToolResultBlock {
    /// The id of the call.
    pub tool_use_id: String,
    /// The result.
    #[serde(default, skip_serializing_if = "Field::is_absent")]
    pub content: Field<BlockContent>,
    /// Whether the tool failed.
    #[serde(default, skip_serializing_if = "Field::is_absent")]
    pub is_error: Field<bool>,
    /// All other members.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

struct ContentVisitor;

impl<'de> Visitor<'de> for ContentVisitor {
    type Value = BlockContent;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string or an array of content blocks")
    }

    fn visit_str<E: DeError>(self, text: &str) -> Result<BlockContent, E> {
        Ok(BlockContent::Text(text.to_owned()))
    }

    fn visit_string<E: DeError>(self, text: String) -> Result<BlockContent, E> {
        Ok(BlockContent::Text(text))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, blocks: A) -> Result<BlockContent, A::Error> {
        Vec::deserialize(SeqAccessDeserializer::new(blocks)).map(BlockContent::Blocks)
    }
}
