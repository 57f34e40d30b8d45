//! Schedules webhook events, from a prediction's timeline and the events already sent.

use std::time::Duration;

use tokio::time::Instant;

use crate::clock::later;
use crate::replicate::prediction::Prediction;
use crate::replicate::timeline::{Moment, SimStatus};
use crate::replicate::webhook::{Hook, WebhookEvent};

/// An event, its due time, and the prediction's state at that time.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Due {
    pub(super) at: Instant,
    pub(super) event: WebhookEvent,
    pub(super) moment: Moment,
}

/// What was already sent to a webhook.
#[derive(Debug, Default)]
pub(super) struct Sent {
    count: usize,
    start: bool,
    logs: bool,
    tokens: usize,
    last_output: Option<Instant>,
    completed: bool,
}

impl Sent {
    pub(super) fn note(&mut self, due: &Due, now: Instant) {
        self.count += 1;
        match due.event {
            WebhookEvent::Completed => self.completed = true,
            WebhookEvent::Logs => self.logs = true,
            WebhookEvent::Output => {
                self.tokens = due.moment.tokens;
                self.last_output = Some(now);
            }
            WebhookEvent::Start => self.start = true,
        }
    }

    /// The number of events sent.
    pub(super) fn count(&self) -> usize {
        self.count
    }
}

/// The next event; `None` if there are no more.
///
/// Output is sent at most every 500 ms, and output of the last such interval only with the end. The
/// simulated logs are complete immediately, so they need no interval.
pub(super) fn next(
    hook: &Hook,
    prediction: &Prediction,
    sent: &Sent,
    cancelled: Option<Instant>,
) -> Option<Due> {
    if sent.completed {
        return None;
    }
    let timeline = &prediction.timeline;
    let (end, _) = timeline.end(cancelled);
    let last = timeline.at(end, cancelled);
    let running = |at: Instant| Moment {
        status: SimStatus::Processing,
        completed: None,
        ..timeline.at(at, cancelled)
    };

    let start = last.started.filter(|_| !sent.start).map(|at| Due {
        at,
        event: WebhookEvent::Start,
        moment: Moment {
            tokens: 0,
            ..running(at)
        },
    });
    let has_logs = !sent.logs && !prediction.logs.is_empty();
    let logs = last.started.filter(|_| has_logs).map(|at| Due {
        at,
        event: WebhookEvent::Logs,
        moment: running(at),
    });
    let output = last.started.filter(|_| sent.tokens < last.tokens);
    let output = output.and_then(|started| {
        let token = timeline.token_at(started, sent.tokens + 1);
        let at = token.max(sent.last_output.map_or(token, |last| later(last, PAUSE)));
        (at <= end).then(|| Due {
            at,
            event: WebhookEvent::Output,
            moment: running(at),
        })
    });
    let completed = Due {
        at: end,
        event: WebhookEvent::Completed,
        moment: last,
    };

    // Of several events at the same time, the first in this order.
    [start, logs, output, Some(completed)]
        .into_iter()
        .flatten()
        .filter(|due| hook.wants(due.event))
        .min_by_key(|due| due.at)
}

const PAUSE: Duration = Duration::from_millis(500);
