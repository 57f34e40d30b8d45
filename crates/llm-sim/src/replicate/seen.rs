use std::fmt;

use serde_json::Value;
use tokio::time::Instant;

use crate::replicate::prediction::Prediction;
use crate::replicate::timeline::Status;

/// A prediction of the simulated Replicate, as it stood when a test looked.
#[non_exhaustive]
#[derive(Clone)]
pub struct SeenPrediction {
    /// Its id.
    pub id: String,
    /// `owner/name`.
    pub model: String,
    /// `hidden` for official models.
    pub version: String,
    /// `owner/name` of the deployment, if it was made on one.
    pub deployment: Option<String>,
    /// Where it stands.
    pub status: Status,
    /// The input as it was sent.
    pub input: Value,
    /// What it has said so far.
    pub output: Value,
    /// Whether the API has forgotten input, output and logs; a test still sees them here.
    pub data_removed: bool,
    /// When it was created.
    pub created: Instant,
    /// When it ended.
    pub completed: Option<Instant>,
    /// When somebody first asked to cancel it, whether or not that was in time.
    pub cancelled: Option<Instant>,
    /// How often somebody asked to cancel it.
    pub cancel_calls: usize,
}

impl SeenPrediction {
    pub(crate) fn look(prediction: &Prediction) -> Self {
        let moment = prediction.now();
        Self {
            id: prediction.id.clone(),
            model: prediction.model.clone(),
            version: prediction.version.clone(),
            deployment: prediction.deployment.clone(),
            status: moment.status,
            input: Value::Object(prediction.input.clone()),
            output: prediction.output(moment),
            data_removed: prediction.is_removed(),
            created: prediction.timeline.created,
            completed: moment.completed,
            cancelled: prediction.cancelled(),
            cancel_calls: prediction.cancel_calls(),
        }
    }
}

impl fmt::Debug for SeenPrediction {
    /// Leaves out input and output: they hold a prompt and its answer.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SeenPrediction")
            .field("id", &self.id)
            .field("model", &self.model)
            .field("deployment", &self.deployment)
            .field("status", &self.status)
            .field("cancel_calls", &self.cancel_calls)
            .finish_non_exhaustive()
    }
}
