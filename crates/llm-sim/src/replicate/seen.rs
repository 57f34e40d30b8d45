use std::fmt;

use serde_json::Value;
use tokio::time::Instant;

use crate::replicate::prediction::Prediction;
use crate::replicate::timeline::SimStatus;

/// A prediction of the simulated Replicate, at the time of the call.
#[non_exhaustive]
#[derive(Clone)]
pub struct SeenPrediction {
    /// The id.
    pub id: String,
    /// `owner/name`.
    pub model: String,
    /// `hidden` for official models.
    pub version: String,
    /// `owner/name` of the deployment, if it was created on one.
    pub deployment: Option<String>,
    /// The status.
    pub status: SimStatus,
    /// The input, unchanged.
    pub input: Value,
    /// The output so far.
    pub output: Value,
    /// Whether the API has removed input, output and logs; they are still available here.
    pub data_removed: bool,
    /// The time of its creation.
    pub created: Instant,
    /// The time of its end.
    pub completed: Option<Instant>,
    /// The time of the first cancel request, whether or not it was in time.
    pub cancelled: Option<Instant>,
    /// The number of cancel requests.
    pub cancel_calls: usize,
}

impl SeenPrediction {
    pub(crate) fn of(prediction: &Prediction) -> Self {
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
    /// Leaves out input and output, which contain a prompt and its reply.
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
