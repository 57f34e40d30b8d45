//! From OpenAI's parameters to the ones that the model takes.

use llm_provider::{Error, ErrorKind, Result};
use llm_types::ChatRequest;
use prompt_templates::Template;
use serde_json::{Map, Value};

use crate::models::Known;
use crate::prompt::{self, Format};
use crate::schema::Schema;

/// The input of a prediction.
#[derive(Clone, Debug)]
pub(crate) struct Input {
    pub(crate) values: Map<String, Value>,
    /// The parameters that were left out because the model has nothing like them.
    pub(crate) dropped: Vec<String>,
    pub(crate) format: Format,
    /// The most tokens that the answer may have, asked for or by the model's default.
    pub(crate) max_tokens: Option<u64>,
}

impl Input {
    /// Translates a request into what `known` takes.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`], naming the parameter, for what the model cannot honour, unless
    /// `drop_params` is set; [`ErrorKind::InvalidRequest`] for messages that fit no prompt.
    pub(crate) fn new(
        request: &ChatRequest,
        known: &Known,
        template: Option<&Template>,
        drop_params: bool,
    ) -> Result<Self> {
        let mut values = Map::new();
        let format = prompt::write(request, known, template, &mut values)?;
        let mut translation = Translation {
            schema: &known.schema,
            values,
            dropped: Vec::new(),
            drop_params,
        };
        let Ok(Value::Object(parameters)) = serde_json::to_value(request) else {
            return Err(Error::new(
                ErrorKind::InvalidRequest,
                "the request cannot be written",
            ));
        };
        for (name, value) in parameters {
            if !value.is_null() {
                translation.put(&name, value)?;
            }
        }
        let Translation {
            values, dropped, ..
        } = translation;
        let length = known.schema.first_of(LENGTH_KEYS);
        let asked = length.and_then(|name| values.get(name)?.as_u64());
        let default = || known.schema.property(length?)?.default.as_ref()?.as_u64();
        Ok(Self {
            max_tokens: asked.or_else(default),
            values,
            dropped,
            format,
        })
    }
}

/// A translation under way.
struct Translation<'a> {
    schema: &'a Schema,
    values: Map<String, Value>,
    dropped: Vec<String>,
    drop_params: bool,
}

impl Translation<'_> {
    fn put(&mut self, name: &str, value: Value) -> Result<()> {
        match name {
            "model" | "messages" | "stream" | "stream_options" => Ok(()),
            // The newer name comes first in the request, and counts.
            "max_tokens" | "max_completion_tokens" => match self.schema.first_of(LENGTH_KEYS) {
                Some(own) => {
                    self.values.entry(own).or_insert(value);
                    Ok(())
                }
                None => self.refuse(name, "the model takes no limit of its answer's length"),
            },
            "stop" => self.put_stop(value),
            "temperature" | "top_p" if self.schema.has(name) => {
                let value = self.at_least(name, value);
                self.insert(name, value)
            }
            _ if self.schema.has(name) => self.insert(name, value),
            _ if !OPENAI.contains(&name) => {
                let own = ALIASES
                    .iter()
                    .find(|(alias, _)| *alias == name)
                    .map(|(_, own)| *own);
                self.insert(
                    own.filter(|own| self.schema.has(own)).unwrap_or(name),
                    value,
                )
            }
            _ if is_neutral(name, &value) => Ok(()),
            _ if WITHOUT_EFFECT.contains(&name) => {
                self.dropped.push(name.to_owned());
                Ok(())
            }
            _ => self.refuse(name, "the model has nothing like it"),
        }
    }

    fn insert(&mut self, name: &str, value: Value) -> Result<()> {
        self.values.insert(name.to_owned(), value);
        Ok(())
    }

    /// Replicate's models take stops as one string with commas between them.
    fn put_stop(&mut self, value: Value) -> Result<()> {
        let stops: Vec<&str> = match &value {
            Value::String(stop) => vec![stop],
            Value::Array(stops) => stops.iter().filter_map(Value::as_str).collect(),
            _ => Vec::new(),
        };
        let stops: Vec<&str> = stops.into_iter().filter(|stop| !stop.is_empty()).collect();
        if stops.is_empty() {
            return Ok(());
        }
        let Some(name) = self.schema.first_of(STOP_KEYS) else {
            return self.refuse("stop", "the model takes no stop sequences");
        };
        if self
            .schema
            .property(name)
            .is_some_and(|property| property.is_list)
        {
            return self.insert(name, stops.into());
        }
        if stops.iter().any(|stop| stop.contains(',')) {
            return self.refuse(
                "stop",
                "the model takes no stop sequence that holds a comma",
            );
        }
        self.insert(name, stops.join(",").into())
    }

    /// OpenAI allows 0, for the most likely token; many models want a little more than that.
    fn at_least(&self, name: &str, value: Value) -> Value {
        let minimum = self
            .schema
            .property(name)
            .and_then(|property| property.minimum.as_ref());
        match (value.as_f64(), minimum.and_then(Value::as_f64), minimum) {
            (Some(given), Some(least), Some(minimum)) if (0.0..least).contains(&given) => {
                minimum.clone()
            }
            _ => value,
        }
    }

    fn refuse(&mut self, name: &str, why: &str) -> Result<()> {
        if self.drop_params {
            self.dropped.push(name.to_owned());
            return Ok(());
        }
        let message = format!("{name} cannot be honoured: {why} (drop_params leaves it out)");
        Err(Error::new(ErrorKind::Unsupported, message).with_param(name.to_owned()))
    }
}

