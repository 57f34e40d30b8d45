//! `/openapi.json`: the routes of the gateway, for tools.

mod bodies;

use http::Response;
use llm_provider::endpoint::ENDPOINTS;
use serde_json::{Map, Value, json};

use crate::response::{self, ResponseBody};

/// The OpenAPI document. Of the bodies of the model APIs, it has the members that the gateway
/// reads.
pub(super) fn serve() -> Response<ResponseBody> {
    let mut paths = Map::new();
    let mut add = |path: &str, method: &str, operation: Value| {
        let item = paths.entry(path).or_insert_with(|| json!({}));
        item[method] = operation;
    };
    for endpoint in ENDPOINTS {
        let summary = endpoint.capability().to_string();
        let path = endpoint.path();
        add(path, "post", post(path, &summary));
    }
    for (path, summary) in POSTS {
        add(path, "post", post(path, summary));
    }
    for (path, summary, parameters) in GETS {
        let mut operation = get(summary, parameters);
        if OPEN.contains(path) {
            operation["security"] = json!([]);
        }
        add(path, "get", operation);
    }
    let id = &[PATH_PARAMETER];
    add(RESPONSE, "delete", get("deletes a kept response", id));
    let cancel = get("cancels a response in the background", id);
    add(&format!("{RESPONSE}/cancel"), "post", cancel);
    response::json_of(&json!({
        "openapi": "3.1.0",
        "info": { "title": "polyllm", "version": env!("CARGO_PKG_VERSION") },
        "security": [{ "bearer": [] }],
        "paths": paths,
        "components": {
            "securitySchemes": { "bearer": { "type": "http", "scheme": "bearer" } },
            "responses": { "Error": {
                "description": "An error",
                "content": { "application/json": { "schema": {
                    "type": "object",
                    "required": ["error"],
                    "properties": { "error": { "type": "object" } },
                } } },
            } },
        },
    }))
}

fn post(path: &str, summary: &str) -> Value {
    json!({
        "summary": summary,
        "requestBody": {
            "required": true,
            "content": { "application/json": { "schema": bodies::schema(path) } },
        },
        "responses": responses(),
    })
}

fn get(summary: &str, parameters: &[&str]) -> Value {
    let parameter = |name: &&str| {
        let is_path = *name == PATH_PARAMETER;
        json!({
            "name": name,
            "in": if is_path { "path" } else { "query" },
            "required": is_path,
            "schema": parameter_schema(name),
        })
    };
    let parameters: Vec<Value> = parameters.iter().map(parameter).collect();
    json!({ "summary": summary, "parameters": parameters, "responses": responses() })
}

fn parameter_schema(name: &str) -> Value {
    match name {
        "limit" | "page" | "size" => json!({ "type": "integer", "minimum": 1 }),
        "return_full_object" => json!({ "type": "boolean" }),
        "order" => json!({ "type": "string", "enum": ["asc", "desc"] }),
        _ => json!({ "type": "string" }),
    }
}

fn responses() -> Value {
    let mut responses = Map::new();
    responses.insert("200".to_owned(), json!({ "description": "Success" }));
    for status in ERRORS {
        let error = json!({ "$ref": "#/components/responses/Error" });
        responses.insert(status.to_string(), error);
    }
    responses.into()
}

/// The statuses of all errors; a request may cause any of most of them.
const ERRORS: [u16; 18] = [
    400, 401, 402, 403, 404, 405, 408, 409, 413, 415, 422, 429, 500, 502, 503, 504, 524, 529,
];

/// The routes that need no key.
const OPEN: &[&str] = &["/health/liveliness", "/health/readiness"];

const PATH_PARAMETER: &str = "id";

const RESPONSE: &str = "/v1/responses/{id}";

const POSTS: &[(&str, &str)] = &[
    ("/v1/messages", "a message of Anthropic's API"),
    (
        "/v1/messages/count_tokens",
        "an estimate of a prompt's tokens",
    ),
    ("/v1/responses", "a response of OpenAI's Responses API"),
    (
        "/v1/responses/input_tokens",
        "an estimate of a prompt's tokens",
    ),
    ("/v2/rerank", "rerank, as in version 2 of Cohere's API"),
    ("/key/generate", "a new virtual key"),
    ("/key/update", "changes a key"),
    ("/key/delete", "deletes keys"),
    ("/key/regenerate", "replaces the secret of a key"),
    ("/key/block", "blocks a key"),
    ("/key/unblock", "unblocks a key"),
    ("/user/new", "a new user"),
    ("/user/update", "changes a user"),
    ("/user/delete", "deletes users"),
    ("/user/block", "blocks the keys of a user"),
    ("/user/unblock", "unblocks the keys of a user"),
    ("/team/new", "a new team"),
    ("/team/update", "changes a team"),
    ("/team/delete", "deletes teams"),
    ("/team/block", "blocks the keys of a team"),
    ("/team/unblock", "unblocks the keys of a team"),
];

const GETS: &[(&str, &str, &[&str])] = &[
    ("/v1/models", "the model groups", &[]),
    ("/v1/models/{id}", "a model group", &[PATH_PARAMETER]),
    (RESPONSE, "a kept response", &[PATH_PARAMETER]),
    (
        "/v1/responses/{id}/input_items",
        "the input of a kept response",
        &[PATH_PARAMETER, "limit", "order", "after"],
    ),
    ("/model/info", "the deployments of the model groups", &[]),
    (
        "/health",
        "whether the upstream of each deployment answers",
        &[],
    ),
    ("/health/liveliness", "whether the gateway runs", &[]),
    (
        "/health/readiness",
        "whether the gateway and its database work",
        &[],
    ),
    ("/key/info", "a key and its spend", &["key"]),
    (
        "/key/list",
        "the keys",
        &[
            "user_id",
            "team_id",
            "key_alias",
            "page",
            "size",
            "after",
            "return_full_object",
        ],
    ),
    ("/user/info", "a user and its spend", &["user_id"]),
    ("/user/list", "the users", &["after", "page", "page_size"]),
    ("/team/info", "a team and its spend", &["team_id"]),
    ("/team/list", "the teams", &["after", "page", "page_size"]),
    (
        "/spend/logs",
        "the usage records",
        &[
            "start_date",
            "end_date",
            "api_key",
            "user_id",
            "team_id",
            "model_group",
            "session_id",
            "request_id",
            "size",
            "after",
            "format",
        ],
    ),
    ("/spend/keys", "the keys with the highest spend", &["size"]),
    (
        "/global/spend/report",
        "sums of spend",
        &[
            "group_by",
            "start_date",
            "end_date",
            "api_key",
            "user_id",
            "team_id",
        ],
    ),
];
