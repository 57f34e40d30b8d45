//! [`MessagesReplies`]: converts the replies to one request.

use llm_types::ChatResponse;
use llm_types::messages::{MessagesRequest, MessagesResponse};

use super::accumulate::MessagesAccumulator;
use super::stream::MessagesStream;
use crate::error::Error;
use crate::partial::PartialObject;
use crate::pieces;

/// Converts the replies to one request, in one piece or as a stream.
#[derive(Clone, Debug)]
pub struct MessagesReplies {
    pub(super) id: Option<String>,
    pub(super) model: String,
    pub(super) stop_sequences: Vec<String>,
    /// Whether only the first tool call is passed on.
    pub(super) single_call: bool,
    pub(super) names_natural_ends: bool,
    pub(super) local_stops: bool,
    pub(super) input_tokens: u64,
    pub(super) max_held_bytes: usize,
}

impl MessagesReplies {
    pub(super) fn new(request: &MessagesRequest) -> Self {
        Self {
            id: None,
            model: request.model.clone(),
            stop_sequences: request.stop_sequences.clone().unwrap_or_default(),
            single_call: false,
            names_natural_ends: false,
            local_stops: false,
            input_tokens: 0,
            max_held_bytes: MAX_HELD_BYTES,
        }
    }

    pub(super) fn with_single_call(mut self, single_call: bool) -> Self {
        self.single_call = single_call;
        self
    }

    /// Sets the id of the message; by default, it is made from the upstream's id.
    #[must_use]
    pub fn with_id(mut self, id: impl Into<String>) -> Self {
        self.id = Some(id.into());
        self
    }

    /// Sets the model that the reply names; by default, that of the request.
    #[must_use]
    pub fn with_model(mut self, model: impl Into<String>) -> Self {
        self.model = model.into();
        self
    }

    /// States that the upstream's finish reason distinguishes a natural end, such as `eos`, from
    /// `stop`, which then means that a stop sequence occurred.
    ///
    /// By default, a stop sequence is reported only if the upstream names it in `stop_reason` or
    /// reports `stop_sequence`; otherwise the message ends with `end_turn`.
    #[must_use]
    pub fn with_named_natural_ends(mut self, named: bool) -> Self {
        self.names_natural_ends = named;
        self
    }

    /// Whether the text is ended at stop sequences, which needs a streamed reply; see
    /// [`MessagesAdapter::with_local_stops`](super::MessagesAdapter::with_local_stops).
    pub fn has_local_stops(&self) -> bool {
        self.local_stops
    }

    /// Sets an estimate of the prompt's tokens, for the start of a stream and for upstreams that do
    /// not report usage; 0 by default.
    #[must_use]
    pub fn with_input_tokens(mut self, tokens: u64) -> Self {
        self.input_tokens = tokens;
        self
    }

    /// Sets how many bytes of interleaved tool calls a stream may hold; 8 MiB by default. A stream
    /// that exceeds it ends with an error.
    #[must_use]
    pub fn with_max_held_bytes(mut self, bytes: usize) -> Self {
        self.max_held_bytes = bytes;
        self
    }

    /// Converts a reply in one piece. It is the same as the reply's stream, joined, except for
    /// arguments of a tool that are not JSON: see [`replaced_arguments`].
    ///
    /// # Errors
    ///
    /// If the reply has no choice, or reports that it failed.
    pub fn reply(self, chat: ChatResponse) -> Result<MessagesResponse, Error> {
        // A reply in one piece need not be held back.
        let mut stream = self.with_max_held_bytes(usize::MAX).stream();
        let mut accumulator = MessagesAccumulator::default();
        for chunk in pieces::chunks(chat)? {
            accumulator.extend(stream.push(chunk));
        }
        accumulator.extend(stream.finish());
        accumulator
            .into_response()
            .map_err(|error| Error::reply(&error.message))
    }

    /// Starts to convert a stream.
    pub fn stream(self) -> MessagesStream {
        MessagesStream::new(self)
    }
}

/// The tools whose arguments in this reply are not a JSON object and cannot be repaired, for a warning:
/// [`MessagesReplies::reply`] replaces such arguments by an empty object.
pub fn replaced_arguments(chat: &ChatResponse) -> Vec<&str> {
    let calls = chat
        .choices
        .first()
        .and_then(|choice| choice.message.tool_calls.value());
    let is_replaced = |arguments: &str| {
        let mut object = PartialObject::default();
        object.push(arguments);
        object.close();
        object.is_replaced()
    };
    calls
        .into_iter()
        .flatten()
        .filter_map(|call| call.function.value())
        .filter(|function| is_replaced(function.arguments.as_str().unwrap_or_default()))
        .map(|function| function.name.as_str())
        .collect()
}

const MAX_HELD_BYTES: usize = 8 << 20;
