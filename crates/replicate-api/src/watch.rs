//! Polling of a prediction, with time limits.

use std::time::Duration;

use llm_provider::retry::Backoff;
use llm_provider::{Error, ErrorKind, Result};
use tokio::time::{Instant, sleep, sleep_until, timeout_at};

use crate::client::{NAME, PredictionLimits, ReplicateClient};
use crate::prediction::Prediction;

/// Polls a prediction until it ends or a time limit passes. The interval is short after its creation
/// and after its start, and grows.
///
/// Failed requests are retried. They do not affect the prediction.
#[derive(Debug)]
pub struct Watch {
    client: ReplicateClient,
    limits: PredictionLimits,
    created: Instant,
    started: Option<Instant>,
    /// The caller's deadline, in addition to the limits.
    deadline: Option<Instant>,
    /// The number of requests since the prediction was created, or since it started.
    polls: u32,
}

impl Watch {
    /// Creates a watch whose time limits start now; `deadline` is an additional one.
    pub fn new(client: &ReplicateClient, deadline: Option<Instant>) -> Self {
        let created = Instant::now();
        Self {
            client: client.once(),
            limits: client.limits(),
            created,
            started: None,
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
            let error = match response.map_err(|_| self.timeout_error())? {
                Ok(prediction) => {
                    self.record(&prediction);
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
        let slowest = if self.started.is_some() {
            RUN_PAUSE
        } else {
            BOOT_PAUSE
        };
        let pause = Backoff::new(FIRST_PAUSE, slowest).delay(self.polls, None);
        self.polls = self.polls.saturating_add(1);
        self.sleep(pause.max(MIN_PAUSE)).await
    }

    /// Removes the caller's deadline, which applies only until there is output.
    pub fn output_started(&mut self) {
        self.deadline = None;
        self.started.get_or_insert_with(Instant::now);
    }

    /// Waits for the end of the time limit, and returns its error.
    pub async fn deadline(&self) -> Error {
        sleep_until(self.end()).await;
        self.timeout_error()
    }

    /// The time since the prediction was created.
    pub fn elapsed(&self) -> Duration {
        self.created.elapsed()
    }

    fn record(&mut self, prediction: &Prediction) {
        if self.started.is_none() && prediction.status.has_begun() {
            self.started = Some(Instant::now());
            self.polls = 0;
        }
    }

    async fn sleep(&self, pause: Duration) -> Result<()> {
        let left = self.end().saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(self.timeout_error());
        }
        sleep(pause.min(left)).await;
        Ok(())
    }

    /// The end of the current time limit. It changes when the prediction starts, and when there is
    /// [output](Self::output_started).
    pub fn end(&self) -> Instant {
        let own_limit = match self.started {
            Some(started) => started + self.limits.run,
            None => self.created + self.limits.boot,
        };
        self.deadline
            .map_or(own_limit, |deadline| deadline.min(own_limit))
    }

    /// The error of a prediction that exceeded its time limit.
    pub fn timeout_error(&self) -> Error {
        let problem = match self.started {
            Some(_) => "the prediction did not end",
            None => "the model, which may still be booting, did not start",
        };
        let seconds = self.elapsed().as_secs();
        let message = format!("{problem} within {seconds} s");
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
