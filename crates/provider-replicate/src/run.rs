//! Runs predictions: creates them, retries them if Replicate asks for it, and cancels abandoned ones.

use llm_provider::{Error, ErrorKind, Result, cleanup};
use replicate_api::{NewPrediction, Prediction, ReplicateClient, Watch};
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::guard::CancelGuard;

/// A running prediction. It is cancelled at its time limit, or when this is dropped before its end.
///
/// The cancellation runs in a task that outlives the caller; [`cleanup::finish`] waits for it.
#[derive(Debug)]
pub(crate) struct Run {
    /// A client without retries.
    pub(crate) client: ReplicateClient,
    /// The latest state.
    pub(crate) prediction: Prediction,
    pub(crate) watch: Watch,
    /// `None` once the prediction has ended.
    guard: Option<CancelGuard>,
}

/// A request for a prediction, which is sent again if Replicate asks for a retry.
#[derive(Clone, Debug)]
pub(crate) struct Job {
    pub(crate) client: ReplicateClient,
    pub(crate) new: NewPrediction,
    /// The caller's deadline, in addition to the time limits of the prediction.
    pub(crate) deadline: Option<Instant>,
}

/// The failure of a run.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) error: Error,
    /// Whether the caller has received output. A retry would repeat it.
    pub(crate) has_output: bool,
}

impl Failure {
    fn may_retry(&self) -> bool {
        self.error.should_retry() == Some(true) && !self.has_output
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self {
            error,
            has_output: false,
        }
    }
}

impl Run {
    fn new(client: ReplicateClient, prediction: Prediction, deadline: Option<Instant>) -> Self {
        let watch = Watch::new(&client, deadline);
        let is_running = !prediction.status.is_terminal();
        let guard = is_running.then(|| CancelGuard::new(&client, &prediction.id, watch.end()));
        Self {
            client,
            prediction,
            watch,
            guard,
        }
    }

    /// Fetches the current state of the prediction.
    pub(crate) async fn refresh(&mut self) -> Result<()> {
        self.prediction = self.watch.fetch(&self.prediction.id).await?;
        if !self.prediction.status.is_terminal() {
            self.update_guard();
        } else if let Some(guard) = self.guard.take() {
            guard.disarm();
        }
        Ok(())
    }

    /// Removes the caller's deadline, which applies only until there is output.
    pub(crate) fn output_started(&mut self) {
        self.watch.output_started();
        self.update_guard();
    }

    /// Completes when the time limit has passed and the prediction is being cancelled, even if that
    /// happened while nothing was polled.
    pub(crate) fn timed_out(&mut self) -> impl Future<Output = ()> + use<> {
        let timed_out = self.guard.as_mut().map(CancelGuard::timed_out);
        async {
            match timed_out {
                Some(timed_out) => timed_out.await,
                None => std::future::pending().await,
            }
        }
    }

    fn update_guard(&self) {
        if let Some(guard) = &self.guard {
            guard.set_end(self.watch.end());
        }
    }
}

impl Job {
    /// Creates a prediction. A failure is retried only if Replicate cannot have billed it.
    ///
    /// Dropping this future cancels the prediction, even before its id is known.
    pub(crate) async fn start(&self) -> Result<Run> {
        let limit = self.new.cancel_after;
        let deadline = limit.and_then(|limit| Instant::now().checked_add(limit));
        let retries = self.client.retries();
        retries.run(deadline, |_| self.start_once()).await
    }

    /// Runs `work` with `run`. Runs it again with a new prediction if it fails, Replicate asks for a
    /// retry, and the caller has received no output.
    pub(crate) async fn finish<T, F: Future<Output = Result<T, Failure>>>(
        &self,
        run: Run,
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
                    Err(failure) if failure.may_retry() => Err(failure.error),
                    // A retry would fail again, repeat output, or be billed twice.
                    Err(failure) => Ok(Err(failure.error)),
                }
            }
        };
        self.client.retries().run(self.deadline, attempt).await?
    }

    async fn start_once(&self) -> Result<Run> {
        let (sender, receiver) = oneshot::channel();
        let (client, new, deadline) = (self.client.once(), self.new.clone(), self.deadline);
        let task = async move {
            let created = client.create_prediction(&new).await;
            // If the receiver was dropped, the run is dropped here and cancelled.
            let _ = sender.send(created.map(|made| Run::new(client, made, deadline)));
        };
        cleanup::spawn(&Handle::current(), task);
        receiver.await.unwrap_or_else(|_| {
            let message = "the runtime stopped while a prediction was created";
            Err(Error::new(ErrorKind::Cancelled, message))
        })
    }
}

/// Waits until the prediction has succeeded.
///
/// # Errors
/// The error of a prediction that ends with another status, and the errors of [`Watch`].
pub(crate) async fn wait_for_success(mut run: Run) -> Result<Run, Failure> {
    let timed_out = run.timed_out();
    let done = tokio::select! {
        biased;
        () = timed_out => None,
        done = poll_to_end(&mut run) => Some(done),
    };
    done.unwrap_or_else(|| Err(run.watch.timeout_error()))?;
    match run.prediction.failure() {
        Some(error) => Err(error.into()),
        None => Ok(run),
    }
}

async fn poll_to_end(run: &mut Run) -> Result<()> {
    // With output in the first response, the prediction is about to end: poll without a pause.
    let mut has_output_already = !run.prediction.output.is_null();
    while !run.prediction.status.is_terminal() {
        if !std::mem::take(&mut has_output_already) {
            run.watch.pause().await?;
        }
        run.refresh().await?;
    }
    Ok(())
}
