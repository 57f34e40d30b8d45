//! What an account has on Replicate: its predictions and deployments; and the models that there are.
//!
//! All documents are read leniently: statuses and members that this crate knows nothing of are kept,
//! and written again. Lists are streams over all their pages, each of which is fetched when it is
//! needed.
//!
//! ```
//! use futures_util::{StreamExt, TryStreamExt};
//! use llm_provider::{Result, Settings};
//! use provider_replicate::Replicate;
//!
//! async fn cancel_all(replicate: &Replicate) -> Result<()> {
//!     let mut latest = std::pin::pin!(replicate.predictions().take(1000));
//!     while let Some(prediction) = latest.try_next().await? {
//!         if !prediction.status.is_terminal() {
//!             replicate.cancel_prediction(&prediction.id).await?;
//!         }
//!     }
//!     Ok(())
//! }
//! ```

use std::collections::VecDeque;

use futures_util::{Stream, stream};
use http::Method;
use llm_provider::{ApiKey, Error, ErrorKind, Result};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::NAME;
use crate::chat::Replicate;
use crate::poll::Watch;
use crate::schema::Schema;
use crate::target::is_plain;

pub use crate::schema::Parameter;
pub use crate::wire::{Prediction, Status};

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

/// A model that somebody has published.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Model {
    /// Who published it.
    pub owner: String,
    /// Its name: it is asked for as `owner/name`.
    pub name: String,
    /// What it does, in its owner's words.
    pub description: Option<String>,
    /// Whether it can be asked for without a version; older answers do not tell.
    pub is_official: Option<bool>,
    /// How often it was run.
    pub run_count: Option<u64>,
    /// Its newest version.
    pub latest_version: Option<Version>,
    /// All else that Replicate tells.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// A version of a model.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Version {
    /// Its name, 64 hexadecimal digits: it is asked for as `owner/name:id`.
    pub id: String,
    /// When it was published, in RFC 3339.
    pub created_at: Option<String>,
    /// What it takes and gives, in OpenAPI's words.
    pub openapi_schema: Value,
    /// All else that Replicate tells.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

impl Version {
    /// What it takes, in its own order.
    pub fn inputs(&self) -> Vec<Parameter> {
        Schema::from_openapi(&self.openapi_schema)
            .unwrap_or_default()
            .0
    }
}

/// Each call fails with the errors of a chat; names and ids that Replicate cannot have are
/// [`ErrorKind::InvalidRequest`], before anything is sent.
impl Replicate {
    /// A prediction as it is now.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] when there is none of this id.
    pub async fn prediction(&self, id: &str) -> Result<Prediction> {
        self.ask(Method::GET, path("predictions", [id]), None).await
    }

