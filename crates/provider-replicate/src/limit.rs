//! Limits of time that need nobody to poll.

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

/// Cancels a prediction at the end of its time, or when it is dropped before.
///
/// The time is kept by a task of its own, since the future or the stream that follows the
/// prediction may be held without being polled.
#[derive(Debug)]
pub(crate) struct Limit {
    end: watch::Sender<Instant>,
    timer: Option<JoinHandle<bool>>,
    cancelling: Cancelling,
}

/// What is needed to cancel a prediction, once.
#[derive(Clone, Debug)]
struct Cancelling {
    client: ReplicateClient,
    id: String,
    runtime: Handle,
    is_done: Arc<AtomicBool>,
}

impl Limit {
    /// Limits the prediction `id` to `end`.
    pub(crate) fn new(client: &ReplicateClient, id: &str, end: Instant) -> Self {
        let runtime = Handle::current();
        let cancelling = Cancelling {
            client: client.clone(),
            id: id.to_owned(),
            runtime: runtime.clone(),
            is_done: Arc::default(),
        };
        let (end, ends) = watch::channel(end);
        let timer = runtime.spawn(keep_time(ends, cancelling.clone()));
        Self {
            end,
            timer: Some(timer),
            cancelling,
        }
    }

    /// Moves the end.
    pub(crate) fn move_to(&self, end: Instant) {
        self.end.send_if_modified(|now| {
            let moves = *now != end;
            *now = end;
            moves
        });
    }

    /// Waits until the prediction has been cancelled because its time was over; for the first
    /// caller only.
    pub(crate) fn passed(&mut self) -> impl Future<Output = ()> + use<> {
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

    /// Ends the limit of a prediction that has ended: there is nothing to cancel.
    pub(crate) fn lift(self) {
        self.cancelling.is_done.store(true, Ordering::Relaxed);
    }
}

impl Drop for Limit {
    fn drop(&mut self) {
        self.cancelling.begin();
    }
}

impl Cancelling {
    /// Cancels the prediction in a task that outlives the caller, unless that has been done.
    fn begin(&self) {
        if !self.is_done.swap(true, Ordering::Relaxed) {
            let (client, id) = (self.client.clone(), self.id.clone());
            cleanup::spawn(&self.runtime, cancel(client, id));
        }
    }
}

/// Cancels at the end, and tells so; `false` when nobody follows the prediction any more.
async fn keep_time(mut ends: watch::Receiver<Instant>, cancelling: Cancelling) -> bool {
    loop {
        let end = *ends.borrow_and_update();
        tokio::select! {
            changed = ends.changed() => if changed.is_err() {
                return false;
            },
            () = sleep_until(end) => {
                cancelling.begin();
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
            // Done, or it will never be: it is gone, or it is not ours.
            _ => return,
        }
    }
}

// Should all fail, the prediction still has its deadline (`Cancel-After`).
const ATTEMPTS: u32 = 6;
