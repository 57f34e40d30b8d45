//! Predictions that are run: made, made anew where Replicate asks for that, and stopped when nobody
//! waits for them any more, so that nobody pays for them.

use llm_provider::{Error, ErrorKind, Result, cleanup};
use replicate_api::{NewPrediction, Prediction, ReplicateClient, Watch};
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::limit::Limit;

/// A prediction, which is cancelled when this is dropped before its end, or when its time is over.
///
/// The call is made by a task of its own: it outlives the caller, and a process that stops waits
/// for it in [`cleanup::finish`].
#[derive(Debug)]
pub(crate) struct Run {
    /// It asks nothing twice by itself.
    pub(crate) client: ReplicateClient,
    /// As it was seen last.
    pub(crate) prediction: Prediction,
    pub(crate) watch: Watch,
    /// `None` once the prediction has ended.
    limit: Option<Limit>,
}

/// A prediction that is to be made, and made anew where Replicate asks for that.
#[derive(Clone, Debug)]
pub(crate) struct Order {
    pub(crate) client: ReplicateClient,
    pub(crate) new: NewPrediction,
    /// When the caller has to have something, whatever the prediction does.
    pub(crate) deadline: Option<Instant>,
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

impl Run {
    fn new(client: ReplicateClient, prediction: Prediction, deadline: Option<Instant>) -> Self {
        let watch = Watch::new(&client, deadline);
        let goes_on = !prediction.status.is_terminal();
        let limit = goes_on.then(|| Limit::new(&client, &prediction.id, watch.end()));
        Self {
            client,
            prediction,
            watch,
            limit,
        }
    }

    /// Asks how the prediction is now.
    pub(crate) async fn refresh(&mut self) -> Result<()> {
        self.prediction = self.watch.ask(&self.prediction.id).await?;
        if !self.prediction.status.is_terminal() {
            self.move_limit();
        } else if let Some(limit) = self.limit.take() {
            limit.lift();
        }
        Ok(())
    }

    /// Takes the caller's deadline away: there is an answer.
    pub(crate) fn answered(&mut self) {
        self.watch.answered();
        self.move_limit();
    }

    /// Waits until the prediction has been cancelled because its time was over, also if that was
    /// while nobody polled.
    pub(crate) fn passed(&mut self) -> impl Future<Output = ()> + use<> {
        let passed = self.limit.as_mut().map(Limit::passed);
        async {
            match passed {
                Some(passed) => passed.await,
                None => std::future::pending().await,
            }
        }
    }

    fn move_limit(&self) {
        if let Some(limit) = &self.limit {
            limit.move_to(self.watch.end());
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
        self.client.retries().run(self.deadline, attempt).await?
    }

    async fn start_once(&self) -> Result<Run> {
        let (sender, receiver) = oneshot::channel();
        let (client, new, deadline) = (self.client.once(), self.new.clone(), self.deadline);
        let task = async move {
            let created = client.create_prediction(&new).await;
            // When nobody listens any more, the run is dropped here, and cancels.
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
/// That of a prediction which ends in another way, and those of [`Watch`].
pub(crate) async fn to_the_end(mut run: Run) -> Result<Run, Failure> {
    let passed = run.passed();
    let done = tokio::select! {
        biased;
        () = passed => None,
        done = watch_to_the_end(&mut run) => Some(done),
    };
    done.unwrap_or_else(|| Err(run.watch.too_late()))?;
    match run.prediction.failure() {
        Some(error) => Err(error.into()),
        None => Ok(run),
    }
}

async fn watch_to_the_end(run: &mut Run) -> Result<()> {
    // Replicate answers as soon as the output is there, and has the metrics a moment later.
    let mut is_there = !run.prediction.output.is_null();
    while !run.prediction.status.is_terminal() {
        if !std::mem::take(&mut is_there) {
            run.watch.pause().await?;
        }
        run.refresh().await?;
    }
    Ok(())
}
