//! The model groups as the list of models, in the form of the client's API.

use std::borrow::Cow;
use std::time::{Duration, UNIX_EPOCH};

use http::{Response, StatusCode};
use llm_provider::endpoint::check_model_name;
use llm_provider::text::excerpt;
use llm_types::{Model, ModelList, Value};
use percent_encoding::percent_decode_str;
use serde_json::json;

use crate::api::Api;
use crate::auth::Client;
use crate::error::ApiError;
use crate::gateway::Shared;
use crate::response::{self, ResponseBody};

/// The name of a model in a path, percent-encoded or not.
pub(super) fn name_in_path(name: &str) -> Result<Cow<'_, str>, ApiError> {
    let name = percent_decode_str(name)
        .decode_utf8()
        .map_err(|_| ApiError::invalid("the model's name is not UTF-8").with_param("model"))?;
    check_model_name(&name)?;
    Ok(name)
}

pub(super) fn list(shared: &Shared, client: &Client, api: Api) -> Response<ResponseBody> {
    let groups = shared.router.groups();
    let groups = groups.filter(|group| client.may_call(group));
    match api {
        Api::OpenAi => {
            let models = groups.map(|group| model(shared, group));
            response::json_of(&ModelList::new(models.collect()))
        }
        Api::Anthropic => {
            let models: Vec<_> = groups.map(|group| anthropic(shared, group)).collect();
            let id = |model: Option<&Value>| model.map(|model| model["id"].clone());
            response::json_of(&json!({
                "first_id": id(models.first()),
                "last_id": id(models.last()),
                "has_more": false,
                "data": models,
            }))
        }
    }
}

/// One model. Its id may contain slashes.
pub(super) fn one(
    shared: &Shared,
    client: &Client,
    id: &str,
    api: Api,
) -> Result<Response<ResponseBody>, ApiError> {
    let id = name_in_path(id)?;
    // An alias of the key is listed nowhere, but a client that uses it may ask for it.
    let access = client.access();
    let name = access.map_or(&*id, |access| access.resolve(&id));
    client.require_model(name)?;
    if shared.router.groups().any(|group| group == name) {
        return Ok(match api {
            Api::OpenAi => response::json_of(&model(shared, &id)),
            Api::Anthropic => response::json_of(&anthropic(shared, &id)),
        });
    }
    let id = excerpt(&id);
    let message = format!("the model \"{id}\" does not exist; GET /v1/models lists those that do");
    Err(
        ApiError::new(StatusCode::NOT_FOUND, "invalid_request_error", message)
            .with_param("model")
            .with_code("model_not_found"),
    )
}

/// A model as the Messages API lists it.
fn anthropic(shared: &Shared, group: &str) -> Value {
    let created = UNIX_EPOCH + Duration::from_secs(shared.created);
    json!({
        "type": "model",
        "id": group,
        "display_name": group,
        "created_at": humantime::format_rfc3339_seconds(created).to_string(),
    })
}

fn model(shared: &Shared, group: &str) -> Model {
    Model::new(group, shared.created, "polyllm")
}
