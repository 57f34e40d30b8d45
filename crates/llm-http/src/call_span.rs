//! [`CallSpan`]: the tracing span of a call.

use futures_util::StreamExt;
use llm_provider::text::excerpt;
use llm_provider::{Endpoint, Error, Reply, ReplyEvent, ReplyStream, Result};
use llm_types::Usage;
use tracing::field::{Empty, display};
use tracing::{Span, debug_span};

/// The tracing span `call` of one call at an upstream, at debug level.
///
/// It has the provider, the model, the path of the endpoint and whether the call is streamed. The
/// reply adds its tokens, `first_output` at the first output of a stream, and the kind of an error.
/// It contains no prompt and no output.
#[derive(Clone, Debug)]
pub struct CallSpan(Span);

impl CallSpan {
    /// Begins the span of a call that is not streamed.
    pub fn new(provider: &'static str, model: &str, endpoint: &dyn Endpoint) -> Self {
        Self::of_call(provider, model, endpoint, false)
    }

    /// Begins the span of a streamed call.
    pub fn of_stream(provider: &'static str, model: &str, endpoint: &dyn Endpoint) -> Self {
        Self::of_call(provider, model, endpoint, true)
    }

    fn of_call(provider: &'static str, model: &str, endpoint: &dyn Endpoint, stream: bool) -> Self {
        Self(debug_span!(
            "call",
            provider,
            model = %excerpt(model),
            endpoint = endpoint.path(),
            stream,
            input_tokens = Empty,
            cached_tokens = Empty,
            output_tokens = Empty,
            first_output = Empty,
            error = Empty,
        ))
    }

    /// Begins the span of an operation that is not a call, such as `models`.
    pub(crate) fn of_operation(provider: &'static str, operation: &'static str) -> Self {
        Self(debug_span!("call", provider, operation, error = Empty))
    }

    /// The span itself.
    pub fn span(&self) -> &Span {
        &self.0
    }

    /// Adds the tokens of a reply in one piece.
    pub fn reply(&self, reply: &Reply) {
        if !self.0.is_disabled()
            && let Some(usage) = reply.usage()
        {
            self.usage(&usage);
        }
    }

    /// Adds the kind of an error.
    pub fn error(&self, error: &Error) {
        self.0.record("error", display(error.kind()));
    }

    /// Adds what the events of a stream show. The span lasts as long as the stream.
    #[must_use]
    pub fn follow(self, stream: ReplyStream) -> ReplyStream {
        let mut observe = self.observer();
        stream.map_events(|events| events.inspect(move |event| observe(event)))
    }

    /// A function that adds what an event of a stream shows.
    pub(crate) fn observer(self) -> impl FnMut(&Result<ReplyEvent>) + Send + 'static {
        let mut has_output = false;
        move |event| {
            if self.0.is_disabled() {
                return;
            }
            match event {
                Ok(ReplyEvent::Chunk(chunk)) => {
                    if !has_output && chunk.has_output() {
                        has_output = true;
                        self.0.record("first_output", true);
                    }
                    if let Some(usage) = chunk.usage() {
                        self.usage(usage);
                    }
                }
                Ok(_) => {}
                Err(error) => self.error(error),
            }
        }
    }

    fn usage(&self, usage: &Usage) {
        self.0.record("input_tokens", usage.prompt());
        self.0.record("output_tokens", usage.completion());
        if let Some(cached) = usage.cached() {
            self.0.record("cached_tokens", cached);
        }
    }
}
