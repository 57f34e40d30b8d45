//! From OpenAI's parameters to the ones that the model takes.

use llm_provider::{Error, ErrorKind, Result};
use llm_types::ChatRequest;
use serde_json::{Map, Value};

use crate::models::Known;
use crate::prompt::{self, Format, Style};
use crate::schema::{Parameter, Schema};

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
        style: &Style<'_>,
        drop_params: bool,
    ) -> Result<Self> {
        let mut values = Map::new();
        let format = prompt::write(request, known, style, &mut values)?;
        let Ok(Value::Object(mut parameters)) = serde_json::to_value(request) else {
            return Err(Error::new(
                ErrorKind::InvalidRequest,
                "the request cannot be written",
            ));
        };
        if request.max_completion_tokens.is_some() {
            parameters.remove("max_tokens"); // its older name
        }
        let mut dropped = Vec::new();
        for (name, value) in parameters {
            match translate(&known.schema, &name, value) {
                Ok(Some((own, value))) => drop(values.insert(own.to_owned(), value)),
                Ok(None) => {}
                Err(_) if drop_params || among(WITHOUT_EFFECT, &name) => dropped.push(name),
                Err(why) => {
                    let message =
                        format!("{name} cannot be honoured: {why} (drop_params leaves it out)");
                    return Err(Error::new(ErrorKind::Unsupported, message).with_param(name));
                }
            }
        }
        let length = known.schema.first_of(LENGTH);
        let asked = length.and_then(|name| values.get(name)?.as_u64());
        let default = || known.schema.get(length?)?.default.as_u64();
        Ok(Self {
            max_tokens: asked.or_else(default),
            values,
            dropped,
            format,
        })
    }
}

/// What the model has for a parameter, if it has to be told anything; else why that is impossible.
fn translate<'n>(
    schema: &Schema,
    name: &'n str,
    value: Value,
) -> Result<Option<(&'n str, Value)>, &'static str> {
    let own = match name {
        "model" | "messages" | "stream" | "stream_options" => return Ok(None),
        _ if value.is_null() => return Ok(None),
        "max_tokens" | "max_completion_tokens" => schema.first_of(LENGTH),
        "min_tokens" | "min_new_tokens" => schema.first_of(LEAST_LENGTH).or(Some(name)),
        "stop" => schema.first_of(STOP),
        _ if schema.has(name) || !(among(OPENAI, name) || among(WITHOUT_EFFECT, name)) => {
            Some(name)
        }
        _ => None,
    };
    let Some(own) = own else {
        return if is_neutral(name, &value) {
            Ok(None)
        } else {
            Err("the model has nothing like it")
        };
    };
    let property = schema.get(own);
    let value = match name {
        "stop" => stop(value, property.is_some_and(Parameter::is_list))?,
        // OpenAI allows 0, for the most likely token; many models want a little more than that.
        "temperature" | "top_p" => {
            let least = property.map_or(&Value::Null, |property| &property.minimum);
            let is_below = |least: f64| {
                value
                    .as_f64()
                    .is_some_and(|given| (0.0..least).contains(&given))
            };
            if least.as_f64().is_some_and(is_below) {
                least.clone()
            } else {
                value
            }
        }
        _ => value,
    };
    Ok(Some((own, value)).filter(|(_, value)| !value.is_null()))
}

/// Most of Replicate's models take stops as one string with commas between them.
fn stop(value: Value, as_list: bool) -> Result<Value, &'static str> {
    let stops: Vec<&str> = match &value {
        Value::String(stop) => vec![stop],
        Value::Array(stops) => stops.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    let stops: Vec<&str> = stops.into_iter().filter(|stop| !stop.is_empty()).collect();
    match stops.as_slice() {
        [] => Ok(Value::Null),
        stops if as_list => Ok(stops.into()),
        stops if stops.iter().any(|stop| stop.contains(',')) => {
            Err("the model takes no stop sequence that holds a comma")
        }
        stops => Ok(stops.join(",").into()),
    }
}

/// Whether the parameter asks for nothing but what happens anyway.
fn is_neutral(name: &str, value: &Value) -> bool {
    match name {
        "frequency_penalty" | "presence_penalty" | "top_logprobs" => value.as_f64() == Some(0.0),
        "function_call" | "tool_choice" => value == "none" || value == "auto",
        "functions" | "stop" | "tools" => value.as_array().is_some_and(Vec::is_empty),
        "logit_bias" => value.as_object().is_some_and(Map::is_empty),
        "logprobs" => value == false,
        "modalities" => value == &serde_json::json!(["text"]),
        "n" | "temperature" | "top_p" => value.as_f64() == Some(1.0),
        "parallel_tool_calls" => true,
        "response_format" => value["type"] == "text",
        _ => false,
    }
}

fn among(names: &str, name: &str) -> bool {
    names.split(' ').any(|other| other == name)
}

/// The names that models have for the most tokens of an answer, and for the fewest.
const LENGTH: &[&str] = &[
    "max_tokens",
    "max_completion_tokens",
    "max_new_tokens",
    "max_output_tokens",
    "max_length",
];
const LEAST_LENGTH: &[&str] = &["min_tokens", "min_new_tokens"];
const STOP: &[&str] = &["stop_sequences", "stop"];
/// The answer is the same without them: they are left out, and reported, without asking.
const WITHOUT_EFFECT: &str = "metadata prompt_cache_key prompt_cache_options \
    prompt_cache_retention safety_identifier service_tier store user";
/// The other parameters of OpenAI's. All that are not here are taken for the model's own, and pass.
const OPENAI: &str = "audio frequency_penalty function_call functions logit_bias logprobs \
    modalities moderation n parallel_tool_calls prediction presence_penalty reasoning_effort \
    response_format seed temperature tool_choice tools top_logprobs top_p verbosity \
    web_search_options";
