//! The JSON Schema of a configuration, by which editors complete and check it.

use llm_provider::{Registry, SettingSpec, ValueKind};
use serde_json::{Map, Value, json};

use super::declarations::Declarations;
use super::keys::{self, Keys};
use super::{limits, param_keys};

/// The JSON Schema (draft 2020-12) of a configuration.
///
/// It is more lenient than the reader: every value may be `os.environ/NAME`, and keys without effect
/// are described, not rejected.
pub(super) fn schema(registry: &Registry) -> Value {
    let section = |keys: &Keys, read: &[(&str, ValueKind, &str)]| {
        let mut properties = Map::new();
        for name in keys.read {
            let known = read.iter().find(|(known, ..)| known == name);
            let (kind, doc) = known.map_or((ValueKind::Any, ""), |(_, kind, doc)| (*kind, *doc));
            properties.insert((*name).to_owned(), property(kind, doc));
        }
        for name in keys.ignored {
            let doc = "LiteLLM's key; it has no effect here";
            properties.insert((*name).to_owned(), property(ValueKind::Any, doc));
        }
        json!({ "type": ["object", "null"], "properties": properties })
    };
    let model = json!({
        "type": "object",
        "required": ["model_name", "litellm_params"],
        "additionalProperties": false,
        "properties": {
            "model_name": property(ValueKind::Text, "The name that clients use"),
            "litellm_params": params(registry),
            "model_info": model_info(),
        },
    });
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "polyllm's configuration, in LiteLLM's format",
        "type": "object",
        "required": ["model_list"],
        "properties": {
            "model_list": { "type": "array", "minItems": 1, "items": model },
            "general_settings": section(&keys::GENERAL, GENERAL),
            "litellm_settings": section(&keys::LITELLM, LITELLM),
            "router_settings": section(&keys::ROUTER, ROUTER),
            "environment_variables": {
                "type": ["object", "null"],
                "description": "Variables for os.environ/NAME, which win over the environment",
            },
        },
    })
}

/// `litellm_params`: what the router reads, the settings of all providers, and parameters.
fn params(registry: &Registry) -> Value {
    let declarations = Declarations::new(registry);
    let mut properties = Map::new();
    for param in registry.params() {
        let doc = "A default for requests that do not set it";
        properties.insert(param.name.to_owned(), property(param.kind, doc));
    }
    let metrics = param_keys::METRICS.map(|name| (name, ValueKind::Number));
    for (name, kind) in metrics.into_iter().chain(limits::PARAMS) {
        let doc = "Weight, limit, price or parameters of the deployment";
        properties.insert(name.to_owned(), property(kind, doc));
    }
    for setting in declarations.settings(None) {
        properties.insert(setting.name.to_owned(), of_setting(setting));
    }
    for (alias, name) in param_keys::ALIASES {
        let doc = format!("Another name of `{name}`");
        properties.insert((*alias).to_owned(), property(ValueKind::Any, &doc));
    }
    for name in param_keys::IGNORED {
        let doc = "LiteLLM's key; it has no effect here, except as a setting of some providers";
        let unknown = || property(ValueKind::Any, doc);
        properties.entry(*name).or_insert_with(unknown);
    }
    let doc = "Other parameters for requests that do not set them, sent unchanged";
    properties.insert(
        param_keys::EXTRA_BODY.to_owned(),
        property(ValueKind::Map, doc),
    );
    let names: Vec<String> = registry.names().map(|name| format!("{name}/…")).collect();
    let doc = format!("The provider and its model: {}", names.join(", "));
    properties.insert(
        param_keys::MODEL.to_owned(),
        property(ValueKind::Text, &doc),
    );
    json!({ "type": "object", "required": [param_keys::MODEL], "properties": properties })
}

fn model_info() -> Value {
    let number = |doc| property(ValueKind::Number, doc);
    json!({
        "type": ["object", "null"],
        "properties": {
            "id": property(ValueKind::Text, "The name of the deployment in headers and reports"),
            "mode": property(ValueKind::Text, "The endpoint, such as chat, completion or embedding"),
            "access_groups": property(
                ValueKind::List,
                "Names that stand for the model in the models of keys, users and teams",
            ),
            "base_model": property(
                ValueKind::Text,
                "The model whose prices this one has, as PROVIDER/MODEL",
            ),
            "max_input_tokens": number("The context window"),
            "tokenizer": property(ValueKind::Path, "The model's tokenizer.json, for counts of tokens"),
            "supports_assistant_prefill":
                property(ValueKind::Bool, "Continues a last message of the assistant"),
            "supports_pdf_input": property(ValueKind::Bool, "Takes PDF documents in messages"),
            "input_cost_per_token": number("The price in US dollars"),
            "output_cost_per_token": number("The price in US dollars"),
        },
    })
}

fn of_setting(setting: &SettingSpec) -> Value {
    let mut doc = setting.doc.to_owned();
    if let [first, ..] = setting.variables {
        doc += &format!("; by default the environment variable {first}");
    }
    property(setting.kind, &doc)
}

