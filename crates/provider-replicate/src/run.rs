//! Predictions that are run: made, made anew where Replicate asks for that, and stopped when nobody
//! waits for them any more, so that nobody pays for them.

use std::time::Duration;

use llm_provider::retry::Backoff;
use llm_provider::{Error, ErrorKind, Result, cleanup};
use replicate_api::{Client, NewPrediction, Prediction, Watch};
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::time::Instant;

/// A prediction, which is cancelled when this is dropped before its end.
///
/// The call is made by a task of its own: it outlives the caller, and a process that stops waits
/// for it in [`cleanup::finish`].
#[derive(Debug)]
pub(crate) struct Run {
    /// It asks nothing twice by itself.
    pub(crate) client: Client,
    /// As it was seen last.
    pub(crate) prediction: Prediction,
    runtime: Handle,
}

/// A prediction that is to be made, and made anew where Replicate asks for that.
#[derive(Clone, Debug)]
pub(crate) struct Order {
    pub(crate) client: Client,
    pub(crate) new: NewPrediction,
}

/// What a run ended with.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) error: Error,
    /// Whether the caller has got some of its text: that cannot be taken back, so that no other
    /// run can go on.
    pub(crate) is_told: bool,
}

impl Failure {
    fn may_be_repeated(&self) -> bool {
        self.error.should_retry() == Some(true) && !self.is_told
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self {
            error,
            is_told: false,
        }
    }
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
    pub(crate) async fn start(&self) -> Result<Run> {
        let limit = self.new.cancel_after;
        let deadline = limit.and_then(|limit| Instant::now().checked_add(limit));
        let retries = self.client.retries();
        retries.run(deadline, |_| self.start_once()).await
    }

    /// Does `work` with `run`, and with new ones in its place as long as they end with errors
    /// after which Replicate asks to try again, and nobody has been told of them.
    pub(crate) async fn finish<T, F: Future<Output = Result<T, Failure>>>(
        &self,
        run: Run,
        deadline: Option<Instant>,
        work: impl Fn(Run) -> F,
    ) -> Result<T> {
        let work = &work;
        let mut first = Some(run);
        let attempt = |_| {
            let first = first.take();
            async move {
                let run = match first {
                    Some(run) => run,
                    None => self.start_once().await?,
                };
                match work(run).await {
                    Ok(done) => Ok(Ok(done)),
                    Err(failure) if failure.may_be_repeated() => Err(failure.error),
                    // It would fail again, or has been billed.
                    Err(failure) => Ok(Err(failure.error)),
                }
            }
        };
        self.client.retries().run(deadline, attempt).await?
    }

    async fn start_once(&self) -> Result<Run> {
        let runtime = Handle::current();
        let (sender, receiver) = oneshot::channel();
        let (client, new, handle) = (self.client.once(), self.new.clone(), runtime.clone());
        let task = async move {
            let created = client.create_prediction(&new).await;
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

/// Waits until the prediction has succeeded.
///
/// # Errors
/// That of a prediction which ends in another way, and those of [`Watch`].
pub(crate) async fn to_the_end(mut run: Run) -> Result<Run, Failure> {
    let mut watch = Watch::new(&run.client, None);
    // Replicate answers as soon as the output is there, and has the metrics a moment later.
    let mut is_there = !run.prediction.output.is_null();
    while !run.prediction.status.is_terminal() {
        if !std::mem::take(&mut is_there) {
            watch.pause().await?;
        }
        run.prediction = watch.ask(&run.prediction.id).await?;
    }
    match run.prediction.failure() {
        Some(error) => Err(error.into()),
        None => Ok(run),
    }
}

async fn cancel(client: Client, id: String) {
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
