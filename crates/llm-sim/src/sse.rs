//! Event streams whose events are sent at their time; those with the same time in one write.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::{Stream, stream};
use serde::Serialize;
use tokio::time::Instant;

use crate::clock::Clock;
use crate::trace::Trace;

/// An event with its due time.
pub(crate) struct Timed {
    pub(crate) at: Instant,
    /// The number of output tokens in this event.
    pub(crate) tokens: usize,
    pub(crate) bytes: Bytes,
}

/// Converts timed events to a body, and records the actual times in `trace`.
pub(crate) fn timed<I>(
    events: I,
    clock: Clock,
    trace: Arc<Trace>,
) -> impl Stream<Item = io::Result<Bytes>> + Send
where
    I: Iterator<Item = Timed> + Send,
{
    let events = events.peekable();
    stream::unfold((events, clock, trace), |mut state| async move {
        let (events, clock, trace) = &mut state;
        let due = events.peek()?.at;
        clock.event(due).await;
        let now = Instant::now();
        let mut bytes = Vec::new();
        while let Some(event) = events.next_if(|event| event.at == due && bytes.len() < MAX_WRITE) {
            trace.wrote(now, due, event.tokens);
            bytes.extend_from_slice(&event.bytes);
        }
        Some((Ok(bytes.into()), state))
    })
}

/// One `data:` event of JSON, as Together sends them: its JSON has no line ends.
pub(crate) fn data(json: &impl Serialize) -> Bytes {
    let mut out = Vec::with_capacity(TYPICAL_EVENT);
    out.extend_from_slice(b"data: ");
    // Writing to memory fails only for maps whose keys are not strings, and there are none.
    let _ = serde_json::to_writer(&mut out, json);
    out.extend_from_slice(b"\n\n");
    out.into()
}

/// The size of a write in bytes; its last event may exceed it.
const MAX_WRITE: usize = 16 << 10;

/// The initial capacity of an event's buffer, in bytes.
const TYPICAL_EVENT: usize = 512;