/// Whether the parameter asks for nothing but what happens anyway.
fn is_neutral(name: &str, value: &Value) -> bool {
    let is_empty = || {
        value.as_array().is_some_and(Vec::is_empty) || value.as_object().is_some_and(Map::is_empty)
    };
    match name {
        "frequency_penalty" | "presence_penalty" | "top_logprobs" => value.as_f64() == Some(0.0),
        "function_call" | "tool_choice" => value == "none" || value == "auto",
        "functions" | "logit_bias" | "tools" => is_empty(),
        "logprobs" => value == false,
        "modalities" => value
            .as_array()
            .is_some_and(|kinds| kinds.iter().all(|kind| kind == "text")),
        "n" | "temperature" | "top_p" => value.as_f64() == Some(1.0),
        "parallel_tool_calls" => true,
        "response_format" => value.get("type").is_some_and(|kind| kind == "text"),
        _ => false,
    }
}

/// The names that models have for the most tokens of an answer.
const LENGTH_KEYS: &[&str] = &[
    "max_tokens",
    "max_completion_tokens",
    "max_new_tokens",
    "max_output_tokens",
    "max_length",
];
const STOP_KEYS: &[&str] = &["stop_sequences", "stop"];
/// Parameters of Replicate's that older and newer models name differently.
const ALIASES: &[(&str, &str)] = &[
    ("min_tokens", "min_new_tokens"),
    ("min_new_tokens", "min_tokens"),
];
/// The answer is the same without them: they are left out, and reported, without asking.
const WITHOUT_EFFECT: &[&str] = &[
    "metadata",
    "prompt_cache_key",
    "prompt_cache_options",
    "prompt_cache_retention",
    "safety_identifier",
    "service_tier",
    "store",
    "user",
];
/// The parameters of OpenAI's. All others are taken for the model's own, and pass.
const OPENAI: &[&str] = &[
    "audio",
    "frequency_penalty",
    "function_call",
    "functions",
    "logit_bias",
    "logprobs",
    "metadata",
    "modalities",
    "moderation",
    "n",
    "parallel_tool_calls",
    "prediction",
    "presence_penalty",
    "prompt_cache_key",
    "prompt_cache_options",
    "prompt_cache_retention",
    "reasoning_effort",
    "response_format",
    "safety_identifier",
    "seed",
    "service_tier",
    "store",
    "temperature",
    "tool_choice",
    "tools",
    "top_logprobs",
    "top_p",
    "user",
    "verbosity",
    "web_search_options",
];
