//! What both simulated upstreams have: a log, faults, a clock and somebody who waits for changes.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::watch;

use crate::clock::Clock;
use crate::fault::FaultBook;
use crate::http::{Answer, Call};
use crate::log::RequestLog;
use crate::options::SimOptions;

/// A provider's API over a [`Shared`] state.
pub(crate) trait Upstream: Send + Sync + 'static {
    fn shared(&self) -> &Shared;

    fn answer(&self, call: Call) -> impl Future<Output = Answer> + Send;

    /// The provider's own error body; `message` where it would say something of the request.
    fn error(&self, status: u16, message: Option<&str>) -> Answer;
}

#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) options: Arc<SimOptions>,
    pub(crate) clock: Clock,
    pub(crate) log: RequestLog,
    pub(crate) faults: FaultBook,
    in_flight: AtomicUsize,
    changes: watch::Sender<u64>,
}

impl Shared {
    pub(crate) fn new(options: &Arc<SimOptions>, clock: &Clock) -> Self {
        Self {
            options: Arc::clone(options),
            clock: clock.clone(),
            log: RequestLog::new(options.memory.requests),
            faults: FaultBook::new(options.faults.clone()),
            in_flight: AtomicUsize::new(0),
            changes: watch::Sender::new(0),
        }
    }

    /// Requests that are being answered; a stream counts until its end.
    pub(crate) fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::SeqCst)
    }

    pub(crate) fn changed(&self) {
        self.changes.send_modify(|count| *count += 1);
    }

    pub(crate) fn watch(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// Waits until `look` finds something; it is asked again after every change.
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
}

/// Counts a request as in flight while it lives.
pub(crate) struct InFlight<U: Upstream>(Arc<U>);

impl<U: Upstream> InFlight<U> {
    pub(crate) fn new(upstream: &Arc<U>) -> Self {
        upstream.shared().in_flight.fetch_add(1, Ordering::SeqCst);
        Self(Arc::clone(upstream))
    }
}

impl<U: Upstream> Drop for InFlight<U> {
    fn drop(&mut self) {
        self.0.shared().in_flight.fetch_sub(1, Ordering::SeqCst);
        self.0.shared().changed();
    }
}
