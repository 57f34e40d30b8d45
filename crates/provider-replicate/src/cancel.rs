//! Predictions that nobody waits for any more are stopped, so that nobody pays for them.

use std::time::Duration;

use llm_provider::retry::Backoff;
use llm_provider::{Error, ErrorKind, Result, cleanup};
use serde_json::Value;
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::client::Client;
use crate::wire::Prediction;

/// Cancels its prediction when it is dropped, unless that has ended.
///
/// The call is made by a task of its own: it outlives the caller, and a process that stops waits
/// for it in [`cleanup::finish`].
#[derive(Debug)]
pub(crate) struct CancelGuard {
    client: Client,
    id: String,
    runtime: Handle,
    running: bool,
}

impl CancelGuard {
    fn new(client: Client, prediction: &Prediction, runtime: Handle) -> Self {
        let mut guard = Self {
            client,
            id: prediction.id.clone(),
            runtime,
            running: true,
        };
        guard.saw(prediction);
        guard
    }

    /// Takes note of how far the prediction is.
    pub(crate) fn saw(&mut self, prediction: &Prediction) {
        self.running &= !prediction.status.is_terminal();
    }
}

impl Drop for CancelGuard {
    fn drop(&mut self) {
        if self.running {
            let (client, id) = (self.client.clone(), std::mem::take(&mut self.id));
            cleanup::spawn(&self.runtime, cancel(client, id));
        }
    }
}

/// Creates a prediction; tries again where Replicate cannot have billed it.
///
/// Dropping this future stops the prediction too, even while Replicate has not yet told its id.
pub(crate) async fn create(
    client: &Client,
    path: String,
    body: Value,
    cancel_after: Duration,
) -> Result<(Prediction, CancelGuard)> {
    let deadline = Instant::now().checked_add(cancel_after);
    let attempt = |_| create_once(client, path.clone(), body.clone(), cancel_after);
    client.0.retries.run(deadline, attempt).await
}

async fn create_once(
    client: &Client,
    path: String,
    body: Value,
    cancel_after: Duration,
) -> Result<(Prediction, CancelGuard)> {
    let runtime = Handle::current();
    let (sender, receiver) = oneshot::channel();
    let (client, handle) = (client.clone(), runtime.clone());
    let task = async move {
        let created = client.create(&path, &body, cancel_after).await;
        let created = created.map(|prediction| {
            let guard = CancelGuard::new(client, &prediction, handle);
            (prediction, guard)
        });
        // When nobody listens any more, the guard is dropped here, and cancels.
        let _ = sender.send(created);
    };
    cleanup::spawn(&runtime, task);
    receiver.await.unwrap_or_else(|_| {
        let message = "the runtime stopped while a prediction was created";
        Err(Error::new(ErrorKind::Cancelled, message))
    })
}

async fn cancel(client: Client, id: String) {
    let backoff = Backoff::new(Duration::from_millis(250), Duration::from_secs(5));
    for attempt in 0..ATTEMPTS {
        match client.cancel(&id).await {
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
