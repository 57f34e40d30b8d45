//! Event streams whose events come at their time, one write each.

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
    stream::unfold((events, clock, trace), |mut state| async move {
        let (events, clock, trace) = &mut state;
        let event = events.next()?;
        clock.event(event.at).await;
        trace.wrote(Instant::now(), event.at, event.tokens);
        Some((Ok(event.bytes), state))
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

/// Bytes; more grow.
const TYPICAL_EVENT: usize = 512;
