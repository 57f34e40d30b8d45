use serde_json::{Value, json};

use crate::replicate::prediction::Prediction;
use crate::replicate::timeline::Status;

/// How many predictions of the simulated Replicate stand where, over all that were ever created:
/// those that the simulation has forgotten since ([`Memory`](crate::Memory)) are counted, too.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct PredictionCounts {
    /// Their deadline passed before they started.
    pub aborted: usize,
    /// Somebody cancelled them, or their deadline passed while they ran.
    pub canceled: usize,
    /// They ended with an error.
    pub failed: usize,
    /// They run.
    pub processing: usize,
    /// They wait for their turn, or for their model to boot.
    pub starting: usize,
    /// They ended with their output.
    pub succeeded: usize,
    /// How often somebody asked to cancel one, whether or not that was in time.
    pub cancel_calls: usize,
}

impl PredictionCounts {
    /// All that were ever created.
    pub fn created(&self) -> usize {
        self.running() + self.aborted + self.canceled + self.failed + self.succeeded
    }

    /// Those that have not ended yet.
    pub fn running(&self) -> usize {
        self.starting + self.processing
    }

    /// Those that stand so.
    pub fn of(&self, status: Status) -> usize {
        match status {
            Status::Aborted => self.aborted,
            Status::Canceled => self.canceled,
            Status::Failed => self.failed,
            Status::Processing => self.processing,
            Status::Starting => self.starting,
            Status::Succeeded => self.succeeded,
        }
    }

    pub(crate) fn add(&mut self, prediction: &Prediction) {
        let count = match prediction.now().status {
            Status::Aborted => &mut self.aborted,
            Status::Canceled => &mut self.canceled,
            Status::Failed => &mut self.failed,
            Status::Processing => &mut self.processing,
            Status::Starting => &mut self.starting,
            Status::Succeeded => &mut self.succeeded,
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
