//! The schemas of bodies: the members that the gateway reads. All others are those of the owners of
//! the model APIs.

use llm_provider::endpoint::ENDPOINTS;
use llm_provider::{ParamSpec, ValueKind};
use serde_json::{Map, Value, json};

/// The schema of the body of a `POST`.
pub(super) fn schema(path: &str) -> Value {
    let (required, mut properties) = members(path);
    let endpoint = ENDPOINTS.iter().find(|endpoint| endpoint.path() == path);
    for param in endpoint.map_or(&[][..], |endpoint| endpoint.params()) {
        let schema = || parameter(param);
        properties.entry(param.name).or_insert_with(schema);
    }
    let mut schema = json!({ "type": "object", "required": required, "properties": properties });
    if OPERATOR.iter().any(|prefix| path.starts_with(prefix)) {
        schema["additionalProperties"] = false.into();
    }
    schema
}

/// The routes that refuse other members.
const OPERATOR: [&str; 3] = ["/key/", "/team/", "/user/"];

/// The members that are required, and all members.
fn members(path: &str) -> (&'static [&'static str], Map<String, Value>) {
    let (required, members): (&[&str], Value) = match path {
        "/v1/chat/completions" => (
            &["model", "messages"],
            json!({ "model": text(), "messages": messages(), "stream": flag() }),
        ),
        "/v1/completions" => (
            &["model", "prompt"],
            json!({ "model": text(), "prompt": texts(), "stream": flag() }),
        ),
        "/v1/embeddings" => (
            &["model", "input"],
            json!({ "model": text(), "input": texts() }),
        ),
        "/v1/moderations" => (&["input"], json!({ "model": text(), "input": texts() })),
        "/v1/rerank" | "/v2/rerank" => (
            &["model", "query", "documents"],
            json!({
                "model": text(),
                "query": text(),
                "documents": { "type": "array", "minItems": 1, "items": text() },
            }),
        ),
        "/v1/messages" => (
            &["model", "messages", "max_tokens"],
            json!({
                "model": text(),
                "messages": messages(),
                "max_tokens": count(),
                "stream": flag(),
                "system": { "type": "string" },
            }),
        ),
        "/v1/messages/count_tokens" => (
            &["model", "messages"],
            json!({ "model": text(), "messages": messages() }),
        ),
        "/v1/responses" | "/v1/responses/input_tokens" => (
            &["model", "input"],
            json!({
                "model": text(),
                "input": { "anyOf": [{ "type": "string" }, messages()] },
                "instructions": optional("string"),
                "max_output_tokens": optional("integer"),
                "previous_response_id": optional("string"),
                "stream": flag(),
                "store": flag(),
                "background": flag(),
            }),
        ),
        "/key/generate" => (&[], key_settings()),
        "/key/update" => (&["key"], key_settings()),
        "/key/delete" => (
            &[],
            json!({ "key": optional("string"), "keys": list(), "key_aliases": list() }),
        ),
        "/key/regenerate" => (&["key"], key_settings()),
        "/key/block" | "/key/unblock" => (&["key"], json!({ "key": text() })),
        _ => owner(path),
    };
    match members {
        Value::Object(members) => (required, members),
        _ => (required, Map::new()),
    }
}

fn key_settings() -> Value {
    with_limits(json!({
        "key": text(),
        "key_alias": optional("string"),
        "user_id": optional("string"),
        "team_id": optional("string"),
        "duration": period(),
        "aliases": { "type": ["object", "null"], "additionalProperties": { "type": "string" } },
        "tags": list(),
        "permissions": optional("object"),
    }))
}

/// The bodies below `/user` and `/team`.
fn owner(path: &str) -> (&'static [&'static str], Value) {
    let kind = if path.starts_with("/team/") {
        "team"
    } else {
        "user"
    };
    let id = format!("{kind}_id");
    let (alias, ids) = (format!("{kind}_alias"), format!("{kind}_ids"));
    let required: &[&str] = if kind == "team" {
        &["team_id"]
    } else {
        &["user_id"]
    };
    match path.rsplit('/').next() {
        Some("new" | "update") => {
            let mut members = json!({ id: text(), alias: optional("string") });
            if kind == "user" {
                members["user_email"] = optional("string");
                members["user_role"] = optional("string");
                members["auto_create_key"] = flag();
                if path.ends_with("new") {
                    members["key_alias"] = optional("string");
                }
            } else {
                members["members_with_roles"] = json!({ "type": ["array", "null"] });
                members["tags"] = list();
            }
            let is_new = path.ends_with("new");
            (if is_new { &[] } else { required }, with_limits(members))
        }
        _ => (&[], json!({ id: text(), ids: list() })),
    }
}

/// Adds the settings that keys, users and teams have in common.
fn with_limits(mut members: Value) -> Value {
    let amount = || json!({ "type": ["number", "null"], "minimum": 0 });
    let limit = || json!({ "type": ["integer", "null"], "minimum": 1 });
    for (name, schema) in [
        ("models", list()),
        ("max_budget", amount()),
        ("soft_budget", amount()),
        ("spend", amount()),
        ("budget_duration", period()),
        ("rpm_limit", limit()),
        ("tpm_limit", limit()),
        ("max_parallel_requests", limit()),
        ("metadata", optional("object")),
        ("blocked", flag()),
    ] {
        members[name] = schema;
    }
    members
}

/// A parameter that generation is controlled by.
fn parameter(param: &ParamSpec) -> Value {
    match param.kind {
        ValueKind::Bool => flag(),
        ValueKind::Count { .. } => json!({ "type": ["integer", "null"], "minimum": 0 }),
        ValueKind::Integer => optional("integer"),
        ValueKind::Number => optional("number"),
        ValueKind::List => optional("array"),
        ValueKind::Map | ValueKind::TextMap { .. } => optional("object"),
        ValueKind::Text | ValueKind::Choice(_) => optional("string"),
        _ => json!({}),
    }
}

fn text() -> Value {
    json!({ "type": "string", "minLength": 1 })
}

fn texts() -> Value {
    json!({ "anyOf": [text(), { "type": "array", "minItems": 1, "items": text() }] })
}

fn list() -> Value {
    json!({ "type": ["array", "null"], "items": text() })
}

fn flag() -> Value {
    optional("boolean")
}

fn count() -> Value {
    json!({ "type": "integer", "minimum": 1 })
}

/// Such as `30d`.
fn period() -> Value {
    json!({ "type": ["string", "null"], "pattern": "^[1-9][0-9]{0,3}(s|m|min|h|d|w|mo)$" })
}

fn optional(kind: &str) -> Value {
    json!({ "type": [kind, "null"] })
}

fn messages() -> Value {
    json!({
        "type": "array",
        "minItems": 1,
        "items": {
            "type": "object",
            "required": ["role", "content"],
            "properties": {
                "role": { "enum": ["user", "assistant"] },
                "content": { "type": "string" },
            },
        },
    })
}
