//! Reads responses while their bytes arrive.

mod chat;
mod events;
mod head;
mod json;
mod prediction;

pub(crate) use chat::TextResponse;
pub(crate) use head::ResponseHead;
pub(crate) use json::JsonResponse;
pub(crate) use prediction::PredictionStream;

use crate::record::{Failure, FailureKind};

/// A chunk with tokens: when it was read, and the length of its text.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Chunk {
    pub(crate) at: u64,
    /// The length of the text in bytes; tokens are distributed over chunks in proportion to it.
    pub(crate) weight: u32,
}

/// The token counts of the server.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Usage {
    pub(crate) input: Option<u64>,
    pub(crate) output: Option<u64>,
    pub(crate) reasoning: Option<u64>,
    pub(crate) cached_input: Option<u64>,
}

impl Usage {
    /// Without impossible counts, so that sums over all requests cannot overflow.
    pub(crate) fn plausible(self) -> Self {
        let credible = |count: Option<u64>| count.filter(|count| *count <= MAX_TOKENS);
        Self {
            input: credible(self.input),
            output: credible(self.output),
            reasoning: credible(self.reasoning),
            cached_input: credible(self.cached_input),
        }
    }
}

/// The state of a streamed response.
#[derive(Debug, Default)]
pub(crate) struct StreamState {
    pub(crate) chunks: Vec<Chunk>,
    /// When the first token that is no reasoning was read.
    pub(crate) first_output: Option<u64>,
    pub(crate) usage: Usage,
    pub(crate) finish_reason: Option<String>,
    /// The text, if a next turn or a tokenizer needs it.
    pub(crate) text: Option<String>,
    /// Whether the stream sent its end marker.
    pub(crate) done: bool,
    pub(crate) failure: Option<Failure>,
}

impl StreamState {
    pub(crate) fn new(keep_text: bool) -> Self {
        Self {
            chunks: Vec::with_capacity(TYPICAL_CHUNKS),
            text: keep_text.then(String::new),
            ..Self::default()
        }
    }

    /// Adds output that was not streamed; an empty text is not a token.
    pub(crate) fn piece(&mut self, at: u64, text: &str) {
        if !text.is_empty() {
            self.token(at, text, text.len());
            self.output(at);
        }
    }

    /// Notes a token that is no reasoning.
    fn output(&mut self, at: u64) {
        self.first_output.get_or_insert(at);
    }

    /// Whether to continue reading the stream.
    fn is_open(&self) -> bool {
        self.chunks.len() < MAX_CHUNKS
    }

    fn token(&mut self, at: u64, text: &str, weight: usize) {
        if !self.is_open() {
            let message = "the response has more than 1000000 chunks";
            return self.fail(FailureKind::Protocol, message);
        }
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

/// The highest plausible token count of a request or a response.
const MAX_TOKENS: u64 = 1_000_000_000;

const TYPICAL_CHUNKS: usize = 128;

/// The most chunks that are kept: no public model writes as many tokens.
const MAX_CHUNKS: usize = 1_000_000;
