//! The responses of the routes below `/key`.

use gateway_store::{Key, KeyInfo, KeySettings, Money, Timestamp};
use llm_provider::ApiKey;
use serde::Serialize;
use serde_json::Value;

/// A key in a response, with the names of LiteLLM's fields.
#[derive(Serialize)]
pub(in crate::routes) struct KeyAnswer<'k> {
    /// The secret, if it is new.
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<&'k str>,
    token: String,
    /// The id in usage records and reports.
    key_id: &'k str,
    key_name: &'k str,
    #[serde(flatten)]
    settings: Value,
    created_at: String,
    updated_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    spend: Option<Money>,
    /// When the spend is reset to zero next.
    #[serde(skip_serializing_if = "Option::is_none")]
    budget_reset_at: Option<String>,
}

impl<'k> KeyAnswer<'k> {
    pub(in crate::routes) fn new(key: &'k Key) -> Self {
        Self {
            key: None,
            token: key.hash.to_string(),
            key_id: &key.id,
            key_name: &key.name,
            settings: settings(&key.settings),
            created_at: key.created_at.to_string(),
            updated_at: key.updated_at.to_string(),
            spend: None,
            budget_reset_at: None,
        }
    }

    pub(in crate::routes) fn with_secret(mut self, secret: &'k ApiKey) -> Self {
        self.key = Some(secret.expose());
        self
    }

    pub(in crate::routes) fn with_spend(mut self, info: &KeyInfo) -> Self {
        self.spend = Some(info.spend);
        self.budget_reset_at = info.budget_reset_at.map(|at| at.to_string());
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
