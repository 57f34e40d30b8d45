//! Reads JSON, with errors that state the position, what was expected and what was found.

use std::error::Error as StdError;
use std::fmt;

use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::raw::Scanner;

/// Reads a value from JSON text.
///
/// Like `serde_json::from_slice`, with better errors.
///
/// # Errors
///
/// If the text is not valid JSON, or does not have this shape.
pub fn parse<T: DeserializeOwned>(json: &[u8]) -> Result<T, ParseError> {
    serde_json::from_slice(json).map_err(|error| {
        // For text that is not JSON, the scanner gives a better error.
        if (error.is_syntax() || error.is_eof())
            && let Err(error) = Scanner::check(json)
        {
            return error;
        }
        ParseError::from_serde(json, &error)
    })
}

/// An error in JSON text: the position, what was expected and what was found.
///
/// It contains keys, but no string value, which may be a prompt.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ParseError(Box<Inner>);

#[derive(Clone, Debug, Eq, PartialEq)]
struct Inner {
    path: String,
    message: String,
    line: usize,
    column: usize,
}

impl ParseError {
    /// The path in the value, such as `messages[1].content[0].type`; empty at the top level.
    pub fn path(&self) -> &str {
        &self.0.path
    }

    /// The message, without the position.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// The line of the text, starting at 1.
    pub fn line(&self) -> usize {
        self.0.line
    }

    /// The column in that line, in characters, starting at 1.
    pub fn column(&self) -> usize {
        self.0.column
    }

    /// Creates an error at a byte offset of the text.
    pub(crate) fn at(json: &[u8], offset: usize, message: impl Into<String>) -> Self {
        let before = &json[..offset.min(json.len())];
        let line_start = before
            .iter()
            .rposition(|&byte| byte == b'\n')
            .map_or(0, |at| at + 1);
        let continuation = |byte: &&u8| **byte & 0xc0 == 0x80;
        let in_line = &before[line_start..];
        Self(Box::new(Inner {
            path: path_before(json, offset),
            message: message.into(),
            line: before.iter().filter(|&&byte| byte == b'\n').count() + 1,
            column: in_line.len() - in_line.iter().filter(continuation).count() + 1,
        }))
    }

    pub(crate) fn from_serde(json: &[u8], error: &serde_json::Error) -> Self {
        let offset = offset_of(json, error.line(), error.column());
        let mut this = Self::at(json, offset, String::new());
        this.0.path = path_before(json, offset + 1);
        let text = error.to_string();
        let place = format!(" at line {} column {}", error.line(), error.column());
        let message = text.strip_suffix(&place).unwrap_or(&text);
        // An error of a nested value that `tagged` read starts with the rest of the path.
        let (path, message) = match message.split_once(": ") {
            Some((path, rest)) if path.starts_with(['.', '[']) => (path, rest),
            _ => ("", message),
        };
        this.0.path.push_str(path);
        if let Some(path) = this.0.path.strip_prefix('.') {
            this.0.path = path.to_owned();
        }
        this.0.message = reword(message);
        this
    }

    /// The message with its path, for wrapping in another error.
    pub(crate) fn inner_message(&self) -> String {
        let Inner { path, message, .. } = &*self.0;
        match path.as_bytes().first() {
            None => message.clone(),
            Some(b'[') => format!("{path}: {message}"),
            Some(_) => format!(".{path}: {message}"),
        }
    }
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Inner {
            path,
            message,
            line,
            column,
        } = &*self.0;
        if !path.is_empty() {
            write!(f, "{path}: ")?;
        }
        write!(f, "{message} at line {line} column {column}")
    }
}

impl StdError for ParseError {}

/// Describes the type of a value.
pub(crate) fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

/// Rewrites serde's message in our wording, without the string that it quotes.
fn reword(message: &str) -> String {
    let wrong = ["invalid type: ", "invalid value: ", "invalid length "]
        .into_iter()
        .find_map(|prefix| message.strip_prefix(prefix));
    let Some((found, expected)) = wrong.and_then(|wrong| wrong.rsplit_once(", expected ")) else {
        return message.to_owned();
    };
    let found = match found.split([' ', '"', '`']).next().unwrap_or_default() {
        "string" => "a string",
        "map" => "an object",
        "sequence" => "an array",
        "boolean" => "a boolean",
        "integer" => "an integer",
        "floating" => "a fraction",
        "null" | "unit" => "null",
        _ => found,
    };
    let expected = match expected {
        "a map" => "an object",
        "a sequence" => "an array",
        _ if expected.starts_with("struct ") => "an object",
        "u8" | "u16" | "u32" | "u64" | "usize" => "a whole number, 0 or more",
        "i8" | "i16" | "i32" | "i64" | "isize" => "a whole number",
        "f32" | "f64" => "a number",
        _ => expected,
    };
    format!("expected {expected}, found {found}")
}

/// The offset of the last byte that serde_json had read before the error.
fn offset_of(json: &[u8], line: usize, column: usize) -> usize {
    let newlines = json.iter().enumerate().filter(|(_, byte)| **byte == b'\n');
    let line_start = match line {
        0 | 1 => 0,
        _ => newlines.map(|(at, _)| at + 1).nth(line - 2).unwrap_or(0),
    };
    (line_start + column.saturating_sub(1)).min(json.len())
}

/// The path of the innermost open value, from the brackets, keys and commas before the byte.
fn path_before(json: &[u8], offset: usize) -> String {
    let mut frames: Vec<Frame<'_>> = Vec::new();
    let mut at = 0;
    while at < offset.min(json.len()) && frames.len() <= MAX_FRAMES {
        match json[at] {
            b'"' => {
                let end = string_end(json, at + 1);
                if let Some(Frame::Object {
                    key,
                    wants_key: wants_key @ true,
                }) = frames.last_mut()
                {
                    *key = Some(&json[at + 1..end]);
                    *wants_key = false;
                }
                at = end;
            }
            b'{' => frames.push(Frame::Object {
                key: None,
                wants_key: true,
            }),
            b'[' => frames.push(Frame::Array { index: 0 }),
            b'}' | b']' => {
                frames.pop();
            }
            b',' => match frames.last_mut() {
                Some(Frame::Object { wants_key, .. }) => *wants_key = true,
                Some(Frame::Array { index }) => *index += 1,
                None => {}
            },
            _ => {}
        }
        at += 1;
    }
    frames.iter().fold(String::new(), |mut path, frame| {
        match frame {
            Frame::Object { key: Some(key), .. } => {
                path.push_str(if path.is_empty() { "" } else { "." });
                let name = key.get(..MAX_KEY).map_or(*key, |_| "…".as_bytes());
                path.push_str(&String::from_utf8_lossy(name));
            }
            Frame::Object { key: None, .. } => {}
            Frame::Array { index } => path.push_str(&format!("[{index}]")),
        }
        path
    })
}

enum Frame<'a> {
    Array {
        index: usize,
    },
    Object {
        key: Option<&'a [u8]>,
        wants_key: bool,
    },
}

/// Deeper nesting does not occur in valid bodies, and would make the path too long.
const MAX_FRAMES: usize = 128;

/// Longer keys do not occur in valid bodies, and are not printed.
const MAX_KEY: usize = 64;

fn string_end(json: &[u8], mut at: usize) -> usize {
    while at < json.len() && json[at] != b'"' {
        at += if json[at] == b'\\' { 2 } else { 1 };
    }
    at.min(json.len())
}
