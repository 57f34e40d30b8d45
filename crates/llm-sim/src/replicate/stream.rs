//! A prediction's event stream: a comment first, then the output as it is generated, then the
//! end. It can be resumed by event id.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{Stream, stream};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::clock::{Clock, later};
use crate::replicate::prediction::{Cancel, Prediction};
use crate::replicate::timeline::SimStatus;
use crate::trace::Trace;

/// The events after `last_event_id`, or all of them.
pub(crate) fn events(
    prediction: Arc<Prediction>,
    clock: &Clock,
    trace: &Arc<Trace>,
    last_event_id: Option<&str>,
    idle: Option<Duration>,
) -> impl Stream<Item = io::Result<Bytes>> + Send + use<> {
    let epoch = clock.unix(prediction.timeline.created);
    let seen = last_event_id
        .and_then(|id| id.strip_prefix(&format!("{epoch}:")))
        .and_then(|number| number.parse::<usize>().ok());
    let events = Events {
        size: prediction.timeline.tokens_per_event.max(1),
        cancels: prediction.cancel.subscribe(),
        prediction,
        epoch,
        next: seen.map_or(0, |seen| seen.saturating_add(1)),
        greeted: false,
        ended: false,
        idle,
        clock: clock.clone(),
        trace: Arc::clone(trace),
    };
    stream::unfold(events, |mut events| async move {
        let event = events.next().await?;
        Some((Ok(event), events))
    })
}

struct Events {
    prediction: Arc<Prediction>,
    epoch: u64,
    /// Tokens per event.
    size: usize,
    /// The number of the next event: outputs first, then `error`, then `done`.
    next: usize,
    greeted: bool,
    ended: bool,
    idle: Option<Duration>,
    clock: Clock,
    trace: Arc<Trace>,
    cancels: watch::Receiver<Cancel>,
}

impl Events {
    async fn next(&mut self) -> Option<Bytes> {
        if self.ended {
            return None;
        }
        if !self.greeted {
            self.greeted = true;
            return Some(Bytes::from_static(b": hi\n\n"));
        }
        let gives_up = self.idle.map(|idle| later(Instant::now(), idle));
        loop {
            let cancelled = self.cancels.borrow_and_update().at;
            let sent_tokens = self.next.saturating_mul(self.size);
            if let Some(event) = self.ready() {
                self.clock.event(Instant::now()).await;
                self.wrote(sent_tokens);
                return Some(event);
            }
            let next = self
                .prediction
                .timeline
                .next_change(Instant::now(), cancelled);
            tokio::select! {
                () = until(&self.clock, next) => {}
                () = until(&self.clock, gives_up) => {
                    self.ended = true;
                    // A comment and no `done`, as documented: this stream is not complete.
                    return Some(Bytes::from_static(b":408: 408 Request Timeout\n\n"));
                }
                // The sender lives as long as the prediction.
                _ = self.cancels.changed() => {}
            }
        }
    }

    /// Records an event in the trace, given the number of tokens sent before it.
    fn wrote(&self, sent_tokens: usize) {
        let timeline = &self.prediction.timeline;
        let now = Instant::now();
        let tokens = self.prediction.tokens.len().saturating_sub(sent_tokens);
        let tokens = if self.ended { 0 } else { tokens.min(self.size) };
        let due = match timeline.started {
            Some(started) if tokens > 0 => timeline.token_at(started, sent_tokens + tokens),
            _ => now,
        };
        self.trace.wrote(now, due, tokens);
    }

    /// The next event, if it is due.
    fn ready(&mut self) -> Option<Bytes> {
        let moment = self.prediction.now();
        let from = self.next.saturating_mul(self.size);
        if from < moment.tokens {
            let to = (from + self.size).min(moment.tokens);
            let text = self.prediction.tokens.get(from..to)?.concat();
            return Some(self.event("output", &text));
        }
        moment.completed?;
        let outputs = moment.tokens.div_ceil(self.size);
        let failed = moment.status == SimStatus::Failed;
        if failed && self.next <= outputs {
            let detail = serde_json::json!({"detail": self.prediction.error});
            return Some(self.event("error", &detail.to_string()));
        }
        self.ended = true;
        Some(match moment.status {
            SimStatus::Succeeded => self.event("done", "{}"),
            SimStatus::Failed => self.event("done", r#"{"reason": "error"}"#),
            _ => self.event("done", r#"{"reason": "canceled"}"#),
        })
    }

    fn event(&mut self, name: &str, data: &str) -> Bytes {
        let mut out = Vec::new();
        let id = format!("{}:{}", self.epoch, self.next);
        sse_codec::encode_event(&mut out, Some(name), Some(&id), data);
        self.next += 1;
        out.into()
    }
}

async fn until(clock: &Clock, at: Option<Instant>) {
    match at {
        Some(at) => clock.until(at).await,
        None => std::future::pending().await,
    }
}