    /// The account's predictions, the newest first, without input, output and logs.
    pub fn predictions(&self) -> impl Stream<Item = Result<Prediction>> + Send + 'static {
        self.list(Ok("/v1/predictions".to_owned()))
    }

    /// Stops a prediction, and tells how it is then. One that has ended stays as it is.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] when there is none of this id.
    pub async fn cancel_prediction(&self, id: &str) -> Result<Prediction> {
        let path = path("predictions", [id]).map(|path| path + "/cancel");
        self.ask(Method::POST, path, None).await
    }

    /// A prediction as it is each time that it is looked at, with pauses, until it has ended.
    ///
    /// Dropping the stream leaves the prediction running. The limits are those of calls:
    /// `boot_timeout` and `run_timeout`, from now on.
    pub fn watch_prediction(
        &self,
        id: &str,
    ) -> impl Stream<Item = Result<Prediction>> + Send + 'static {
        let watch = Watch::new(self.client.clone(), None);
        let first = Some((watch, id.to_owned(), true));
        stream::try_unfold(first, |state| async {
            let Some((mut watch, id, is_first)) = state else {
                return Ok(None);
            };
            path("predictions", [id.as_str()])?;
            if !is_first {
                watch.pause().await.map_err(named)?;
            }
            let prediction = watch.ask(&id).await.map_err(named)?;
            let is_over = prediction.status.is_terminal();
            let next = (!is_over).then_some((watch, id, false));
            Ok(Some((prediction, next)))
        })
    }

    /// A deployment, by its `owner/name`.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] when there is none of this name.
    pub async fn deployment(&self, name: &str) -> Result<Deployment> {
        self.ask(Method::GET, named_path("deployments", name), None)
            .await
    }

    /// The account's deployments.
    pub fn deployments(&self) -> impl Stream<Item = Result<Deployment>> + Send + 'static {
        self.list(Ok("/v1/deployments".to_owned()))
    }

    /// Makes a deployment, which costs money as long as it has instances.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidRequest`] for what Replicate refuses.
    pub async fn create_deployment(&self, new: &DeploymentChange) -> Result<Deployment> {
        let path = Ok("/v1/deployments".to_owned());
        self.ask(Method::POST, path, Some(new)).await
    }

    /// Changes a deployment: from now on it serves another release.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] when there is none of this name.
    pub async fn update_deployment(
        &self,
        name: &str,
        change: &DeploymentChange,
    ) -> Result<Deployment> {
        let path = named_path("deployments", name);
        self.ask(Method::PATCH, path, Some(change)).await
    }

    /// Deletes a deployment that has been offline and unused for 15 minutes.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidRequest`] when it has not.
    pub async fn delete_deployment(&self, name: &str) -> Result<()> {
        let path = named_path("deployments", name);
        self.ask::<Value>(Method::DELETE, path, None)
            .await
            .map(drop)
    }

    /// A model, by its `owner/name`.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] when there is none of this name.
    pub async fn model(&self, name: &str) -> Result<Model> {
        self.ask(Method::GET, named_path("models", name), None)
            .await
    }

    /// All public models, thousands of them.
    pub fn public_models(&self) -> impl Stream<Item = Result<Model>> + Send + 'static {
        self.list(Ok("/v1/models".to_owned()))
    }

    /// The versions of a model, the newest first.
    pub fn versions(&self, model: &str) -> impl Stream<Item = Result<Version>> + Send + 'static {
        self.list(named_path("models", model).map(|path| path + "/versions"))
    }

    /// What the account's webhooks are signed with: `webhook::Secret` checks that.
    ///
    /// # Errors
    /// [`ErrorKind::UnexpectedBody`] when Replicate tells none.
    pub async fn webhook_secret(&self) -> Result<ApiKey> {
        let path = Ok("/v1/webhooks/default/secret".to_owned());
        let told: Value = self.ask(Method::GET, path, None).await?;
        let none = || named(crate::error::unexpected("Replicate tells no secret"));
        told["key"].as_str().map(ApiKey::new).ok_or_else(none)
    }

    async fn ask<T: DeserializeOwned>(
        &self,
        method: Method,
        path: Result<String>,
        body: Option<&DeploymentChange>,
    ) -> Result<T> {
        let path = path?;
        let body = body.and_then(|body| serde_json::to_value(body).ok());
        let attempt = |_| self.client.call(method.clone(), &path, body.as_ref());
        let retries = &self.client.0.retries;
        retries.run(None, attempt).await.map_err(named)
    }

    /// The entries of a list, page after page.
    fn list<T: DeserializeOwned + Send + 'static>(
        &self,
        path: Result<String>,
    ) -> impl Stream<Item = Result<T>> + Send + 'static {
        let client = self.client.clone();
        let first = (Some(path), VecDeque::new());
        stream::try_unfold(first, move |(mut next, mut entries)| {
            let client = client.clone();
            async move {
                loop {
                    if let Some(entry) = entries.pop_front() {
                        return Ok(Some((entry, (next, entries))));
                    }
                    let Some(path) = next.take() else {
                        return Ok(None);
                    };
                    let path = path?;
                    let retries = &client.0.retries;
                    let got = retries.run(None, |_| client.get::<Page<T>>(&path));
                    let page = got.await.map_err(named)?;
                    entries = page.results.into();
                    // Only the query is taken over, so that the token goes to no other host.
                    let base = path.split('?').next().unwrap_or_default();
                    let query = page.next.as_deref().and_then(|url| url.split_once('?'));
                    let following = query.map(|(_, query)| format!("{base}?{query}"));
                    next = following.filter(|next| *next != path).map(Ok);
                }
            }
        })
    }
}

/// A part of a list.
#[derive(Deserialize)]
struct Page<T> {
    results: Vec<T>,
    /// The URL of the next part; its query holds the place.
    next: Option<String>,
}

fn path<const N: usize>(what: &str, parts: [&str; N]) -> Result<String> {
    let mut path = format!("/v1/{what}");
    for part in parts {
        if !is_plain(part) {
            return Err(wrong(part));
        }
        path = path + "/" + part;
    }
    Ok(path)
}

fn named_path(what: &str, name: &str) -> Result<String> {
    let (owner, name) = name.split_once('/').ok_or_else(|| wrong(name))?;
    path(what, [owner, name])
}

fn wrong(name: &str) -> Error {
    let message = format!("\"{name}\" is neither owner/name nor an id of Replicate's");
    named(Error::new(ErrorKind::InvalidRequest, message))
}

fn named(error: Error) -> Error {
    error.with_provider(NAME)
}
