//! Webhooks: events of a prediction are signed and posted to the requested URL.
//!
//! A prediction without a webhook needs no task. One with a webhook has a task until its end is
//! delivered or abandoned.

mod event;
mod hook;
mod post;
mod seen;
mod sign;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until};

use crate::clock::Clock;
use crate::replicate::prediction::{Prediction, View};
use crate::replicate::webhook::event::{Due, Sent, next};
use crate::replicate::webhook::post::{Outcome, post};
use crate::replicate::webhook::sign::Secret;
use crate::seed::{BASE62, Rng, hash};

pub(crate) use self::hook::Hook;
pub use self::hook::WebhookEvent;
pub use self::seen::SeenWebhook;

/// Sends the webhooks of one simulated Replicate, and stores the attempts.
#[derive(Debug)]
pub(crate) struct Webhooks {
    clock: Clock,
    secret: Secret,
    capacity: usize,
    seen: Mutex<VecDeque<SeenWebhook>>,
    changes: watch::Sender<u64>,
    /// Closed when the simulation ends.
    alive: watch::Receiver<()>,
}

impl Webhooks {
    /// Stores the latest `capacity` attempts, and sends while the other end of `alive` exists.
    pub(crate) fn new(clock: &Clock, capacity: usize, alive: watch::Receiver<()>) -> Arc<Self> {
        Arc::new(Self {
            clock: clock.clone(),
            secret: Secret::of_this_process(),
            capacity,
            seen: Mutex::default(),
            changes: watch::Sender::new(0),
            alive,
        })
    }

    /// As returned by `GET /v1/webhooks/default/secret`.
    pub(crate) fn secret(&self) -> String {
        self.secret.encoded()
    }

    /// Attempts so far, oldest first.
    pub(crate) fn seen(&self) -> Vec<SeenWebhook> {
        self.lock().iter().cloned().collect()
    }

    pub(crate) async fn seen_until(&self, enough: impl Fn(&[SeenWebhook]) -> bool) {
        let look = |_: &u64| enough(&self.seen());
        // The sender lives as long as `self`.
        let _ = self.changes.subscribe().wait_for(look).await;
    }

    /// Sends the prediction's webhooks, if it has any.
    pub(crate) fn follow(self: &Arc<Self>, prediction: &Arc<Prediction>, base: &str) {
        let Some(hook) = prediction.hook.clone() else {
            return;
        };
        let (webhooks, prediction) = (Arc::clone(self), Arc::clone(prediction));
        let (base, mut alive) = (base.to_owned(), self.alive.clone());
        tokio::spawn(async move {
            tokio::select! {
                () = webhooks.send(&hook, &prediction, &base) => {}
                _ = alive.changed() => {}
            }
        });
    }

    async fn send(&self, hook: &Hook, prediction: &Prediction, base: &str) {
        let mut cancels = prediction.cancel.subscribe();
        let mut sent = Sent::default();
        loop {
            let cancelled = cancels.borrow_and_update().at;
            let Some(due) = next(hook, prediction, &sent, cancelled) else {
                return;
            };
            tokio::select! {
                () = sleep_until(due.at) => {}
                // The sender lives as long as the prediction.
                _ = cancels.changed() => continue,
            }
            sent.note(&due, Instant::now());
            self.deliver(hook, prediction, base, &due, &sent).await;
        }
    }

    async fn deliver(
        &self,
        hook: &Hook,
        prediction: &Prediction,
        base: &str,
        due: &Due,
        sent: &Sent,
    ) {
        let body = prediction.body_at(due.moment, View::Got, &self.clock, base);
        let body = body.to_string();
        let number = sent.count().to_string();
        let seed = hash([prediction.id.as_str(), number.as_str()]);
        let id = format!("msg_{}", Rng(seed).word(BASE62, 24));
        for attempt in 1.. {
            let at = Instant::now();
            let signed = self.secret.sign(&id, self.clock.unix(at), body.as_bytes());
            let outcome = post(&hook.url, &id, &signed, &body).await;
            self.remember(SeenWebhook {
                prediction: prediction.id.clone(),
                event: due.event,
                id: id.clone(),
                attempt,
                at,
                status: outcome.status(),
            });
            // Only the end is retried, and redirects are not followed.
            let pause = match outcome {
                Outcome::Answered(..400) | Outcome::Refused => None,
                _ if due.event != WebhookEvent::Completed => None,
                _ => PAUSES.get(attempt - 1),
            };
            let Some(pause) = pause else { return };
            sleep(Duration::from_secs(*pause)).await;
        }
    }

    fn remember(&self, seen: SeenWebhook) {
        if self.capacity > 0 {
            let mut all = self.lock();
            if all.len() >= self.capacity {
                all.pop_front();
            }
            all.push_back(seen);
        }
        self.changes.send_modify(|count| *count += 1);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, VecDeque<SeenWebhook>> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Seconds between attempts: the last comes about a minute after the first, as documented.
const PAUSES: &[u64] = &[2, 4, 8, 16, 30];
