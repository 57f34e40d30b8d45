//! The content of a message: a string, or a list of parts.

use std::borrow::Cow;
use std::fmt;

use serde::de::value::SeqAccessDeserializer;
use serde::de::{Deserializer, Error as DeError, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::tagged::{by_form, object, tag, type_of, untag};
use crate::{field::Field, open_enum::open_enum};

/// The content of a message: a string or a list of parts, written in the form in which it was read.
#[allow(clippy::exhaustive_enums)] // JSON content is a string or an array
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(untagged)]
pub enum Content {
    /// A string.
    Text(String),
    /// A list of parts.
    Parts(Vec<ContentPart>),
}

impl Content {
    /// The string, or the text parts joined; `None` if there is no text part.
    pub fn text(&self) -> Option<Cow<'_, str>> {
        let parts = match self {
            Self::Text(text) => return Some(Cow::Borrowed(text)),
            Self::Parts(parts) => parts,
        };
        let mut texts = parts.iter().filter_map(ContentPart::as_text);
        let mut joined = Cow::Borrowed(texts.next()?);
        for text in texts {
            joined.to_mut().push_str(text);
        }
        Some(joined)
    }
}

impl From<&str> for Content {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Content {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<Vec<ContentPart>> for Content {
    fn from(parts: Vec<ContentPart>) -> Self {
        Self::Parts(parts)
    }
}

/// Uses a custom visitor, because serde's untagged enums only report that no variant matched.
impl<'de> Deserialize<'de> for Content {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ContentVisitor)
    }
}

/// One part of a message.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(untagged)]
pub enum ContentPart {
    /// A file, by id or inline.
    File(FilePart),
    /// An image, by URL or inline as a `data:` URL.
    ImageUrl(ImageUrlPart),
    /// Inline audio.
    InputAudio(InputAudioPart),
    /// A refusal of the model.
    Refusal(RefusalPart),
    /// Text.
    Text(TextPart),
    /// A part of another type, such as Together's `video_url`, unchanged.
    Other(Map<String, Value>),
}

impl ContentPart {
    /// Creates a text part.
    pub fn text(text: impl Into<String>) -> Self {
        Self::Text(TextPart {
            text: text.into(),
            extra: Map::new(),
        })
    }

    /// Creates an image part from a URL, which may be a `data:` URL.
    pub fn image_url(url: impl Into<String>) -> Self {
        Self::ImageUrl(ImageUrlPart {
            image_url: ImageUrl {
                url: url.into(),
                detail: Field::Absent,
                extra: Map::new(),
            },
            extra: Map::new(),
        })
    }

    /// The text of a text part.
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(part) => Some(&part.text),
            _ => None,
        }
    }

    /// The type of the part on the wire.
    pub fn type_(&self) -> &str {
        match self {
            Self::File(_) => "file",
            Self::ImageUrl(_) => "image_url",
            Self::InputAudio(_) => "input_audio",
            Self::Refusal(_) => "refusal",
            Self::Text(_) => "text",
            Self::Other(map) => type_of(map),
        }
    }
}

impl<'de> Deserialize<'de> for ContentPart {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        by_form(deserializer, |value| {
            let map = object(value)?;
            match tag(&map)? {
                "file" => untag(map).map(Self::File),
                "image_url" => untag(map).map(Self::ImageUrl),
                "input_audio" => untag(map).map(Self::InputAudio),
                "refusal" => untag(map).map(Self::Refusal),
                "text" => untag(map).map(Self::Text),
                _ => Ok(Self::Other(map)),
            }
        })
    }
}

/// Text. `extra` may have LiteLLM's `cache_control` or OpenAI's `prompt_cache_breakpoint`.
#[non_exhaustive]
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "type", rename = "text")]
#[cfg_attr(
    feature = "schema",
    schemars(rename = "TextPart", transform = crate::schema::tagged("text"))
)]
pub struct TextPart {
    /// The text.
    pub text: String,
    /// All other members.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// An image.
#[non_exhaustive]
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "type", rename = "image_url")]
#[cfg_attr(
    feature = "schema",
    schemars(rename = "ImageUrlPart", transform = crate::schema::tagged("image_url"))
)]
pub struct ImageUrlPart {
    /// The image's URL.
    pub image_url: ImageUrl,
    /// All other members.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// The URL of an image.
#[non_exhaustive]
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ImageUrl {
    /// An `https:` or `data:` URL.
    pub url: String,
    /// The level of detail.
    #[serde(default, skip_serializing_if = "Field::is_absent")]
    pub detail: Field<ImageDetail>,
    /// All other members.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// An audio part.
#[non_exhaustive]
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "type", rename = "input_audio")]
#[cfg_attr(
    feature = "schema",
    schemars(rename = "InputAudioPart", transform = crate::schema::tagged("input_audio"))
)]
pub struct InputAudioPart {
    /// The audio.
    pub input_audio: InputAudio,
    /// All other members.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// Audio in base64.
#[non_exhaustive]
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct InputAudio {
    /// The bytes in base64.
    pub data: String,
    /// `wav` or `mp3`.
    #[serde(default, skip_serializing_if = "Field::is_absent")]
    pub format: Field<String>,
    /// All other members.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// A file: `file` has the member `file_id`, or `file_data` and `filename`.
#[non_exhaustive]
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "type", rename = "file")]
#[cfg_attr(
    feature = "schema",
    schemars(rename = "FilePart", transform = crate::schema::tagged("file"))
)]
pub struct FilePart {
    /// The file, as the client described it.
    pub file: Map<String, Value>,
    /// All other members.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// A refusal of the model.
#[non_exhaustive]
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "type", rename = "refusal")]
#[cfg_attr(
    feature = "schema",
    schemars(rename = "RefusalPart", transform = crate::schema::tagged("refusal"))
)]
pub struct RefusalPart {
    /// The text of the refusal.
    pub refusal: String,
    /// All other members.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

open_enum! {
    /// The level of detail at which a model processes an image.
    pub enum ImageDetail {
        /// The model decides.
        Auto = "auto",
        /// High.
        High = "high",
        /// Low: few tokens.
        Low = "low",
    }
}

struct ContentVisitor;

impl<'de> Visitor<'de> for ContentVisitor {
    type Value = Content;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string or an array of content parts")
    }

    fn visit_str<E: DeError>(self, text: &str) -> Result<Content, E> {
        Ok(Content::Text(text.to_owned()))
    }

    fn visit_string<E: DeError>(self, text: String) -> Result<Content, E> {
        Ok(Content::Text(text))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, parts: A) -> Result<Content, A::Error> {
        Vec::deserialize(SeqAccessDeserializer::new(parts)).map(Content::Parts)
    }
}
