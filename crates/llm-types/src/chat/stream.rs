//! The events of a stream.

use std::error::Error as StdError;
use std::fmt;

use super::chunk::ChatChunk;
use crate::error::ErrorResponse;
use crate::parse::{ParseError, parse};

/// The content of one event of a chat stream.
#[allow(clippy::large_enum_variant)] // most items are chunks
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq)]
pub enum StreamItem {
    /// A piece of the response.
    Chunk(ChatChunk),
    /// `[DONE]`.
    Done,
    /// The stream failed after it had started.
    Error(ErrorResponse),
}

impl StreamItem {
    /// Reads the data of an event.
    ///
    /// It looks for an `error` first, so that an error is not mistaken for a chunk that lacks
    /// members (goose#7663).
    ///
    /// # Errors
    ///
    /// If the data is neither `[DONE]`, nor a chunk, nor an error.
    pub fn parse(data: &[u8]) -> Result<Self, ChunkError> {
        if data.trim_ascii_start().starts_with(b"[DONE]") {
            return Ok(Self::Done);
        }
        let chunk: Result<ChatChunk, ParseError> = parse(data);
        match chunk {
            Ok(chunk) if !is_error(&chunk) => Ok(Self::Chunk(chunk)),
            other => match (ErrorResponse::parse(data), other) {
                (Some(error), _) => Ok(Self::Error(error)),
                (None, Ok(chunk)) => Ok(Self::Chunk(chunk)),
                (None, Err(source)) => Err(ChunkError::new(data, source)),
            },
        }
    }
}

/// Data of a stream that is not a chunk; the message shows its beginning.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ChunkError {
    payload: String,
    source: ParseError,
}

impl ChunkError {
    /// The beginning of the data, which is needed to find the cause (async-openai#61).
    pub fn payload(&self) -> &str {
        &self.payload
    }

    fn new(data: &[u8], source: ParseError) -> Self {
        let text = String::from_utf8_lossy(data);
        let mut payload: String = text.chars().take(PAYLOAD_CHARS).collect();
        if payload.len() < text.len() {
            payload.push('…');
        }
        Self { payload, source }
    }
}

impl fmt::Display for ChunkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "not a chunk of a chat stream: {}", self.payload)
    }
}

impl StdError for ChunkError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        Some(&self.source)
    }
}

/// Whether data that was read as a chunk may be an error: all members of a chunk are optional, so
/// any object can be read as one.
fn is_error(chunk: &ChatChunk) -> bool {
    let has = |key| chunk.extra.get(key).is_some_and(|value| !value.is_null());
    has("error") || chunk.choices.is_empty() && (has("message") || has("detail"))
}

const PAYLOAD_CHARS: usize = 512;
