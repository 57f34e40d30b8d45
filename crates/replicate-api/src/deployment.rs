use futures_util::Stream;
use http::Method;
use llm_provider::Result;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::client::{Ask, Client};
use crate::target::named_path;

/// A model that is served on machines of one's own.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Deployment {
    /// Whose it is.
    pub owner: String,
    /// Its name: it is asked for as `deployments/owner/name`.
    pub name: String,
    /// What is served at present.
    pub current_release: Release,
    /// All else that Replicate tells.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// What a deployment serves. Each change makes a new one.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Release {
    /// Its number, from 1.
    pub number: u64,
    /// The model, `owner/name`.
    pub model: String,
    /// The version of the model.
    pub version: String,
    /// The machines: `hardware`, `min_instances`, `max_instances`.
    pub configuration: Machines,
    /// All else that Replicate tells.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// The machines of a deployment.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default)]
pub struct Machines {
    /// The sort of machine, such as `gpu-t4`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hardware: Option<String>,
    /// How many run always, 0 to 5.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_instances: Option<u64>,
    /// How many run at most, 0 to 20.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_instances: Option<u64>,
}

/// A deployment to be, or what is to be changed of one; only what is there is sent.
#[derive(Clone, Debug, Default, Serialize)]
pub struct DeploymentChange {
    /// Its name; of a new one only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The model, `owner/name`; of a new one only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// The version of the model.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// The machines; a new one needs all of it.
    #[serde(flatten)]
    pub machines: Machines,
}

impl DeploymentChange {
    fn body(&self) -> Value {
        serde_json::to_value(self).unwrap_or_else(|_| json!({}))
    }
}

impl Client {
    /// A deployment, by its `owner/name`.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`](llm_provider::ErrorKind::NotFound) when there is none of this name.
    pub async fn deployment(&self, name: &str) -> Result<Deployment> {
        self.ask(Ask::get(named_path("deployments", name)?)).await
    }

    /// The account's deployments.
    pub fn deployments(&self) -> impl Stream<Item = Result<Deployment>> + Send + 'static {
        self.list(Ok(Ask::get("/v1/deployments")))
    }

    /// Makes a deployment, which costs money as long as it has instances.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidRequest`](llm_provider::ErrorKind::InvalidRequest) for what Replicate refuses.
    pub async fn create_deployment(&self, new: &DeploymentChange) -> Result<Deployment> {
        let ask = Ask::new(Method::POST, "/v1/deployments".to_owned());
        self.ask(ask.with_json(&new.body())).await
    }

    /// Changes a deployment: from now on it serves another release.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`](llm_provider::ErrorKind::NotFound) when there is none of this name.
    pub async fn update_deployment(
        &self,
        name: &str,
        change: &DeploymentChange,
    ) -> Result<Deployment> {
        let ask = Ask::new(Method::PATCH, named_path("deployments", name)?);
        self.ask(ask.with_json(&change.body())).await
    }

    /// Deletes a deployment that has been offline and unused for 15 minutes.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidRequest`](llm_provider::ErrorKind::InvalidRequest) when it has not.
    pub async fn delete_deployment(&self, name: &str) -> Result<()> {
        let ask = Ask::new(Method::DELETE, named_path("deployments", name)?);
        self.ask::<Value>(ask).await.map(drop)
    }
}
