//! Event streams whose events come at their time, one write each.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::{Stream, stream};
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

/// One `data:` event, as Together sends them.
pub(crate) fn data(payload: &str) -> Bytes {
    let mut out = Vec::with_capacity(payload.len() + 8);
    sse_codec::encode_event(&mut out, None, None, payload);
    out.into()
}
