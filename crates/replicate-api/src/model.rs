//! Models, their versions, and collections of models.

use futures_util::Stream;
use http::Method;
use llm_provider::Result;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::client::{ApiRequest, ReplicateClient};
use crate::error::invalid_name;
use crate::schema::{Parameter, Schema};
use crate::target::{named_path, path};

/// A published model.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default)]
#[non_exhaustive]
pub struct ReplicateModel {
    /// The owner.
    pub owner: String,
    /// The name; requests use `owner/name`.
    pub name: String,
    /// The description, written by the owner.
    pub description: Option<String>,
    /// Whether it can be run without a version; `None` in older responses.
    pub is_official: Option<bool>,
    /// The number of runs.
    pub run_count: Option<u64>,
    /// The latest version.
    pub latest_version: Option<Version>,
    /// All other members.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// A version of a model.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Version {
    /// The id, 64 hexadecimal digits; requests use `owner/name:id`.
    pub id: String,
    /// The publication time, in RFC 3339.
    pub created_at: Option<String>,
    /// The input and output, as an OpenAPI schema.
    pub openapi_schema: Value,
    /// All other members.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

impl Version {
    /// The inputs, in the model's order.
    pub fn inputs(&self) -> Vec<Parameter> {
        let schema = Schema::from_openapi(&self.openapi_schema);
        schema.unwrap_or_default().0
    }

    /// Whether the output is a list of separate texts, such as the URLs of files. `false` for the list
    /// of a language model, whose items are to be joined, and if the output is not described.
    pub fn has_separate_outputs(&self) -> bool {
        let output = &self.openapi_schema["components"]["schemas"]["Output"];
        let is_text = output["x-cog-array-display"] == "concatenate"
            || (output["x-cog-array-type"] == "iterator" && output["items"]["format"] != "uri");
        output["type"] == "array" && !is_text
    }
}

/// A collection of models, curated by Replicate.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Collection {
    /// The name for requests.
    pub slug: String,
    /// The models.
    pub models: Vec<ReplicateModel>,
    /// All other members.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

impl ReplicateClient {
    /// A model, by its `owner/name`.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`](llm_provider::ErrorKind::NotFound) if no model has this name.
    pub async fn model(&self, name: &str) -> Result<ReplicateModel> {
        self.send(ApiRequest::get(named_path("models", name)?))
            .await
    }

    /// All public models: thousands. [`search_models`](Self::search_models) and
    /// [`collection`](Self::collection) return fewer.
    pub fn public_models(&self) -> impl Stream<Item = Result<ReplicateModel>> + Send + 'static {
        self.list(Ok(ApiRequest::get("/v1/models")))
    }

    /// The public models that match a query.
    pub fn search_models(
        &self,
        query: &str,
    ) -> impl Stream<Item = Result<ReplicateModel>> + Send + 'static {
        // QUERY is an extension method: safe and idempotent like GET, but with a body (RFC 9110,
        // 9.1).
        let method = Method::from_bytes(b"QUERY").unwrap_or(Method::POST);
        self.list(Ok(
            ApiRequest::new(method, "/v1/models".to_owned()).with_text(query)
        ))
    }

    /// A collection of models, such as `language-models` or `official`.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`](llm_provider::ErrorKind::NotFound) if no collection has this name.
    pub async fn collection(&self, slug: &str) -> Result<Collection> {
        self.send(ApiRequest::get(path("collections", [slug])?))
            .await
    }

    /// The versions of a model, the newest first.
    pub fn versions(&self, model: &str) -> impl Stream<Item = Result<Version>> + Send + 'static {
        self.list(named_path("models", model).map(|path| ApiRequest::get(path + "/versions")))
    }

    /// A version of a model, by the model's `owner/name` and the version's id.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`](llm_provider::ErrorKind::NotFound) if no version has this id.
    pub async fn version(&self, model: &str, id: &str) -> Result<Version> {
        let (owner, name) = model.split_once('/').ok_or_else(|| invalid_name(model))?;
        let path = path("models", [owner, name, "versions", id])?;
        self.send(ApiRequest::get(path)).await
    }
}
