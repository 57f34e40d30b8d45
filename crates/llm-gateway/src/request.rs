//! What the gateway has to know of a request, read without parsing the rest.

use std::fmt;

use llm_provider::{Json, Operation};
use llm_types::{ChatRequest, ParseError, RawObject};

use crate::error::ApiError;

/// The parts of a request that decide about its way.
#[derive(Debug, Eq, PartialEq)]
pub(crate) struct Params {
    /// The model group.
    pub(crate) model: String,
    pub(crate) stream: bool,
    pub(crate) include_usage: bool,
}

impl Params {
    /// Reads and checks the body of a chat: what is none need not travel any further.
    pub(crate) fn chat(body: &Json<ChatRequest>) -> Result<Self, ApiError> {
        let object = object(body)?;
        let params = Self::read(&object, CHAT)?;
        let mut messages = object.objects("messages").into_iter().flatten().peekable();
        if messages.peek().is_none() {
            return Err(missing("messages", "an array with at least one message"));
        }
        for (index, message) in messages.enumerate() {
            check_message(
                Place {
                    message: index,
                    part: None,
                },
                message,
            )?;
        }
        Ok(params)
    }

    /// Reads what requests of all sorts have, and checks the types of `members`.
    pub(crate) fn read(
        object: &RawObject<'_>,
        members: &[(&'static str, Kind)],
    ) -> Result<Self, ApiError> {
        for (key, value) in object.members() {
            let mut known = COMMON.iter().chain(members);
            if let Some((_, kind)) = known.find(|(known, _)| *known == key) {
                check(key, value, *kind)?;
            }
        }
        let model = match object.str("model") {
            Some(model) => model.into_owned(),
            None => object
                .read("model")
                .map_err(unreadable_model)?
                .unwrap_or_default(),
        };
        if model.trim().is_empty() {
            return Err(missing("model", "the name of a model"));
        }
        Ok(Self {
            model,
            stream: object.bool("stream").unwrap_or_default(),
            include_usage: include_usage(object)?,
        })
    }
}

fn unreadable_model(error: ParseError) -> ApiError {
    let message = format!("`model`: {}", error.message());
    ApiError::invalid(message).with_param("model")
}

/// The members of a body.
pub(crate) fn object<R: Operation>(body: &Json<R>) -> Result<RawObject<'_>, ApiError> {
    if body.bytes().iter().all(u8::is_ascii_whitespace) {
        return Err(ApiError::invalid(
            "the body is empty; a JSON object is expected",
        ));
    }
    body.object().map_err(|error| {
        let (what, line, column) = (error.message(), error.line(), error.column());
        let message = format!("the body is not valid JSON: {what} at line {line} column {column}");
        ApiError::invalid(message)
    })
}

pub(crate) fn missing(param: &str, what: &str) -> ApiError {
    ApiError::invalid(format!("`{param}` is required: {what}"))
        .with_param(param)
        .with_code("missing_required_parameter")
}

pub(crate) fn wrong(path: &str, expected: &str, found: Kind) -> ApiError {
    ApiError::invalid(format!("`{path}`: expected {expected}, found {found}"))
        .with_param(path)
        .with_code("invalid_type")
}

/// Looks at the type only: the upstream knows its own ranges. Null counts as absent.
fn check(path: &str, value: &[u8], kind: Kind) -> Result<(), ApiError> {
    match Kind::of(value) {
        Kind::Null => Ok(()),
        found if found == kind => Ok(()),
        found => Err(wrong(path, &kind.to_string(), found)),
    }
}

fn include_usage(object: &RawObject<'_>) -> Result<bool, ApiError> {
    let options = object
        .get("stream_options")
        .filter(|options| options.starts_with('{'));
    let Some(options) = options.and_then(|options| RawObject::parse(options.as_bytes()).ok())
    else {
        return Ok(false);
    };
    let value = options.bytes("include_usage").unwrap_or(b"null");
    check("stream_options.include_usage", value, Kind::Bool)?;
    Ok(options.bool("include_usage").unwrap_or_default())
}

/// Checks that `key` is text in one of OpenAI's four forms: a text, texts, token ids, or arrays
/// of token ids.
pub(crate) fn check_texts(object: &RawObject<'_>, key: &'static str) -> Result<(), ApiError> {
    let expected = "a string, or an array of strings or of token ids";
    match object.bytes(key).map(Kind::of) {
        None | Some(Kind::Null) => return Err(missing(key, expected)),
        Some(Kind::String) => return Ok(()),
        Some(Kind::Array) => {}
        Some(other) => return Err(wrong(key, expected, other)),
    }
    let mut kinds = object.items(key).into_iter().flatten().map(Kind::of);
    let Some(first) = kinds.next() else {
        let message = format!("`{key}` is empty: expected {expected}");
        return Err(ApiError::invalid(message).with_param(key));
    };
    if !matches!(first, Kind::Array | Kind::Number | Kind::String) {
        return Err(wrong(&format!("{key}[0]"), expected, first));
    }
    // The first tells which form it is.
    match kinds.enumerate().find(|(_, kind)| *kind != first) {
        None => Ok(()),
        Some((index, found)) => {
            let path = format!("{key}[{}]", index + 1);
            Err(wrong(&path, &first.to_string(), found))
        }
    }
}

fn check_message(place: Place, message: RawItem<'_>) -> Result<(), ApiError> {
    let message = require_object(place, message)?;
    require_string(place, &message, "role")?;
    match message.bytes("content").map(Kind::of) {
        None | Some(Kind::String | Kind::Null) => Ok(()),
        Some(Kind::Array) => {
            for (index, part) in message.objects("content").into_iter().flatten().enumerate() {
                let place = Place {
                    part: Some(index),
                    ..place
                };
                require_string(place, &require_object(place, part)?, "type")?;
            }
            Ok(())
        }
        Some(found) => {
            let expected = "a string or an array of content parts";
            Err(wrong(&format!("{place}.content"), expected, found))
        }
    }
}

/// An object, or the text of what is there instead.
type RawItem<'a> = Result<RawObject<'a>, &'a str>;

fn require_object<'a>(place: Place, item: RawItem<'a>) -> Result<RawObject<'a>, ApiError> {
    let expected = Kind::Object.to_string();
    item.map_err(|found| wrong(&place.to_string(), &expected, Kind::of(found)))
}

