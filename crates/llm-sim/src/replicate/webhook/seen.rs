use serde_json::{Value, json};
use tokio::time::Instant;

use crate::replicate::webhook::WebhookEvent;

/// An attempt of the simulated Replicate to deliver a webhook.
#[non_exhaustive]
#[derive(Clone, Debug)]
pub struct SeenWebhook {
    /// The prediction's id.
    pub prediction: String,
    /// What was told of it.
    pub event: WebhookEvent,
    /// The header `webhook-id`: the same for all attempts of one event.
    pub id: String,
    /// Counts up from 1.
    pub attempt: usize,
    /// When it was sent.
    pub at: Instant,
    /// What the receiver answered; `None` when it did not, or when the URL leads away from this
    /// machine, where nothing is sent.
    pub status: Option<u16>,
}

impl SeenWebhook {
    /// Of `GET /_sim/webhooks`.
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
