//! What a model takes as input: its own schema, or a guess by its name.

use std::collections::BTreeMap;

use serde_json::Value;

/// The parameters that a model takes.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Schema(BTreeMap<String, Property>);

/// One of the parameters.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Property {
    pub(crate) is_list: bool,
    /// Null when there is none.
    pub(crate) minimum: Value,
    pub(crate) default: Value,
}

impl Schema {
    /// Reads the `openapi_schema` of a version; `None` when it tells of no parameter.
    pub(crate) fn from_openapi(openapi: &Value) -> Option<Self> {
        let input = openapi
            .pointer("/components/schemas/Input/properties")?
            .as_object()?;
        let read = |property: &Value| Property {
            is_list: property["type"] == "array",
            minimum: property["minimum"].clone(),
            default: property["default"].clone(),
        };
        let properties = input
            .iter()
            .map(|(name, property)| (name.clone(), read(property)));
        Some(Self(properties.collect())).filter(|schema| !schema.0.is_empty())
    }

    /// What a model of this name most likely takes, for when its schema cannot be had.
    pub(crate) fn guess(model: &str) -> Self {
        let model = model.to_ascii_lowercase();
        let known = GUESSES
            .iter()
            .find(|(words, _)| words.iter().any(|word| model.contains(word)));
        let names = known.map_or(ANY_MODEL, |(_, names)| names);
        Self(names.split_ascii_whitespace().map(guessed).collect())
    }

    pub(crate) fn property(&self, name: &str) -> Option<&Property> {
        self.0.get(name)
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// The first of `names` that the model takes.
    pub(crate) fn first_of<'n>(&self, names: &[&'n str]) -> Option<&'n str> {
        names.iter().copied().find(|name| self.has(name))
    }
}

/// Reads `temperature>=0.01` and `messages[]`.
fn guessed(text: &str) -> (String, Property) {
    let (name, minimum) = text.split_once(">=").unwrap_or((text, ""));
    let minimum = minimum
        .parse()
        .map_or(Value::Null, |minimum: f64| minimum.into());
    let is_list = name.ends_with("[]");
    let property = Property {
        is_list,
        minimum,
        ..Property::default()
    };
    (name.trim_end_matches("[]").to_owned(), property)
}

/// The parameters of the models whose names hold one of the words; the first match counts.
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
/// As `replicate/vllm`, the most usual server, but for what changes the prompt.
const ANY_MODEL: &str = "prompt max_tokens min_tokens temperature top_p top_k presence_penalty \
                         frequency_penalty stop_sequences seed";

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_schema_tells_names_minima_and_lists() {
        let openapi = json!({"components": {"schemas": {"Input": {"properties": {
            "prompt": {"type": "string"},
            "messages": {"type": "array", "default": []},
            "temperature": {"type": "number", "minimum": 0.01, "default": null},
        }}}}});
        let schema = Schema::from_openapi(&openapi).unwrap();
        assert_eq!(schema.first_of(&["max_tokens", "prompt"]), Some("prompt"));
        assert!(schema.property("messages").unwrap().is_list);
        assert_eq!(schema.property("temperature").unwrap().minimum, json!(0.01));
        for empty in [json!(null), json!({}), json!({"components": []})] {
            assert_eq!(Schema::from_openapi(&empty), None);
        }
    }

    #[test]
    fn names_are_guessed_as_litellm_and_the_schemas_have_them() {
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
                .property("messages")
                .unwrap()
                .is_list
        );
        let least = Schema::guess("llama-2-70b-chat");
        assert_eq!(least.property("temperature").unwrap().minimum, json!(0.01));
    }
}
