//! Event streams whose events come at their time, those of one time in one write.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::{Stream, stream};
use serde::Serialize;
use tokio::time::Instant;

use crate::clock::Clock;
use crate::trace::Trace;

/// An event that waits for its time.
pub(crate) struct Timed {
    pub(crate) at: Instant,
    /// Of the answer, in this event.
    pub(crate) tokens: usize,
    pub(crate) bytes: Bytes,
}

/// Turns timed events into a body, and keeps in `trace` when they really came.
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
        while let Some(event) = events.next_if(|event| event.at == due && bytes.len() < MOST) {
            trace.wrote(now, due, event.tokens);
            bytes.extend_from_slice(&event.bytes);
        }
        Some((Ok(bytes.into()), state))
    })
}

/// One `data:` event of JSON, as Together sends them: JSON has no line ends of its own.
pub(crate) fn data(json: &impl Serialize) -> Bytes {
    let mut out = Vec::with_capacity(TYPICAL_EVENT);
    out.extend_from_slice(b"data: ");
    // Writing to memory fails for maps whose keys are no strings only, and there are none.
    let _ = serde_json::to_writer(&mut out, json);
    out.extend_from_slice(b"\n\n");
    out.into()
}

/// Bytes of one write, or an event more.
const MOST: usize = 16 << 10;

/// Bytes; more grow.
const TYPICAL_EVENT: usize = 512;
