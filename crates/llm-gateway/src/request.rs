//! What the gateway has to know of a chat request, read without parsing the rest.

use std::fmt;

use bytes::Bytes;
use llm_types::{ParseError, RawObject};
use serde::de::{Deserialize, Deserializer, Error, SeqAccess, Visitor};

use crate::error::ApiError;

/// The parts of a chat request that decide about its way.
#[derive(Debug, Eq, PartialEq)]
pub(crate) struct ChatParams {
    /// The model group.
    pub(crate) model: String,
    pub(crate) stream: bool,
    pub(crate) include_usage: bool,
}

impl ChatParams {
    /// Reads and checks a body: what is no chat request need not travel any further.
    pub(crate) fn read(body: &Bytes) -> Result<Self, ApiError> {
        if body.iter().all(u8::is_ascii_whitespace) {
            return Err(ApiError::invalid(
                "the body is empty; a JSON object is expected",
            ));
        }
        let object = RawObject::parse(body)
            .map_err(|error| ApiError::invalid(format!("the body is not valid JSON: {error}")))?;
        for (key, kind) in KINDS {
            check(&object, key, *kind)?;
        }
        let model = object
            .str("model")
            .filter(|model| !model.trim().is_empty())
            .ok_or_else(|| missing("model", "the name of a model"))?;
        let messages: Option<Vec<MessageShape>> = object
            .read("messages")
            .map_err(|error| wrong_inside("messages", &error))?;
        if messages.is_none_or(|messages| messages.is_empty()) {
            return Err(missing("messages", "an array with at least one message"));
        }
        let options: Option<StreamOptions> = object
            .read("stream_options")
            .map_err(|error| wrong_inside("stream_options", &error))?;
        Ok(Self {
            model: model.into_owned(),
            stream: object.bool("stream").unwrap_or_default(),
            include_usage: options
                .and_then(|options| options.include_usage)
                .unwrap_or_default(),
        })
    }
}

fn missing(param: &str, what: &str) -> ApiError {
    ApiError::invalid(format!("`{param}` is required: {what}"))
        .with_param(param)
        .with_code("missing_required_parameter")
}

fn wrong_inside(param: &str, error: &ParseError) -> ApiError {
    let path = match error.path() {
        "" => param.to_owned(),
        inner if inner.starts_with('[') => format!("{param}{inner}"),
        inner => format!("{param}.{inner}"),
    };
    ApiError::invalid(format!("`{path}`: {}", error.message()))
        .with_param(path)
        .with_code("invalid_type")
}

/// Looks at the first byte only: the upstream knows its own ranges.
fn check(object: &RawObject<'_>, key: &str, kind: Kind) -> Result<(), ApiError> {
    let Some(value) = object.get(key) else {
        return Ok(());
    };
    let found = match value.as_bytes().first() {
        Some(b'"') => Kind::String,
        Some(b'[') => Kind::Array,
        Some(b'{') => Kind::Object,
        Some(b't' | b'f') => Kind::Bool,
        Some(b'n') => return Ok(()),
        _ => Kind::Number,
    };
    if found == kind {
        return Ok(());
    }
    Err(
        ApiError::invalid(format!("`{key}`: expected {kind}, found {found}"))
            .with_param(key)
            .with_code("invalid_type"),
    )
}

#[derive(Clone, Copy, Eq, PartialEq)]
enum Kind {
    Array,
    Bool,
    Number,
    Object,
    String,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Array => "an array",
            Self::Bool => "a boolean",
            Self::Number => "a number",
            Self::Object => "an object",
            Self::String => "a string",
        })
    }
}

#[derive(serde::Deserialize)]
struct StreamOptions {
    include_usage: Option<bool>,
}

/// A message, of which only the shape is looked at.
#[derive(serde::Deserialize)]
#[expect(dead_code, reason = "reading the fields is the check")]
struct MessageShape {
    role: Text,
    #[serde(default)]
    content: Option<ContentShape>,
}

/// Content that is text or a list of parts.
struct ContentShape;

impl<'de> Deserialize<'de> for ContentShape {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Shape;
        impl<'de> Visitor<'de> for Shape {
            type Value = ContentShape;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string or an array of content parts")
            }

            fn visit_str<E: Error>(self, _: &str) -> Result<ContentShape, E> {
                Ok(ContentShape)
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<ContentShape, A::Error> {
                while list.next_element::<PartShape>()?.is_some() {}
                Ok(ContentShape)
            }
        }
        deserializer.deserialize_any(Shape)
    }
}

/// A content part: an object with a `type`.
#[derive(serde::Deserialize)]
#[expect(dead_code, reason = "reading the fields is the check")]
struct PartShape {
    r#type: Text,
}

/// Text that nobody reads.
struct Text;

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;
        impl Visitor<'_> for Any {
            type Value = Text;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }

            fn visit_str<E: Error>(self, _: &str) -> Result<Text, E> {
                Ok(Text)
            }
        }
        deserializer.deserialize_str(Any)
    }
}

/// The parameters that have one type everywhere; null counts as absent.
const KINDS: &[(&str, Kind)] = &[
    ("model", Kind::String),
    ("messages", Kind::Array),
    ("stream", Kind::Bool),
    ("stream_options", Kind::Object),
    ("frequency_penalty", Kind::Number),
    ("logit_bias", Kind::Object),
    ("max_completion_tokens", Kind::Number),
    ("max_tokens", Kind::Number),
    ("metadata", Kind::Object),
    ("n", Kind::Number),
    ("parallel_tool_calls", Kind::Bool),
    ("presence_penalty", Kind::Number),
    ("response_format", Kind::Object),
    ("seed", Kind::Number),
    ("temperature", Kind::Number),
    ("tools", Kind::Array),
    ("top_logprobs", Kind::Number),
    ("top_p", Kind::Number),
    ("user", Kind::String),
];
