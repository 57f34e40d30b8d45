//! Event streams whose events come at their time, one write each.

use std::io;

use bytes::Bytes;
use futures_util::{Stream, stream};
use tokio::time::Instant;

/// Turns timed events into a body.
pub(crate) fn timed<I>(events: I) -> impl Stream<Item = io::Result<Bytes>> + Send
where
    I: Iterator<Item = (Instant, Bytes)> + Send,
{
    stream::unfold(events, |mut events| async move {
        let (at, event) = events.next()?;
        at_its_time(at).await;
        Some((Ok(event), events))
    })
}

/// Waits until `at`, and at least long enough for hyper to flush the event before: what comes
/// without a pause in between would be written together.
pub(crate) async fn at_its_time(at: Instant) {
    if at > Instant::now() {
        tokio::time::sleep_until(at).await;
    } else {
        tokio::task::yield_now().await;
    }
}

/// One `data:` event, as Together sends them.
pub(crate) fn data(payload: &str) -> Bytes {
    let mut out = Vec::with_capacity(payload.len() + 8);
    sse_codec::encode_event(&mut out, None, None, payload);
    out.into()
}
