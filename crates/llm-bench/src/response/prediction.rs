use http::response;
use sse_codec::{Decoder, Event};

use crate::client::ResponseSink;
use crate::record::FailureKind;
use crate::response::head::message_in;
use crate::response::{ResponseHead, StreamState};

/// The event stream of a Replicate prediction: `output`, `error`, `done`.
#[derive(Debug)]
pub(crate) struct PredictionStream {
    pub(crate) head: ResponseHead,
    pub(crate) stream: StreamState,
    /// When `done` arrived.
    pub(crate) done_at: Option<u64>,
    decoder: Decoder,
}

impl PredictionStream {
    /// Resumes where an earlier connection broke.
    pub(crate) fn new(stream: StreamState) -> Self {
        Self {
            head: ResponseHead::default(),
            stream,
            done_at: None,
            decoder: Decoder::new().with_empty_events(true),
        }
    }

    /// The event to resume after if the connection breaks.
    pub(crate) fn last_event_id(&self) -> &str {
        self.decoder.last_event_id()
    }
}

impl ResponseSink for PredictionStream {
    fn head(&mut self, head: &response::Parts) {
        self.head.read(head);
    }

    fn data(&mut self, data: &[u8], at: u64) -> bool {
        if !self.head.body(data) {
            return self.head.is_within_limit();
        }
        let (stream, done_at) = (&mut self.stream, &mut self.done_at);
        let fed = self
            .decoder
            .feed(data, |event| take(stream, done_at, event, at));
        if let Err(error) = fed {
            stream.fail(FailureKind::Protocol, error.to_string());
        }
        self.head.is_within_limit() && stream.is_open()
    }
}

fn take(stream: &mut StreamState, done_at: &mut Option<u64>, event: Event<'_>, at: u64) {
    match event.name() {
        // An empty text is not a token.
        "output" if !event.data().is_empty() => {
            let text = event.text();
            stream.token(at, &text, text.len());
            stream.output(at);
        }
        "error" => {
            let text = event.text();
            let json = serde_json::from_str(&text).ok();
            let message = json.as_ref().and_then(message_in);
            let message = message.unwrap_or_else(|| text.into_owned());
            stream.fail(FailureKind::InStream, message);
        }
        "done" => {
            stream.done = true;
            done_at.get_or_insert(at);
        }
        // Logs and unknown events.
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn output_events_are_tokens_and_done_ends_the_stream() {
        let mut answer = PredictionStream::new(StreamState::new(true));
        answer.head(&http::Response::new(()).into_parts().0);
        answer.data(b": hi\n\nevent: output\nid: 1\ndata: a\n\n", 1);
        answer.data(b"event: output\ndata:  b\n\nevent: output\ndata:\n\n", 2);
        answer.data(b"event: done\ndata: {}\n\n", 3);
        assert_eq!(answer.stream.text.as_deref(), Some("a b"));
        assert_eq!(answer.stream.chunks.len(), 2);
        assert_eq!((answer.stream.done, answer.done_at), (true, Some(3)));
    }

    #[test]
    fn an_error_event_fails_with_its_message() {
        let mut answer = PredictionStream::new(StreamState::new(false));
        answer.head(&http::Response::new(()).into_parts().0);
        answer.data(b"event: error\ndata: {\"detail\":\"out of memory\"}\n\n", 1);
        assert_eq!(answer.stream.failure.unwrap().message, "out of memory");
    }
}
