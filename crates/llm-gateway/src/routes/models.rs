//! The model groups as OpenAI's list of models.

use std::sync::Arc;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::response::Response;
use http::StatusCode;
use llm_types::{Model, ModelList};

use crate::error::ApiError;
use crate::gateway::Shared;

pub(super) async fn list(State(shared): State<Arc<Shared>>) -> Response {
    let models = shared.router.groups().map(|group| model(&shared, group));
    super::json(&ModelList::new(models.collect()))
}

/// One model. Its id may hold slashes, as they are or percent-encoded.
pub(super) async fn one(
    State(shared): State<Arc<Shared>>,
    id: Result<Path<String>, PathRejection>,
) -> Result<Response, ApiError> {
    let Path(id) = id.map_err(|rejection| ApiError::invalid(rejection.body_text()))?;
    if shared.router.groups().any(|group| group == id) {
        return Ok(super::json(&model(&shared, &id)));
    }
    let message = format!("the model \"{id}\" does not exist; GET /v1/models lists those that do");
    Err(
        ApiError::new(StatusCode::NOT_FOUND, "invalid_request_error", message)
            .with_param("model")
            .with_code("model_not_found"),
    )
}

fn model(shared: &Shared, group: &str) -> Model {
    Model::new(group, shared.created, "polyllm")
}
