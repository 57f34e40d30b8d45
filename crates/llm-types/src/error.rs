//! The error body.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::field::Field;

/// The body of a failed request, and of the last event of a stream that fails.
///
/// Deserializing keeps the body as it is. [`ErrorResponse::parse`] also accepts other shapes.
#[non_exhaustive]
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ErrorResponse {
    /// The error.
    pub error: ErrorObject,
    /// All other members, such as Together's `id`.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

impl ErrorResponse {
    /// Creates an error with the four keys that OpenAI's clients require; `param` and `code` are
    /// null.
    pub fn new(message: impl Into<String>, type_: impl Into<String>) -> Self {
        Self {
            error: ErrorObject {
                message: message.into(),
                type_: Field::Value(type_.into()),
                param: Field::Null,
                code: Field::Null,
                extra: Map::new(),
            },
            extra: Map::new(),
        }
    }

    /// Sets the invalid parameter.
    #[must_use]
    pub fn with_param(mut self, param: impl Into<String>) -> Self {
        self.error.param = Field::Value(Value::String(param.into()));
        self
    }

    /// Sets the machine-readable code.
    #[must_use]
    pub fn with_code(mut self, code: impl Into<String>) -> Self {
        self.error.code = Field::Value(Value::String(code.into()));
        self
    }

    /// Finds the error in a body; `None` if the body contains no error.
    ///
    /// Besides OpenAI's shape, it accepts `error` as a string (old engines) or a list of strings (Text
    /// Generation Inference), missing keys, `message`, `detail` or `errors` without `error`, the list of
    /// FastAPI's validation in `detail`, and the envelope in an array (Google). The result has all four
    /// keys.
    pub fn parse(body: &[u8]) -> Option<Self> {
        match serde_json::from_slice(body).ok()? {
            Value::Object(body) => Self::from_map(body),
            Value::Array(bodies) => match bodies.into_iter().next()? {
                Value::Object(body) if body.contains_key("error") => Self::from_map(body),
                _ => None,
            },
            _ => None,
        }
    }

    fn from_map(mut extra: Map<String, Value>) -> Option<Self> {
        let error = match extra.shift_remove("error") {
            Some(Value::Object(error)) => ErrorObject::from_map(error),
            Some(Value::String(message)) => ErrorObject::from_message(message),
            Some(list @ Value::Array(_)) => ErrorObject::from_message(messages(&list)?),
            None if !extra.contains_key("choices") => ["message", "detail", "errors"]
                .into_iter()
                .find_map(|key| messages(extra.get(key)?))
                .map(ErrorObject::from_message)?,
            Some(_) | None => return None,
        };
        Some(Self { error, extra })
    }
}

/// The details of an error.
#[non_exhaustive]
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ErrorObject {
    /// The message.
    #[serde(default)]
    pub message: String,
    /// The type of the error, such as `invalid_request_error`.
    #[serde(default, rename = "type", skip_serializing_if = "Field::is_absent")]
    pub type_: Field<String>,
    /// The invalid parameter.
    #[serde(default, skip_serializing_if = "Field::is_absent")]
    pub param: Field<Value>,
    /// The machine-readable code: usually a string, at some gateways a number.
    #[serde(default, skip_serializing_if = "Field::is_absent")]
    pub code: Field<Value>,
    /// All other members.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

impl ErrorObject {
    /// The invalid parameter, as text.
    pub fn param(&self) -> Option<Cow<'_, str>> {
        text(self.param.value()?)
    }

    /// The code, as text.
    pub fn code(&self) -> Option<Cow<'_, str>> {
        text(self.code.value()?)
    }

    fn from_message(message: String) -> Self {
        Self {
            message,
            type_: Field::Null,
            param: Field::Null,
            code: Field::Null,
            extra: Map::new(),
        }
    }

    fn from_map(mut map: Map<String, Value>) -> Self {
        let mut take = |key| map.shift_remove(key).filter(|value| !value.is_null());
        let message = take("message");
        let type_ = take("type");
        let (param, code) = (take("param"), take("code"));
        Self {
            message: message.map(into_text).unwrap_or_default(),
            type_: Field::nullable(type_.map(into_text)),
            param: Field::nullable(param),
            code: Field::nullable(code),
            extra: map,
        }
    }
}

fn into_text(value: Value) -> String {
    match value {
        Value::String(text) => text,
        other => other.to_string(),
    }
}

/// The message in a text, an object, or a list of both.
fn messages(value: &Value) -> Option<String> {
    match value {
        Value::Array(list) => {
            let texts: Vec<_> = list.iter().filter_map(item).collect();
            (!texts.is_empty()).then(|| texts.join("; "))
        }
        other => item(other),
    }
}

/// One message; that of FastAPI has its place in `loc`. Other members may quote the prompt.
fn item(value: &Value) -> Option<String> {
    let Value::Object(error) = value else {
        return text(value).map(Cow::into_owned);
    };
    let message = ["message", "msg", "detail"].into_iter();
    let message = message.filter_map(|key| error.get(key)?.as_str()).next()?;
    let place = error.get("loc").and_then(Value::as_array);
    let place: Vec<_> = place.into_iter().flatten().filter_map(text).collect();
    Some(match &*place.join(".") {
        "" => message.to_owned(),
        place => format!("{place}: {message}"),
    })
}

/// Strings as they are, numbers as printed; `None` for anything else.
fn text(value: &Value) -> Option<Cow<'_, str>> {
    match value {
        Value::String(text) => Some(Cow::Borrowed(text)),
        Value::Number(number) => Some(Cow::Owned(number.to_string())),
        _ => None,
    }
}
