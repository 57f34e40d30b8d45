//! A guard that cancels a prediction that is abandoned or exceeds its time limit.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use llm_provider::retry::Backoff;
use llm_provider::{ErrorKind, cleanup};
use replicate_api::ReplicateClient;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until};

/// Cancels a prediction at its time limit, or earlier when the guard is dropped.
///
/// A separate task enforces the time limit, because the caller may hold the future or stream without
/// polling it.
#[derive(Debug)]
pub(crate) struct CancelGuard {
    end: watch::Sender<Instant>,
    timer: Option<JoinHandle<bool>>,
    cancellation: Cancellation,
}

/// What is needed to cancel a prediction, once.
#[derive(Clone, Debug)]
struct Cancellation {
    client: ReplicateClient,
    id: String,
    runtime: Handle,
    is_done: Arc<AtomicBool>,
}

impl CancelGuard {
    /// Cancels the prediction `id` at `end`.
    pub(crate) fn new(client: &ReplicateClient, id: &str, end: Instant) -> Self {
        let runtime = Handle::current();
        let cancellation = Cancellation {
            client: client.clone(),
            id: id.to_owned(),
            runtime: runtime.clone(),
            is_done: Arc::default(),
        };
        let (end, end_receiver) = watch::channel(end);
        let timer = runtime.spawn(cancel_at_end(end_receiver, cancellation.clone()));
        Self {
            end,
            timer: Some(timer),
            cancellation,
        }
    }

    /// Changes the time limit.
    pub(crate) fn set_end(&self, end: Instant) {
        self.end.send_if_modified(|now| {
            let is_changed = *now != end;
            *now = end;
            is_changed
        });
    }

    /// Completes when the time limit has passed and the prediction is being cancelled. Only the first
    /// call returns a future that completes.
    pub(crate) fn timed_out(&mut self) -> impl Future<Output = ()> + use<> {
        let timer = self.timer.take();
        async {
            if let Some(timer) = timer
                && timer.await.unwrap_or(false)
            {
                return;
            }
            std::future::pending().await
        }
    }

    /// Drops the guard of a prediction that has ended, without cancelling it.
    pub(crate) fn disarm(self) {
        self.cancellation.is_done.store(true, Ordering::Relaxed);
    }
}

impl Drop for CancelGuard {
    fn drop(&mut self) {
        self.cancellation.start();
    }
}

impl Cancellation {
    /// Cancels the prediction in a task that outlives the caller, unless it was cancelled or has ended.
    fn start(&self) {
        if !self.is_done.swap(true, Ordering::Relaxed) {
            let (client, id) = (self.client.clone(), self.id.clone());
            cleanup::spawn(&self.runtime, cancel(client, id));
        }
    }
}

/// Cancels the prediction at its time limit and returns `true`. Returns `false` if the guard is
/// dropped earlier.
async fn cancel_at_end(
    mut end_receiver: watch::Receiver<Instant>,
    cancellation: Cancellation,
) -> bool {
    loop {
        let end = *end_receiver.borrow_and_update();
        tokio::select! {
            changed = end_receiver.changed() => if changed.is_err() {
                return false;
            },
            () = sleep_until(end) => {
                cancellation.start();
                return true;
            }
        }
    }
}

async fn cancel(client: ReplicateClient, id: String) {
    let backoff = Backoff::new(Duration::from_millis(250), Duration::from_secs(5));
    for attempt in 0..ATTEMPTS {
        match client.cancel_prediction(&id).await {
            Err(error) if error.is_retryable() && error.kind() != ErrorKind::UnexpectedBody => {
                tokio::time::sleep(backoff.delay(attempt, error.retry_after())).await;
            }
            // Cancelled, or a permanent error: the prediction does not exist or is not permitted.
            _ => return,
        }
    }
}

// If all attempts fail, Replicate itself ends the prediction (`Cancel-After`).
const ATTEMPTS: u32 = 6;