fn require_string(place: Place, object: &RawObject<'_>, key: &str) -> Result<(), ApiError> {
    match object.bytes(key).map(Kind::of) {
        Some(Kind::String) => Ok(()),
        Some(found) => Err(wrong(
            &format!("{place}.{key}"),
            &Kind::String.to_string(),
            found,
        )),
        None => Err(missing(&format!("{place}.{key}"), "a string")),
    }
}

/// A message, or a part of its content; a path only when somebody has to be told.
#[derive(Clone, Copy)]
struct Place {
    message: usize,
    part: Option<usize>,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "messages[{}]", self.message)?;
        self.part
            .map_or(Ok(()), |part| write!(f, ".content[{part}]"))
    }
}

#[derive(Clone, Copy, Eq, PartialEq)]
pub(crate) enum Kind {
    Array,
    Bool,
    Null,
    Number,
    Object,
    String,
}

impl Kind {
    /// The type of a value, by its first byte.
    pub(crate) fn of(value: impl AsRef<[u8]>) -> Self {
        match value.as_ref().first() {
            Some(b'"') => Self::String,
            Some(b'[') => Self::Array,
            Some(b'{') => Self::Object,
            Some(b't' | b'f') => Self::Bool,
            Some(b'n') => Self::Null,
            _ => Self::Number,
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Array => "an array",
            Self::Bool => "a boolean",
            Self::Null => "null",
            Self::Number => "a number",
            Self::Object => "an object",
            Self::String => "a string",
        })
    }
}

/// What requests of all sorts have.
const COMMON: &[(&str, Kind)] = &[
    ("model", Kind::String),
    ("stream", Kind::Bool),
    ("stream_options", Kind::Object),
    ("user", Kind::String),
];

/// What a chat has of one type everywhere.
const CHAT: &[(&str, Kind)] = &[
    ("messages", Kind::Array),
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
];
