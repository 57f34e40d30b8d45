use serde_json::{Value, json};
use tokio::time::Instant;

use crate::replicate::webhook::WebhookEvent;

/// An attempt of the simulated Replicate to deliver a webhook.
#[non_exhaustive]
#[derive(Clone, Debug)]
pub struct SeenWebhook {
    /// The prediction's id.
    pub prediction: String,
    /// The type of the event.
    pub event: WebhookEvent,
    /// The header `webhook-id`: the same for all attempts of one event.
    pub id: String,
    /// The number of the attempt, from 1.
    pub attempt: usize,
    /// The time of the attempt.
    pub at: Instant,
    /// The status of the receiver's response; `None` if there was none, or if the URL is not on
    /// this machine, in which case nothing is sent.
    pub status: Option<u16>,
}

impl SeenWebhook {
    /// For `GET /_sim/webhooks`.
    pub(crate) fn json(&self) -> Value {
        json!({
            "prediction": self.prediction,
            "event": self.event.as_str(),
            "id": self.id,
            "attempt": self.attempt,
            "status": self.status,
        })
    }
}