/// A value of a kind, or the name of an environment variable, or null.
fn property(kind: ValueKind, doc: &str) -> Value {
    let mut schema = match kind {
        ValueKind::Bool => json!({ "type": ["boolean", "string", "null"] }),
        // An editor completes the choices; other names of them are read, too.
        ValueKind::Choice(choices) => json!({
            "anyOf": [
                { "enum": choices },
                { "type": ["string", "null"] },
            ],
        }),
        ValueKind::Count { max } => {
            json!({ "type": ["integer", "string", "null"], "minimum": 0, "maximum": max })
        }
        ValueKind::Integer => json!({ "type": ["integer", "string", "null"] }),
        ValueKind::Headers | ValueKind::Map | ValueKind::TextMap { .. } => {
            json!({ "type": ["object", "null"] })
        }
        ValueKind::List => json!({ "type": ["array", "null"] }),
        ValueKind::Number => json!({ "type": ["number", "string", "null"] }),
        ValueKind::PositiveSeconds => {
            json!({ "type": ["number", "string", "null"], "exclusiveMinimum": 0 })
        }
        ValueKind::Seconds => json!({ "type": ["number", "string", "null"], "minimum": 0 }),
        ValueKind::Path | ValueKind::Secret | ValueKind::Text | ValueKind::Url => {
            json!({ "type": ["string", "null"] })
        }
        _ => json!({}),
    };
    if let Some(schema) = schema.as_object_mut()
        && !doc.is_empty()
    {
        schema.insert("description".to_owned(), doc.into());
    }
    schema
}

type Property = (&'static str, ValueKind, &'static str);

const COUNT: ValueKind = ValueKind::Count { max: u32::MAX };

const GENERAL: &[Property] = &[
    (
        "database_url",
        ValueKind::Secret,
        "The database of keys and spend: sqlite:PATH or postgres://…; by default polyllm.db beside \
         the file, if there is a master key",
    ),
    (
        "master_key",
        ValueKind::Secret,
        "The key that clients send, and that manages virtual keys",
    ),
    (
        "max_request_size_mb",
        ValueKind::Number,
        "The size limit of a request body in MiB; 10 by default",
    ),
    (
        "store_responses",
        ValueKind::Text,
        "How long responses of /v1/responses are kept in the database, such as 30d; by default, none \
         are kept",
    ),
    (
        "ssl_certfile",
        ValueKind::Text,
        "The file of the server's certificate in PEM, followed by intermediate ones",
    ),
    (
        "ssl_keyfile",
        ValueKind::Text,
        "The file of the certificate's private key in PEM",
    ),
];

const LITELLM: &[Property] = &[
    (
        "allowed_fails",
        COUNT,
        "The failures in a row after which a deployment is cooled down",
    ),
    (
        "content_policy_fallbacks",
        ValueKind::List,
        "The models that take over after a refusal by a filter",
    ),
    (
        "context_window_fallbacks",
        ValueKind::List,
        "The models that take over when a prompt is too long",
    ),
    (
        "default_fallbacks",
        ValueKind::List,
        "The models that take over from models without fallbacks",
    ),
    (
        "drop_params",
        ValueKind::Bool,
        "Whether parameters that a provider does not support are left out; otherwise they are errors",
    ),
    (
        "fallbacks",
        ValueKind::List,
        "The models that take over after failures",
    ),
    (
        "json_logs",
        ValueKind::Bool,
        "Whether log lines are JSON; --log-format overrides it",
    ),
    (
        "num_retries",
        ValueKind::Count { max: 100 },
        "How many other deployments are tried after a failure",
    ),
    (
        "request_timeout",
        ValueKind::PositiveSeconds,
        "The time limit of calls, in seconds",
    ),
];

const ROUTER: &[Property] = &[
    (
        "allowed_fails",
        COUNT,
        "The failures in a row after which a deployment is cooled down",
    ),
    (
        "cooldown_time",
        ValueKind::PositiveSeconds,
        "The first cooldown, in seconds",
    ),
    (
        "deadline",
        ValueKind::PositiveSeconds,
        "The most time of a call with all attempts, in seconds",
    ),
    (
        "default_max_parallel_requests",
        COUNT,
        "Calls at the same time, for deployments that do not set it",
    ),
    (
        "deployment_affinity_ttl_seconds",
        ValueKind::PositiveSeconds,
        "How long a session stays at its deployment",
    ),
    (
        "disable_cooldowns",
        ValueKind::Bool,
        "No deployment is cooled down",
    ),
    (
        "enable_pre_call_check",
        ValueKind::Bool,
        "Prompts that are too long for a deployment are not sent to it",
    ),
    (
        "enable_pre_call_checks",
        ValueKind::Bool,
        "Prompts that are too long for a deployment are not sent to it",
    ),
    (
        "fallbacks",
        ValueKind::List,
        "The models that take over after failures",
    ),
    (
        "max_fallbacks",
        ValueKind::Count { max: 100 },
        "The most models that take over from one call",
    ),
    ("model_group_alias", ValueKind::Map, "Other names of models"),
    (
        "num_retries",
        ValueKind::Count { max: 100 },
        "How many other deployments are tried after a failure",
    ),
    (
        "optional_pre_call_checks",
        ValueKind::List,
        "Such as enforce_model_rate_limits and session_affinity",
    ),
    (
        "queue",
        ValueKind::Map,
        "capacity and timeout: lets calls wait while all deployments are at their limits",
    ),
    ("retry_policy", ValueKind::Map, "num_retries by failure"),
    (
        "routing_strategy",
        ValueKind::Choice(llm_router::STRATEGIES),
        "How a deployment is chosen",
    ),
    (
        "stream_timeout",
        ValueKind::PositiveSeconds,
        "The time limit of streams up to their first event, in seconds",
    ),
    (
        "timeout",
        ValueKind::PositiveSeconds,
        "The time limit of calls, in seconds",
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_described_key_is_read() {
        for (keys, described) in [
            (&keys::GENERAL, GENERAL),
            (&keys::LITELLM, LITELLM),
            (&keys::ROUTER, ROUTER),
        ] {
            for (name, ..) in described {
                assert!(keys.read.contains(name), "{name}");
            }
        }
    }
}
