//! Checks of requests. What every upstream would reject is rejected before anything is sent, with the
//! path of the member.

use std::borrow::Cow;
use std::fmt;

use llm_types::{ParseError, RawObject};

use crate::{Document, Error, ErrorKind, MAX_MODEL_NAME, Result};

/// Reads the members of a request. Checks the types of those in `members`, and that `model` is set.
///
/// Null counts as absent.
pub(super) fn members<'d>(
    request: &'d Document,
    members: &[(&'static str, Kind)],
) -> Result<RawObject<'d>> {
    if request.bytes().iter().all(u8::is_ascii_whitespace) {
        return Err(invalid("the body is empty; a JSON object is expected"));
    }
    let object = request.object().map_err(not_an_object)?;
    for (key, value) in object.members() {
        let mut known = COMMON.iter().chain(members);
        if let Some((_, kind)) = known.find(|(known, _)| *known == key) {
            check(key, value, *kind)?;
        }
    }
    if let Some(options) = object
        .get("stream_options")
        .filter(|it| it.starts_with('{'))
    {
        let options = RawObject::parse(options.as_bytes()).map_err(not_an_object)?;
        let value = options.bytes("include_usage").unwrap_or(b"null");
        check("stream_options.include_usage", value, Kind::Bool)?;
    }
    let model = match object.str("model") {
        Some(model) => model,
        None => object
            .read::<String>("model")
            .map_err(unreadable_model)?
            .map_or(Cow::Borrowed(""), Cow::Owned),
    };
    model_name(&model)?;
    if model.trim().is_empty() {
        return Err(missing("model", "the name of a model"));
    }
    Ok(object)
}

/// Checks that `key` is text in one of OpenAI's four forms: a text, texts, token ids, or arrays of
/// token ids.
pub(super) fn texts(object: &RawObject<'_>, key: &'static str) -> Result<()> {
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
        return Err(invalid(message).with_param(key.to_owned()));
    };
    if !matches!(first, Kind::Array | Kind::Number | Kind::String) {
        return Err(wrong(&format!("{key}[0]"), expected, first));
    }
    // The first item decides on the form.
    match kinds.enumerate().find(|(_, kind)| *kind != first) {
        None => Ok(()),
        Some((index, found)) => {
            let path = format!("{key}[{}]", index + 1);
            Err(wrong(&path, &first.to_string(), found))
        }
    }
}

/// Rejects a model name longer than [`MAX_MODEL_NAME`], since later steps compare, quote and copy it.
///
/// # Errors
/// [`ErrorKind::InvalidRequest`] with OpenAI's code `string_above_max_length`.
pub fn model_name(name: &str) -> Result<()> {
    if name.len() <= MAX_MODEL_NAME {
        return Ok(());
    }
    let length = name.len();
    let message =
        format!("`model` is too long: it has {length} bytes, and the limit is {MAX_MODEL_NAME}");
    Err(invalid(message)
        .with_param("model".to_owned())
        .with_code("string_above_max_length".to_owned()))
}

/// The error for a member that is required.
pub(super) fn missing(path: &str, what: &str) -> Error {
    invalid(format!("`{path}` is required: {what}"))
        .with_param(path.to_owned())
        .with_code("missing_required_parameter".to_owned())
}

/// The error for a member of the wrong type.
pub(super) fn wrong(path: &str, expected: &str, found: Kind) -> Error {
    invalid(format!("`{path}`: expected {expected}, found {found}"))
        .with_param(path.to_owned())
        .with_code("invalid_type".to_owned())
}

fn invalid(message: impl Into<Cow<'static, str>>) -> Error {
    Error::new(ErrorKind::InvalidRequest, message)
}

fn not_an_object(error: ParseError) -> Error {
    let (what, line, column) = (error.message(), error.line(), error.column());
    invalid(format!(
        "the body is not valid JSON: {what} at line {line} column {column}"
    ))
}

fn unreadable_model(error: ParseError) -> Error {
    invalid(format!("`model`: {}", error.message())).with_param("model".to_owned())
}

fn check(path: &str, value: &[u8], kind: Kind) -> Result<()> {
    match Kind::of(value) {
        Kind::Null => Ok(()),
        found if found == kind => Ok(()),
        found => Err(wrong(path, &kind.to_string(), found)),
    }
}

/// The type of a JSON value.
#[derive(Clone, Copy, Eq, PartialEq)]
pub(super) enum Kind {
    Array,
    Bool,
    Null,
    Number,
    Object,
    String,
}

impl Kind {
    /// The type of a value, by its first byte.
    pub(super) fn of(value: impl AsRef<[u8]>) -> Self {
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

/// Members that the requests of all endpoints share.
const COMMON: &[(&str, Kind)] = &[
    ("model", Kind::String),
    ("stream", Kind::Bool),
    ("stream_options", Kind::Object),
    ("user", Kind::String),
];
