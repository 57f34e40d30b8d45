use serde_json::{Value, json};

use crate::replicate::prediction::Prediction;
use crate::replicate::timeline::SimStatus;

/// The number of predictions of the simulated Replicate by status, over all that were ever created,
/// including those that the simulation no longer remembers ([`Memory`](crate::Memory)).
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct PredictionCounts {
    /// Their deadline passed before they started.
    pub aborted: usize,
    /// They were cancelled, or their deadline passed while they ran.
    pub canceled: usize,
    /// They ended with an error.
    pub failed: usize,
    /// They run.
    pub processing: usize,
    /// They wait in the queue, or for their model to boot.
    pub starting: usize,
    /// They ended with their output.
    pub succeeded: usize,
    /// The number of cancel requests, whether or not they were in time.
    pub cancel_calls: usize,
}

impl PredictionCounts {
    /// The total.
    pub fn created(&self) -> usize {
        self.running() + self.aborted + self.canceled + self.failed + self.succeeded
    }

    /// The number of those that have not ended.
    pub fn running(&self) -> usize {
        self.starting + self.processing
    }

    /// The number of those with this status.
    pub fn of(&self, status: SimStatus) -> usize {
        match status {
            SimStatus::Aborted => self.aborted,
            SimStatus::Canceled => self.canceled,
            SimStatus::Failed => self.failed,
            SimStatus::Processing => self.processing,
            SimStatus::Starting => self.starting,
            SimStatus::Succeeded => self.succeeded,
        }
    }

    pub(crate) fn add(&mut self, prediction: &Prediction) {
        let count = match prediction.now().status {
            SimStatus::Aborted => &mut self.aborted,
            SimStatus::Canceled => &mut self.canceled,
            SimStatus::Failed => &mut self.failed,
            SimStatus::Processing => &mut self.processing,
            SimStatus::Starting => &mut self.starting,
            SimStatus::Succeeded => &mut self.succeeded,
        };
        *count += 1;
        self.cancel_calls += prediction.cancel_calls();
    }

    /// `GET /_sim/predictions`.
    pub(crate) fn json(&self) -> Value {
        json!({
            "created": self.created(),
            "running": self.running(),
            "starting": self.starting,
            "processing": self.processing,
            "succeeded": self.succeeded,
            "failed": self.failed,
            "canceled": self.canceled,
            "aborted": self.aborted,
            "cancel_calls": self.cancel_calls,
        })
    }
}
