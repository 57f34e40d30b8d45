//! The parts of an item's content.

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

use crate::chat::{ImageDetail, RefusalPart};
use crate::field::Field;
use crate::tagged::{by_form, object, tag, type_of, untag};

/// A part of an item's content.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(untagged)]
pub enum ItemPart {
    /// A file of the client.
    InputFile(InputFilePart),
    /// An image of the client.
    InputImage(InputImagePart),
    /// Text of the model.
    OutputText(OutputTextPart),
    /// A refusal of the model.
    Refusal(RefusalPart),
    /// Other text; its type states the author.
    Text(PartText),
    /// A part of another type, unchanged.
    Other(Map<String, Value>),
}

impl ItemPart {
    /// Creates text of the client.
    pub fn input_text(text: impl Into<String>) -> Self {
        Self::Text(PartText::new("input_text", text))
    }

    /// Creates text of the model, without annotations and log probabilities.
    pub fn output_text(text: impl Into<String>) -> Self {
        Self::OutputText(OutputTextPart {
            text: text.into(),
            annotations: Field::Value(Vec::new()),
            logprobs: Field::Value(Vec::new()),
            extra: Map::new(),
        })
    }

    /// Creates reasoning of the model.
    pub fn reasoning_text(text: impl Into<String>) -> Self {
        Self::Text(PartText::new("reasoning_text", text))
    }

    /// Creates a summary of reasoning.
    pub fn summary_text(text: impl Into<String>) -> Self {
        Self::Text(PartText::new("summary_text", text))
    }

    /// Creates a refusal of the model.
    pub fn refusal(refusal: impl Into<String>) -> Self {
        Self::Refusal(RefusalPart {
            refusal: refusal.into(),
            extra: Map::new(),
        })
    }

    /// The text, if it is text of any kind, or a refusal.
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::OutputText(part) => Some(&part.text),
            Self::Refusal(part) => Some(&part.refusal),
            Self::Text(part) => Some(&part.text),
            Self::InputFile(_) | Self::InputImage(_) | Self::Other(_) => None,
        }
    }

    /// The type of the part on the wire.
    pub fn type_(&self) -> &str {
        match self {
            Self::InputFile(_) => "input_file",
            Self::InputImage(_) => "input_image",
            Self::OutputText(_) => "output_text",
            Self::Refusal(_) => "refusal",
            Self::Text(part) => &part.type_,
            Self::Other(map) => type_of(map),
        }
    }
}

impl<'de> Deserialize<'de> for ItemPart {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        by_form(deserializer, |value| {
            let map = object(value)?;
            match tag(&map)? {
                "input_file" => untag(map).map(Self::InputFile),
                "input_image" => untag(map).map(Self::InputImage),
                "output_text" => untag(map).map(Self::OutputText),
                "refusal" => untag(map).map(Self::Refusal),
                "input_text" | "reasoning_text" | "summary_text" | "text" => {
                    crate::tagged::from_map(&map).map(Self::Text)
                }
                _ => Ok(Self::Other(map)),
            }
        })
    }
}

/// Text: `input_text`, `reasoning_text`, `summary_text` or `text`.
#[non_exhaustive]
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct PartText {
    /// The type.
    #[serde(rename = "type")]
    pub type_: String,
    /// The text.
    pub text: String,
    /// All other members.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

impl PartText {
    fn new(type_: &str, text: impl Into<String>) -> Self {
        Self {
            type_: type_.to_owned(),
            text: text.into(),
            extra: Map::new(),
        }
    }
}

/// Text of the model.
#[non_exhaustive]
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "type", rename = "output_text")]
#[cfg_attr(
    feature = "schema",
    schemars(rename = "OutputTextPart", transform = crate::schema::tagged("output_text"))
)]
pub struct OutputTextPart {
    /// The text.
    pub text: String,
    /// Annotations, such as the links of a web search.
    #[serde(default, skip_serializing_if = "Field::is_absent")]
    pub annotations: Field<Vec<Value>>,
    /// The log probabilities of its tokens.
    #[serde(default, skip_serializing_if = "Field::is_absent")]
    pub logprobs: Field<Vec<Value>>,
    /// All other members.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// An image of the client.
#[non_exhaustive]
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "type", rename = "input_image")]
#[cfg_attr(
    feature = "schema",
    schemars(rename = "InputImagePart", transform = crate::schema::tagged("input_image"))
)]
pub struct InputImagePart {
    /// An `https:` or `data:` URL.
    #[serde(default, skip_serializing_if = "Field::is_absent")]
    pub image_url: Field<String>,
    /// The id of an uploaded file.
    #[serde(default, skip_serializing_if = "Field::is_absent")]
    pub file_id: Field<String>,
    /// The level of detail.
    #[serde(default, skip_serializing_if = "Field::is_absent")]
    pub detail: Field<ImageDetail>,
    /// All other members.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// A file of the client.
#[non_exhaustive]
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "type", rename = "input_file")]
#[cfg_attr(
    feature = "schema",
    schemars(rename = "InputFilePart", transform = crate::schema::tagged("input_file"))
)]
pub struct InputFilePart {
    /// The file as a `data:` URL.
    #[serde(default, skip_serializing_if = "Field::is_absent")]
    pub file_data: Field<String>,
    /// The id of an uploaded file.
    #[serde(default, skip_serializing_if = "Field::is_absent")]
    pub file_id: Field<String>,
    /// The URL of the file.
    #[serde(default, skip_serializing_if = "Field::is_absent")]
    pub file_url: Field<String>,
    /// The name of the file.
    #[serde(default, skip_serializing_if = "Field::is_absent")]
    pub filename: Field<String>,
    /// All other members.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}
