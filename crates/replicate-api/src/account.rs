//! The account, and the secret of its webhooks.

use http::Method;
use llm_provider::{ApiKey, Result};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::client::{ApiRequest, ReplicateClient};
use crate::error::unexpected;

/// The owner of the API token.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Account {
    /// `user` or `organization`.
    #[serde(rename = "type")]
    pub type_: String,
    /// The name before the slash in the names of its models and deployments.
    pub username: String,
    /// The display name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// All other members.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

impl ReplicateClient {
    /// The account that owns the API token.
    ///
    /// # Errors
    /// [`ErrorKind::Auth`](llm_provider::ErrorKind::Auth) if the token is invalid.
    pub async fn account(&self) -> Result<Account> {
        self.send(ApiRequest::get("/v1/account")).await
    }

    /// The secret that signs the account's webhooks; `webhook::WebhookSecret` verifies them.
    ///
    /// # Errors
    /// [`ErrorKind::UnexpectedBody`](llm_provider::ErrorKind::UnexpectedBody) if the response has
    /// none.
    pub async fn webhook_secret(&self) -> Result<ApiKey> {
        let path = "/v1/webhooks/default/secret".to_owned();
        let found: Value = self.send(ApiRequest::new(Method::GET, path)).await?;
        let key = found["key"].as_str().map(ApiKey::new);
        key.ok_or_else(|| unexpected("Replicate's response has no webhook secret"))
    }
}
