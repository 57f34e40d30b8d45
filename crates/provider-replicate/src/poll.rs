//! Asking how far a prediction is.

use std::time::Duration;

use llm_provider::retry::Backoff;
use llm_provider::{Error, ErrorKind, Result};
use tokio::time::{Instant, sleep, sleep_until, timeout_at};

use crate::client::Client;
use crate::config::Limits;
use crate::wire::{Prediction, Status};

/// Watches one prediction: fast while it is young or changes, slower and slower while it does
/// not, and to a deadline.
///
/// A question that fails is asked again: it neither loses the prediction nor makes a new one.
#[derive(Debug)]
pub(crate) struct Watch {
    client: Client,
    limits: Limits,
    born: Instant,
    begun: Option<Instant>,
    /// Until when the caller wants something, whatever the prediction does.
    deadline: Option<Instant>,
    unchanged: u32,
    failures: u32,
    last: (Status, usize),
}

impl Watch {
    /// Watches `prediction` from now on, until `deadline` at the latest.
    pub(crate) fn new(client: Client, prediction: &Prediction, deadline: Option<Instant>) -> Self {
        let mut watch = Self {
            limits: client.0.limits,
            client,
            born: Instant::now(),
            begun: None,
            deadline,
            unchanged: 0,
            failures: 0,
            last: (prediction.status.clone(), 0),
        };
        watch.saw(prediction);
        watch
    }

    /// Asks at once; again and again until there is an answer.
    ///
    /// # Errors
    /// [`ErrorKind::Timeout`] at the deadline; the last failure when there are too many in a row.
    pub(crate) async fn now(&mut self, id: &str) -> Result<Prediction> {
        loop {
            let end = self.end();
            let asked = timeout_at(end, self.client.prediction(id)).await;
            match asked.map_err(|_| self.too_late())? {
                Ok(prediction) => {
                    self.failures = 0;
                    self.saw(&prediction);
                    return Ok(prediction);
                }
                // A prediction may be found a moment later than it is made.
                Err(error) if error.is_retryable() || error.kind() == ErrorKind::NotFound => {
                    self.failures += 1;
                    let limit = if error.is_retryable() {
                        MAX_FAILURES
                    } else {
                        MAX_NOT_FOUND
                    };
                    if self.failures > limit {
                        return Err(error);
                    }
                    let backoff = Backoff::new(FIRST_PAUSE, RETRY_PAUSE);
                    self.sleep(backoff.delay(self.failures, error.retry_after()))
                        .await?;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Waits as long as is sensible before the next question.
    ///
    /// # Errors
    /// [`ErrorKind::Timeout`] at the deadline.
    pub(crate) async fn pause(&mut self) -> Result<()> {
        let slowest = if self.begun.is_some() {
            RUN_PAUSE
        } else {
            BOOT_PAUSE
        };
        let pause = Backoff::new(FIRST_PAUSE, slowest).delay(self.unchanged, None);
        self.unchanged = self.unchanged.saturating_add(1);
        self.sleep(pause.max(MIN_PAUSE)).await
    }

    /// Takes the caller's deadline away: there is an answer.
    pub(crate) fn answered(&mut self) {
        self.deadline = None;
        self.begun.get_or_insert_with(Instant::now);
    }

    /// Fails at the deadline.
    pub(crate) async fn deadline(&self) -> Error {
        sleep_until(self.end()).await;
        self.too_late()
    }

    /// The time since the prediction was made.
    pub(crate) fn elapsed(&self) -> Duration {
        self.born.elapsed()
    }

    fn saw(&mut self, prediction: &Prediction) {
        if prediction.status.has_begun() {
            self.begun.get_or_insert_with(Instant::now);
        }
        let length = prediction.output.as_ref().map_or(0, |output| match output {
            serde_json::Value::Array(pieces) => pieces.len(),
            serde_json::Value::String(text) => text.len(),
            _ => 1,
        });
        let now = (prediction.status.clone(), length);
        if now != self.last {
            self.unchanged = 0;
            self.last = now;
        }
    }

    async fn sleep(&self, pause: Duration) -> Result<()> {
        let end = self.end();
        if Instant::now() >= end {
            return Err(self.too_late());
        }
        // Awake at the deadline, for one last question.
        sleep(pause.min(end - Instant::now())).await;
        Ok(())
    }

    fn end(&self) -> Instant {
        let own = match self.begun {
            Some(begun) => begun + self.limits.run,
            None => self.born + self.limits.boot,
        };
        self.deadline.map_or(own, |deadline| deadline.min(own))
    }

    fn too_late(&self) -> Error {
        let seconds = self.elapsed().as_secs();
        let message = match self.begun {
            Some(_) => format!("the prediction did not end within {seconds} s"),
            None => format!("the model did not start within {seconds} s: it may still be booting"),
        };
        Error::new(ErrorKind::Timeout, message)
    }
}

const MIN_PAUSE: Duration = Duration::from_millis(50);
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const RUN_PAUSE: Duration = Duration::from_secs(1);
const BOOT_PAUSE: Duration = Duration::from_secs(5);
const RETRY_PAUSE: Duration = Duration::from_secs(10);
const MAX_FAILURES: u32 = 12;
const MAX_NOT_FOUND: u32 = 3;
