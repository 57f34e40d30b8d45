//! The model groups as the list of models, in the form of the client's API.

use std::borrow::Cow;
use std::time::{Duration, UNIX_EPOCH};

use http::{Response, StatusCode};
use llm_provider::endpoint::check_model_name;
use llm_provider::text::excerpt;
use llm_types::{Model, ModelList, Value};
use percent_encoding::percent_decode_str;
use serde_json::json;

use super::query::Query;
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

/// The model groups that the client may call. Anthropic's clients read them in pages.
pub(super) fn list(
    shared: &Shared,
    client: &Client,
    api: Api,
    query: &Query<'_>,
) -> Result<Response<ResponseBody>, ApiError> {
    let groups = shared.router.groups();
    let groups = groups.filter(|group| client.may_call(group));
    match api {
        Api::OpenAi => {
            let models = groups.map(|group| model(shared, group));
            Ok(response::json_of(&ModelList::new(models.collect())))
        }
        Api::Anthropic => {
            let (page, has_more) = page(groups.collect(), query)?;
            let models: Vec<_> = page.iter().map(|group| anthropic(shared, group)).collect();
            Ok(response::json_of(&json!({
                "first_id": page.first(),
                "last_id": page.last(),
                "has_more": has_more,
                "data": models,
            })))
        }
    }
}

/// The page of a list that `after_id` or `before_id` and `limit` choose, and whether the list goes on
/// in that direction. An unknown id chooses nothing.
fn page<'g>(mut groups: Vec<&'g str>, query: &Query<'_>) -> Result<(Vec<&'g str>, bool), ApiError> {
    let limit = query.limit(MAX_LIMIT, MAX_LIMIT)?;
    let place = |groups: &[&str], id: &str| groups.iter().position(|group| *group == id);
    if let Some(after) = query.get("after_id") {
        let start = place(&groups, &after).map_or(groups.len(), |at| at + 1);
        groups.drain(..start);
    }
    if let Some(before) = query.get("before_id") {
        groups.truncate(place(&groups, &before).unwrap_or(0));
        let rest = groups.len().saturating_sub(limit);
        return Ok((groups.split_off(rest), rest > 0));
    }
    let has_more = groups.len() > limit;
    groups.truncate(limit);
    Ok((groups, has_more))
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
    // Also a name that matches a wildcard, but not one that only the default model would serve.
    let target = shared.router.target_of(name);
    let is_listed = shared.router.groups().any(|group| group == name);
    if is_listed || target.is_some_and(|target| target.model == name) {
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

/// The most models of a page, which is also the default: clients that read one page get them all.
const MAX_LIMIT: usize = 1000;
