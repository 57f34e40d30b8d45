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

impl Usage {
    /// Without counts that no request has, so that sums over all requests cannot overflow.
    pub(crate) fn credible(self) -> Self {
        let credible = |count: Option<u64>| count.filter(|count| *count <= MOST_TOKENS);
        Self {
            input: credible(self.input),
            output: credible(self.output),
            reasoning: credible(self.reasoning),
            cached_input: credible(self.cached_input),
        }
    }
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

    /// Whether more of the stream is of use.
    fn goes_on(&self) -> bool {
        self.chunks.len() < MOST_CHUNKS
    }

    fn token(&mut self, at: u64, text: &str, weight: usize) {
        if !self.goes_on() {
            let message = "the answer has more than 1000000 chunks";
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

/// Tokens of a request or an answer, as far as a server is believed.
const MOST_TOKENS: u64 = 1_000_000_000;

const TYPICAL_CHUNKS: usize = 128;

/// Chunks of an answer that are kept: more than the longest answer of a public model has tokens.
const MOST_CHUNKS: usize = 1_000_000;
