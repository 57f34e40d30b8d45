use futures_util::Stream;
use http::Method;
use llm_provider::Result;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::client::{Ask, Client};
use crate::error::wrong_name;
use crate::schema::{Parameter, Schema};
use crate::target::{named_path, path};

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
        let schema = Schema::from_openapi(&self.openapi_schema);
        schema.unwrap_or_default().0
    }
}

/// Models that Replicate has put together.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Collection {
    /// Its name, as it is asked for.
    pub slug: String,
    /// The models.
    pub models: Vec<Model>,
    /// All else that Replicate tells.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

impl Client {
    /// A model, by its `owner/name`.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`](llm_provider::ErrorKind::NotFound) when there is none of this name.
    pub async fn model(&self, name: &str) -> Result<Model> {
        self.ask(Ask::get(named_path("models", name)?)).await
    }

    /// All public models, thousands of them; [`search_models`](Self::search_models) and
    /// [`collection`](Self::collection) tell fewer.
    pub fn public_models(&self) -> impl Stream<Item = Result<Model>> + Send + 'static {
        self.list(Ok(Ask::get("/v1/models")))
    }

    /// The public models that Replicate finds for what somebody looks for.
    pub fn search_models(&self, query: &str) -> impl Stream<Item = Result<Model>> + Send + 'static {
        // An extension method, safe and idempotent like GET, but with a body (RFC 9110, 9.1).
        let method = Method::from_bytes(b"QUERY").unwrap_or(Method::POST);
        self.list(Ok(
            Ask::new(method, "/v1/models".to_owned()).with_text(query)
        ))
    }

    /// Models that Replicate has put together, such as `language-models` or `official`.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`](llm_provider::ErrorKind::NotFound) when there is none of this name.
    pub async fn collection(&self, slug: &str) -> Result<Collection> {
        self.ask(Ask::get(path("collections", [slug])?)).await
    }

    /// The versions of a model, the newest first.
    pub fn versions(&self, model: &str) -> impl Stream<Item = Result<Version>> + Send + 'static {
        self.list(named_path("models", model).map(|path| Ask::get(path + "/versions")))
    }

    /// A version of a model, by the model's `owner/name` and its own id.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`](llm_provider::ErrorKind::NotFound) when there is none of this id.
    pub async fn version(&self, model: &str, id: &str) -> Result<Version> {
        let (owner, name) = model.split_once('/').ok_or_else(|| wrong_name(model))?;
        let path = path("models", [owner, name, "versions", id])?;
        self.ask(Ask::get(path)).await
    }
}
