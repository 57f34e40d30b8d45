//! What is made of the bytes of an answer while they come.

mod chat;
mod head;
mod output;
mod whole;

pub(crate) use chat::ChatAnswer;
pub(crate) use head::Head;
pub(crate) use output::OutputStream;
pub(crate) use whole::WholeAnswer;

use crate::record::{Failure, FailureKind};

/// A chunk with tokens: when its bytes were read, and how much text it held.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Chunk {
    pub(crate) at: u64,
    /// Bytes of text: tokens are spread over chunks in proportion to it.
    pub(crate) weight: u32,
}

/// Tokens as the server counted them.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Usage {
    pub(crate) input: Option<u64>,
    pub(crate) output: Option<u64>,
    pub(crate) reasoning: Option<u64>,
    pub(crate) cached_input: Option<u64>,
}

/// What a streamed answer has come to.
#[derive(Debug, Default)]
pub(crate) struct Stream {
    pub(crate) chunks: Vec<Chunk>,
    pub(crate) usage: Usage,
    pub(crate) finish_reason: Option<String>,
    /// The text, where somebody needs it: a next turn, or a tokenizer.
    pub(crate) text: Option<String>,
    /// The stream said that it is over.
    pub(crate) done: bool,
    pub(crate) failure: Option<Failure>,
}

impl Stream {
    pub(crate) fn new(keep_text: bool) -> Self {
        Self {
            chunks: Vec::with_capacity(TYPICAL_CHUNKS),
            text: keep_text.then(String::new),
            ..Self::default()
        }
    }

    /// A piece of text that was not streamed; an empty one is no token.
    pub(crate) fn piece(&mut self, at: u64, text: &str) {
        if !text.is_empty() {
            self.token(at, text, text.len());
        }
    }

    fn token(&mut self, at: u64, text: &str, weight: usize) {
        let weight = u32::try_from(weight).unwrap_or(u32::MAX);
        self.chunks.push(Chunk { at, weight });
        if let Some(all) = &mut self.text {
            all.push_str(text);
        }
    }

    fn fail(&mut self, kind: FailureKind, message: impl Into<String>) {
        let message = message.into();
        self.failure.get_or_insert(Failure { kind, message });
    }
}

const TYPICAL_CHUNKS: usize = 128;
