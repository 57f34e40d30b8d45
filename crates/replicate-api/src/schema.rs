//! A model's parameters: from its OpenAPI schema, or guessed from its name.

use serde::Serialize;
use serde_json::Value;

/// The parameters of a model in the model's order, from its schema or guessed from its name.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Schema(pub Vec<Parameter>);

/// A parameter of a model's input. Members that the schema leaves out are null or empty.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Parameter {
    /// The name in `input`.
    pub name: String,
    /// The type in JSON Schema: `string`, `integer`, `number`, `boolean`, `array` or `object`.
    #[serde(rename = "type")]
    pub type_: String,
    /// Whether it is required.
    pub required: bool,
    /// The default.
    pub default: Value,
    /// The minimum.
    pub minimum: Value,
    /// The maximum.
    pub maximum: Value,
    /// The allowed values.
    pub choices: Vec<Value>,
    /// The description, written by the model's owner.
    pub description: String,
}

impl Parameter {
    fn read(name: &str, openapi: &Value) -> Self {
        let input = &openapi["components"]["schemas"]["Input"];
        let property = &input["properties"][name];
        // An enum is defined in a separate schema.
        let referenced = property["allOf"][0]["$ref"]
            .as_str()
            .or_else(|| property["$ref"].as_str());
        let referenced = referenced.and_then(|path| openapi.pointer(path.strip_prefix('#')?));
        let found = |key: &str| match (&property[key], referenced) {
            (Value::Null, Some(referenced)) => referenced[key].clone(),
            (property, _) => property.clone(),
        };
        let text = |key: &str| found(key).as_str().unwrap_or_default().to_owned();
        let required = input["required"].as_array();
        Self {
            name: name.to_owned(),
            type_: text("type"),
            required: required.is_some_and(|all| all.iter().any(|one| one == name)),
            default: found("default"),
            minimum: found("minimum"),
            maximum: found("maximum"),
            choices: found("enum").as_array().cloned().unwrap_or_default(),
            description: text("description"),
        }
    }

    /// Whether it takes several values.
    pub fn is_list(&self) -> bool {
        self.type_ == "array"
    }
}

impl Schema {
    /// Reads the `openapi_schema` of a version; `None` if it describes no parameters.
    pub fn from_openapi(openapi: &Value) -> Option<Self> {
        let input = &openapi["components"]["schemas"]["Input"]["properties"];
        let mut names: Vec<_> = input.as_object()?.iter().collect();
        names.sort_by_key(|(_, one)| one["x-order"].as_u64().unwrap_or(u64::MAX));
        let read = |(name, _): (&String, &Value)| Parameter::read(name, openapi);
        let parameters: Vec<_> = names.into_iter().map(read).collect();
        (!parameters.is_empty()).then_some(Self(parameters))
    }

    /// The likely parameters of a model with this name, if its schema is not available.
    pub fn guess(model: &str) -> Self {
        let model = model.to_ascii_lowercase();
        let known = GUESSES
            .iter()
            .find(|(words, _)| words.iter().any(|word| model.contains(word)));
        let names = known.map_or(ANY_MODEL, |(_, names)| names);
        Self(names.split_ascii_whitespace().map(guessed).collect())
    }

    /// The parameter with this name.
    pub fn get(&self, name: &str) -> Option<&Parameter> {
        self.0.iter().find(|parameter| parameter.name == name)
    }

    /// Whether the model has a parameter with this name.
    pub fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// The first of `names` that the model has.
    pub fn first_of<'n>(&self, names: &[&'n str]) -> Option<&'n str> {
        names.iter().copied().find(|name| self.has(name))
    }
}

/// Reads a parameter of [`GUESSES`]: `name`, `name>=minimum`, or `name[]` for a list.
fn guessed(text: &str) -> Parameter {
    let (name, minimum) = text.split_once(">=").unwrap_or((text, ""));
    let (name, type_) = match name.strip_suffix("[]") {
        Some(name) => (name, "array"),
        None => (name, ""),
    };
    Parameter {
        name: name.to_owned(),
        type_: type_.to_owned(),
        minimum: minimum
            .parse()
            .map_or(Value::Null, |least: f64| least.into()),
        ..Parameter::default()
    }
}

/// The parameters of models whose names contain one of the words; the first match counts.
const GUESSES: &[(&[&str], &str)] = &[
    (&["claude"], "prompt system_prompt max_tokens image"),
    (
        &["openai/", "gpt-4", "gpt-5"],
        "prompt messages[] system_prompt image_input[] reasoning_effort verbosity \
         max_completion_tokens",
    ),
    (
        &["vicuna", "flan", "gpt-j", "dolly", "stablelm", "oasst"],
        "prompt max_length top_k top_p>=0.01 temperature>=0.01 repetition_penalty seed",
    ),
    (
        &["llama-2"],
        "prompt system_prompt max_new_tokens min_new_tokens temperature>=0.01 top_p top_k \
         stop_sequences seed",
    ),
    (
        &["mistral", "mixtral", "yi-"],
        "prompt max_new_tokens temperature top_p top_k presence_penalty frequency_penalty \
         prompt_template",
    ),
    (
        &["llama-3", "llama-4", "granite"],
        "prompt system_prompt max_tokens min_tokens temperature top_p top_k presence_penalty \
         frequency_penalty stop_sequences prompt_template seed",
    ),
];
/// The parameters of `replicate/vllm`, the most common server, without those that change the prompt.
const ANY_MODEL: &str = "prompt max_tokens min_tokens temperature top_p top_k presence_penalty \
                         frequency_penalty stop_sequences seed";

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_schema_has_names_minima_and_lists() {
        let openapi = json!({"components": {"schemas": {"Input": {"properties": {
            "prompt": {"type": "string"},
            "messages": {"type": "array", "default": []},
            "temperature": {"type": "number", "minimum": 0.01, "default": null},
        }}}}});
        let schema = Schema::from_openapi(&openapi).unwrap();
        assert_eq!(schema.first_of(&["max_tokens", "prompt"]), Some("prompt"));
        assert!(schema.get("messages").unwrap().is_list());
        assert_eq!(schema.get("temperature").unwrap().minimum, json!(0.01));
        for empty in [
            json!(null),
            json!({}),
            json!({"components": []}),
            json!([7]),
        ] {
            assert_eq!(Schema::from_openapi(&empty), None);
        }
    }

    #[test]
    fn guessed_names_match_litellm_and_the_schemas() {
        let length = |model: &str| {
            Schema::guess(model).first_of(&["max_tokens", "max_new_tokens", "max_length"])
        };
        assert_eq!(length("vicuna-13b"), Some("max_length"));
        assert_eq!(length("daanelson/flan-t5-large"), Some("max_length"));
        assert_eq!(length("llama-2-70b-chat"), Some("max_new_tokens"));
        assert_eq!(
            length("mistralai/Mistral-7B-Instruct-v0.1"),
            Some("max_new_tokens")
        );
        assert_eq!(length("meta/meta-llama-3-8b-instruct"), Some("max_tokens"));
        assert_eq!(length("custom-llm-version-id"), Some("max_tokens"));
        assert!(
            Schema::guess("openai/gpt-5.1")
                .get("messages")
                .unwrap()
                .is_list()
        );
        let least = Schema::guess("llama-2-70b-chat");
        assert_eq!(least.get("temperature").unwrap().minimum, json!(0.01));
    }
}
