use http::Method;
use llm_provider::{ApiKey, Result};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::client::{Ask, Client};
use crate::error::unexpected;

/// Whose API token it is.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Account {
    /// `user` or `organization`.
    #[serde(rename = "type")]
    pub type_: String,
    /// What its models and deployments are called by, before the slash.
    pub username: String,
    /// What it calls itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// All else that Replicate tells.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

impl Client {
    /// The account that the API token belongs to.
    ///
    /// # Errors
    /// [`ErrorKind::Auth`](llm_provider::ErrorKind::Auth) when Replicate does not know the token.
    pub async fn account(&self) -> Result<Account> {
        self.ask(Ask::get("/v1/account")).await
    }

    /// What the account's webhooks are signed with: `webhook::Secret` checks that.
    ///
    /// # Errors
    /// [`ErrorKind::UnexpectedBody`](llm_provider::ErrorKind::UnexpectedBody) when Replicate tells
    /// none.
    pub async fn webhook_secret(&self) -> Result<ApiKey> {
        let path = "/v1/webhooks/default/secret".to_owned();
        let told: Value = self.ask(Ask::new(Method::GET, path)).await?;
        let key = told["key"].as_str().map(ApiKey::new);
        key.ok_or_else(|| unexpected("Replicate tells no secret"))
    }
}
