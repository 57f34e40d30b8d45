//! The model groups as OpenAI's list of models.

use http::{Response, StatusCode};
use llm_provider::endpoint::check_model_name;
use llm_provider::text::excerpt;
use llm_types::{Model, ModelList};
use percent_encoding::percent_decode_str;

use crate::error::ApiError;
use crate::gateway::Shared;
use crate::response::{self, ResponseBody};

pub(super) fn list(shared: &Shared) -> Response<ResponseBody> {
    let models = shared.router.groups().map(|group| model(shared, group));
    response::json_of(&ModelList::new(models.collect()))
}

/// One model. Its id may contain slashes, percent-encoded or not.
pub(super) fn one(shared: &Shared, id: &str) -> Result<Response<ResponseBody>, ApiError> {
    let id = percent_decode_str(id)
        .decode_utf8()
        .map_err(|_| ApiError::invalid("the model's id is not UTF-8").with_param("model"))?;
    check_model_name(&id)?;
    if shared.router.groups().any(|group| group == id) {
        return Ok(response::json_of(&model(shared, &id)));
    }
    let id = excerpt(&id);
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
