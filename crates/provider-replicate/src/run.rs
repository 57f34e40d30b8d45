//! Predictions that are run: made, made anew where Replicate asks for that, and stopped when nobody
//! waits for them any more, so that nobody pays for them.

use std::time::Duration;

use llm_provider::retry::Backoff;
use llm_provider::{Error, ErrorKind, Result, cleanup};
use serde_json::Value;
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::client::Client;
use crate::wire::Prediction;

/// A prediction, which is cancelled when this is dropped before its end.
///
/// The call is made by a task of its own: it outlives the caller, and a process that stops waits
/// for it in [`cleanup::finish`].
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) client: Client,
    /// As it was seen last.
    pub(crate) prediction: Prediction,
    runtime: Handle,
}

/// What predictions are made of.
#[derive(Clone, Debug)]
pub(crate) struct Order {
    /// Where to.
    pub(crate) path: String,
    pub(crate) body: Value,
    /// When Replicate gives the prediction up by itself.
    pub(crate) cancel_after: Duration,
}

impl Drop for Run {
    fn drop(&mut self) {
        if !self.prediction.status.is_terminal() {
            let id = std::mem::take(&mut self.prediction.id);
            cleanup::spawn(&self.runtime, cancel(self.client.clone(), id));
        }
    }
}

impl Order {
    /// Makes a prediction; tries again where Replicate cannot have billed it.
    ///
    /// Dropping this future stops the prediction too, even while Replicate has not yet told its id.
    pub(crate) async fn start(&self, client: &Client) -> Result<Run> {
        let deadline = Instant::now().checked_add(self.cancel_after);
        let attempt = |_| self.start_once(client);
        client.0.retries.run(deadline, attempt).await
    }

    /// Does `work` with `run`, and with new ones in its place as long as they end with errors
    /// after which Replicate asks to try again.
    pub(crate) async fn finish<T, F: Future<Output = Result<T>>>(
        &self,
        run: Run,
        deadline: Option<Instant>,
        work: impl Fn(Run) -> F,
    ) -> Result<T> {
        let (client, work) = (run.client.clone(), &work);
        let mut first = Some(run);
        let attempt = |_| {
            let (first, client) = (first.take(), &client);
            async move {
                let run = match first {
                    Some(run) => run,
                    None => self.start_once(client).await?,
                };
                let done = work(run).await;
                // A prediction that failed in any other way would fail again, or has been billed.
                done.map_err(|error| {
                    let again = error.should_retry() == Some(true);
                    error.with_should_retry(again)
                })
            }
        };
        client.0.retries.run(deadline, attempt).await
    }

    async fn start_once(&self, client: &Client) -> Result<Run> {
        let runtime = Handle::current();
        let (sender, receiver) = oneshot::channel();
        let (client, order, handle) = (client.clone(), self.clone(), runtime.clone());
        let task = async move {
            let created = client.create(&order).await;
            // When nobody listens any more, the run is dropped here, and cancels.
            let _ = sender.send(created.map(|prediction| Run {
                client,
                prediction,
                runtime: handle,
            }));
        };
        cleanup::spawn(&runtime, task);
        receiver.await.unwrap_or_else(|_| {
            let message = "the runtime stopped while a prediction was created";
            Err(Error::new(ErrorKind::Cancelled, message))
        })
    }
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
