//! `polyllm.sse`: the decoder and the encoder of Server-Sent Events.

use std::sync::{Mutex, PoisonError};

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use sse_codec::{Event, Kind, LimitExceeded, Limits};

/// Decodes a stream of Server-Sent Events from reads of any size.
#[pyclass(frozen, module = "polyllm.sse")]
pub(crate) struct Decoder {
    decoder: Mutex<sse_codec::Decoder>,
}

/// An event: its type, its data, its id, and the reconnection time in milliseconds.
type Fields = (&'static str, String, String, String, Option<u64>);

#[pymethods]
impl Decoder {
    #[new]
    #[pyo3(signature = (*, comments = false, empty_events = false, max_line = None, max_event = None))]
    fn new(
        comments: bool,
        empty_events: bool,
        max_line: Option<usize>,
        max_event: Option<usize>,
    ) -> Self {
        let limits = Limits::default();
        let limits = Limits::new(
            max_line.unwrap_or(limits.line),
            max_event.unwrap_or(limits.event),
        );
        let decoder = sse_codec::Decoder::new()
            .with_limits(limits)
            .with_comments(comments)
            .with_empty_events(empty_events);
        Self {
            decoder: Mutex::new(decoder),
        }
    }

    /// Decodes a read, and returns its events as tuples of kind, name, data, id and retry, and the
    /// message of the first limit that was exceeded.
    fn feed(&self, read: &[u8]) -> (Vec<Fields>, Option<String>) {
        let mut events = Vec::new();
        let fed = self.lock().feed(read, |event| events.push(fields(&event)));
        (events, fed.err().map(|error| error.to_string()))
    }

    /// Ends the stream, and returns an incomplete last event.
    fn finish(&self) -> PyResult<Option<Fields>> {
        let mut decoder = self.lock();
        let last = decoder.finish().transpose().map_err(limit)?;
        Ok(last.map(|event| fields(&event)))
    }

    /// The last event id, for reconnecting.
    #[getter]
    fn last_event_id(&self) -> String {
        self.lock().last_event_id().to_owned()
    }

    /// The reconnection time in milliseconds that the server set most recently.
    #[getter]
    fn retry(&self) -> Option<u64> {
        self.lock().retry()
    }
}

impl Decoder {
    fn lock(&self) -> std::sync::MutexGuard<'_, sse_codec::Decoder> {
        self.decoder.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Encodes an event.
#[pyfunction]
#[pyo3(signature = (data, *, event = None, id = None, retry = None))]
pub(crate) fn encode<'py>(
    py: Python<'py>,
    data: &str,
    event: Option<&str>,
    id: Option<&str>,
    retry: Option<u64>,
) -> Bound<'py, PyBytes> {
    let mut out = Vec::new();
    if let Some(retry) = retry {
        sse_codec::encode_retry(&mut out, retry);
    }
    sse_codec::encode_event(&mut out, event, id, data);
    PyBytes::new(py, &out)
}

/// Encodes a comment, which keeps a connection alive.
#[pyfunction]
pub(crate) fn encode_comment<'py>(py: Python<'py>, text: &str) -> Bound<'py, PyBytes> {
    let mut out = Vec::new();
    sse_codec::encode_comment(&mut out, text);
    PyBytes::new(py, &out)
}

fn fields(event: &Event<'_>) -> Fields {
    let kind = match event.kind() {
        Kind::Comment => "comment",
        Kind::Empty => "empty",
        Kind::Incomplete => "incomplete",
        _ => "message",
    };
    let (name, data, id) = (event.name(), event.text(), event.id());
    (
        kind,
        name.to_owned(),
        data.into_owned(),
        id.to_owned(),
        event.retry(),
    )
}

fn limit(error: LimitExceeded) -> PyErr {
    PyValueError::new_err(error.to_string())
}
