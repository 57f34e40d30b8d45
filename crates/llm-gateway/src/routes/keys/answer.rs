//! The responses of the routes below `/key`.

use gateway_store::{Key, KeyInfo, KeySettings, Timestamp};
use llm_provider::ApiKey;
use serde::Serialize;
use serde_json::Value;

/// A key in a response, with the names of LiteLLM's fields.
#[derive(Serialize)]
pub(super) struct KeyAnswer<'k> {
    /// The secret, if it is new.
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<&'k str>,
    token: String,
    key_name: &'k str,
    #[serde(flatten)]
    settings: Value,
    created_at: String,
    updated_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    spend: Option<Value>,
}

impl<'k> KeyAnswer<'k> {
    pub(super) fn new(key: &'k Key) -> Self {
        Self {
            key: None,
            token: key.hash.to_string(),
            key_name: &key.name,
            settings: settings(&key.settings),
            created_at: key.created_at.to_string(),
            updated_at: key.updated_at.to_string(),
            spend: None,
        }
    }

    pub(super) fn with_secret(mut self, secret: &'k ApiKey) -> Self {
        self.key = Some(secret.expose());
        self
    }

    pub(super) fn with_spend(mut self, info: &KeyInfo) -> Self {
        self.spend = serde_json::to_value(info.spend).ok();
        self
    }
}

/// The settings as JSON, with `expires` in RFC 3339.
fn settings(settings: &KeySettings) -> Value {
    let mut value = serde_json::to_value(settings).unwrap_or_default();
    if let Some(expires) = value.get_mut("expires") {
        *expires = settings.expires.map(|at: Timestamp| at.to_string()).into();
    }
    value
}
