//! Deployments.

use futures_util::Stream;
use http::Method;
use llm_provider::Result;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::client::{ApiRequest, ReplicateClient};
use crate::target::named_path;

/// A model on dedicated hardware of an account.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default)]
#[non_exhaustive]
pub struct ReplicateDeployment {
    /// The owner.
    pub owner: String,
    /// The name; requests use `deployments/owner/name`.
    pub name: String,
    /// The current release.
    pub current_release: Release,
    /// All other members.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// The configuration of a deployment. Each change creates a new release.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Release {
    /// The number of the release, starting at 1.
    pub number: u64,
    /// The model, `owner/name`.
    pub model: String,
    /// The version of the model.
    pub version: String,
    /// The instances: `hardware`, `min_instances`, `max_instances`.
    pub configuration: Machines,
    /// All other members.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// The instances of a deployment.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Machines {
    /// The hardware type, such as `gpu-t4`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hardware: Option<String>,
    /// The number of instances that run even without requests, 0 to 5.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_instances: Option<u64>,
    /// The maximum number of instances, 0 to 20.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_instances: Option<u64>,
}

impl Machines {
    /// Sets the hardware type, such as `gpu-t4`.
    #[must_use]
    pub fn with_hardware(mut self, hardware: impl Into<String>) -> Self {
        self.hardware = Some(hardware.into());
        self
    }

    /// Sets the number of instances that run even without requests, 0 to 5.
    #[must_use]
    pub fn with_min_instances(mut self, min_instances: u64) -> Self {
        self.min_instances = Some(min_instances);
        self
    }

    /// Sets the maximum number of instances, 0 to 20.
    #[must_use]
    pub fn with_max_instances(mut self, max_instances: u64) -> Self {
        self.max_instances = Some(max_instances);
        self
    }
}

/// A new deployment, or changes to one; only the fields that are set are sent.
#[derive(Clone, Debug, Default, Serialize)]
#[non_exhaustive]
pub struct DeploymentChange {
    /// The name; only for a new deployment.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The model, `owner/name`; only for a new deployment.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// The version of the model.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// The instances; a new deployment needs all fields.
    #[serde(flatten)]
    pub machines: Machines,
}

impl DeploymentChange {
    /// Sets the name of a new deployment.
    #[must_use]
    pub fn with_name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Sets the model of a new deployment, `owner/name`.
    #[must_use]
    pub fn with_model(mut self, model: impl Into<String>) -> Self {
        self.model = Some(model.into());
        self
    }

    /// Sets the version of the model.
    #[must_use]
    pub fn with_version(mut self, version: impl Into<String>) -> Self {
        self.version = Some(version.into());
        self
    }

    /// Sets the instances.
    #[must_use]
    pub fn with_machines(mut self, machines: Machines) -> Self {
        self.machines = machines;
        self
    }

    fn body(&self) -> Value {
        serde_json::to_value(self).unwrap_or_else(|_| json!({}))
    }
}

impl ReplicateClient {
    /// A deployment, by its `owner/name`.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`](llm_provider::ErrorKind::NotFound) if no deployment has this name.
    pub async fn deployment(&self, name: &str) -> Result<ReplicateDeployment> {
        self.send(ApiRequest::get(named_path("deployments", name)?))
            .await
    }

    /// The account's deployments.
    pub fn deployments(&self) -> impl Stream<Item = Result<ReplicateDeployment>> + Send + 'static {
        self.list(Ok(ApiRequest::get("/v1/deployments")))
    }

    /// Creates a deployment. Running instances are billed.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidRequest`](llm_provider::ErrorKind::InvalidRequest) if Replicate rejects
    /// the deployment.
    pub async fn create_deployment(&self, new: &DeploymentChange) -> Result<ReplicateDeployment> {
        let request = ApiRequest::new(Method::POST, "/v1/deployments".to_owned());
        self.send(request.with_json(&new.body())).await
    }

    /// Changes a deployment: it then serves a new release.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`](llm_provider::ErrorKind::NotFound) if no deployment has this name.
    pub async fn update_deployment(
        &self,
        name: &str,
        change: &DeploymentChange,
    ) -> Result<ReplicateDeployment> {
        let request = ApiRequest::new(Method::PATCH, named_path("deployments", name)?);
        self.send(request.with_json(&change.body())).await
    }

    /// Deletes a deployment that has been offline and unused for 15 minutes.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidRequest`](llm_provider::ErrorKind::InvalidRequest) if it was used within
    /// that time.
    pub async fn delete_deployment(&self, name: &str) -> Result<()> {
        let request = ApiRequest::new(Method::DELETE, named_path("deployments", name)?);
        self.send::<Value>(request).await.map(drop)
    }
}
