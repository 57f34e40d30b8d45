//! The common parts of both simulated upstreams: a log, faults, a clock and notification of
//! changes.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::Value;
use tokio::sync::watch;

use crate::clock::Clock;
use crate::fault::FaultRules;
use crate::http::{Answer, Call};
use crate::log::RequestLog;
use crate::options::SimOptions;
use crate::trace::{RequestCounts, RequestOutcome, Trace};

/// A provider's API over a [`Shared`] state.
pub(crate) trait Upstream: Send + Sync + 'static {
    fn shared(&self) -> &Shared;

    fn answer(&self, call: Call) -> impl Future<Output = Answer> + Send;

    /// What this upstream adds to `/_sim/…`.
    fn state(&self, _path: &[&str]) -> Option<Value> {
        None
    }

    /// The provider's error body; `message` replaces its default message.
    fn error(&self, status: u16, message: Option<&str>) -> Answer;
}

#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) options: Arc<SimOptions>,
    pub(crate) clock: Clock,
    pub(crate) log: RequestLog,
    pub(crate) faults: FaultRules,
    counts: Mutex<RequestCounts>,
    changes: watch::Sender<u64>,
}

impl Shared {
    pub(crate) fn new(options: &Arc<SimOptions>, clock: &Clock) -> Self {
        Self {
            options: Arc::clone(options),
            clock: clock.clone(),
            log: RequestLog::new(options.memory.requests),
            faults: FaultRules::new(options.faults.clone()),
            counts: Mutex::default(),
            changes: watch::Sender::new(0),
        }
    }

    pub(crate) fn counts(&self) -> RequestCounts {
        *self.counting()
    }

    /// Requests in progress; a stream counts until its end.
    pub(crate) fn in_flight(&self) -> usize {
        usize::try_from(self.counts().running()).unwrap_or(usize::MAX)
    }

    pub(crate) fn changed(&self) {
        self.changes.send_modify(|count| *count += 1);
    }

    pub(crate) fn watch(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// Waits until `look` returns a value; it is called again after every change.
    pub(crate) async fn until<T>(&self, mut look: impl FnMut() -> Option<T>) -> T {
        let mut changes = self.watch();
        loop {
            changes.mark_unchanged();
            if let Some(found) = look() {
                return found;
            }
            if changes.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    fn counting(&self) -> MutexGuard<'_, RequestCounts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A request from its head to the end of its response; if it is dropped earlier, the client has
/// disconnected.
pub(crate) struct Exchange<U: Upstream> {
    upstream: Arc<U>,
    trace: Option<Arc<Trace>>,
    outcome: RequestOutcome,
}

impl<U: Upstream> Exchange<U> {
    pub(crate) fn begin(upstream: &Arc<U>) -> Self {
        upstream.shared().counting().started += 1;
        Self {
            upstream: Arc::clone(upstream),
            trace: None,
            outcome: RequestOutcome::Abandoned,
        }
    }

    /// The request was read; from now on, everything is recorded in `trace`.
    pub(crate) fn received(&mut self, trace: &Arc<Trace>) {
        self.trace = Some(Arc::clone(trace));
        self.upstream.shared().changed();
    }

    pub(crate) fn answered(&self) {
        if let Some(trace) = &self.trace {
            trace.answered();
        }
    }

    pub(crate) fn end(mut self, outcome: RequestOutcome) {
        self.outcome = outcome;
    }
}

impl<U: Upstream> Drop for Exchange<U> {
    fn drop(&mut self) {
        if let Some(trace) = &self.trace {
            trace.ended(self.outcome);
        }
        let shared = self.upstream.shared();
        shared.counting().end(self.outcome);
        shared.changed();
    }
}
