use std::time::Duration;

use llm_provider::retry::Backoff;
use llm_provider::{Error, ErrorKind, Result};
use tokio::time::{Instant, sleep, sleep_until, timeout_at};

use crate::client::{NAME, PredictionLimits, ReplicateClient};
use crate::prediction::Prediction;

/// Polls one prediction: quickly after its creation and after its start, then more and more slowly,
/// until a deadline.
///
/// A failed request is repeated; the prediction is neither lost nor created again.
#[derive(Debug)]
pub struct Watch {
    client: ReplicateClient,
    limits: PredictionLimits,
    born: Instant,
    begun: Option<Instant>,
    /// The caller's deadline, regardless of the prediction.
    deadline: Option<Instant>,
    /// The number of requests since the prediction was created, or since it started.
    polls: u32,
}

impl Watch {
    /// Starts now and ends at `deadline` at the latest.
    pub fn new(client: &ReplicateClient, deadline: Option<Instant>) -> Self {
        let born = Instant::now();
        Self {
            client: client.once(),
            limits: client.limits(),
            born,
            begun: None,
            deadline,
            polls: 0,
        }
    }

    /// Polls until there is a response.
    ///
    /// # Errors
    /// [`ErrorKind::Timeout`] at the deadline; the last error if too many requests in a row fail.
    pub async fn fetch(&mut self, id: &str) -> Result<Prediction> {
        let mut failures = 0;
        loop {
            let response = timeout_at(self.end(), self.client.prediction(id)).await;
            let error = match response.map_err(|_| self.too_late())? {
                Ok(prediction) => {
                    self.saw(&prediction);
                    return Ok(prediction);
                }
                Err(error) => error,
            };
            failures += 1;
            let may_recover = match error.kind() {
                // A new prediction may not be visible immediately.
                ErrorKind::NotFound => failures <= MAX_NOT_FOUND,
                _ => error.is_retryable() && failures <= MAX_FAILURES,
            };
            if !may_recover {
                return Err(error);
            }
            let backoff = Backoff::new(FIRST_PAUSE, RETRY_PAUSE);
            self.sleep(backoff.delay(failures, error.retry_after()))
                .await?;
        }
    }

    /// Waits for the polling interval.
    ///
    /// # Errors
    /// [`ErrorKind::Timeout`] at the deadline.
    pub async fn pause(&mut self) -> Result<()> {
        let slowest = if self.begun.is_some() {
            RUN_PAUSE
        } else {
            BOOT_PAUSE
        };
        let pause = Backoff::new(FIRST_PAUSE, slowest).delay(self.polls, None);
        self.polls = self.polls.saturating_add(1);
        self.sleep(pause.max(MIN_PAUSE)).await
    }

    /// Removes the caller's deadline: there is a reply.
    pub fn answered(&mut self) {
        self.deadline = None;
        self.begun.get_or_insert_with(Instant::now);
    }

    /// Waits for the deadline.
    pub async fn deadline(&self) -> Error {
        sleep_until(self.end()).await;
        self.too_late()
    }

    /// The time since the prediction was created.
    pub fn elapsed(&self) -> Duration {
        self.born.elapsed()
    }

    fn saw(&mut self, prediction: &Prediction) {
        if self.begun.is_none() && prediction.status.has_begun() {
            self.begun = Some(Instant::now());
            self.polls = 0;
        }
    }

    async fn sleep(&self, pause: Duration) -> Result<()> {
        let left = self.end().saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(self.too_late());
        }
        sleep(pause.min(left)).await;
        Ok(())
    }

    /// The deadline as far as it is known: it changes when the prediction starts, and when there is
    /// a [reply](Self::answered).
    pub fn end(&self) -> Instant {
        let own = match self.begun {
            Some(begun) => begun + self.limits.run,
            None => self.born + self.limits.boot,
        };
        self.deadline.map_or(own, |deadline| deadline.min(own))
    }

    /// The error of a prediction that ran out of time.
    pub fn too_late(&self) -> Error {
        let did_not = match self.begun {
            Some(_) => "the prediction did not end",
            None => "the model, which may still be booting, did not start",
        };
        let seconds = self.elapsed().as_secs();
        let message = format!("{did_not} within {seconds} s");
        Error::new(ErrorKind::Timeout, message).with_provider(NAME)
    }
}

const MIN_PAUSE: Duration = Duration::from_millis(50);
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const RUN_PAUSE: Duration = Duration::from_secs(1);
const BOOT_PAUSE: Duration = Duration::from_secs(5);
const RETRY_PAUSE: Duration = Duration::from_secs(10);
const MAX_FAILURES: u32 = 12;
const MAX_NOT_FOUND: u32 = 3;
