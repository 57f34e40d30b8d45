//! Translates OpenAI's parameters to those of the model.

use llm_provider::is_neutral;
use replicate_api::{Parameter, Schema};
use serde_json::{Map, Value};

/// The names of the same parameter.
pub(crate) fn synonyms(name: &str) -> &'static [&'static str] {
    let all = [LENGTH, MIN_LENGTH, STOP];
    let found = all.into_iter().find(|names| names.contains(&name));
    found.unwrap_or_default()
}

/// Translates a parameter to the model's name and value. `None` if nothing has to be sent.
///
/// # Errors
/// The reason, if the model does not support the parameter or the value.
pub(crate) fn translate<'n>(
    schema: &Schema,
    name: &'n str,
    value: Value,
) -> Result<Option<(&'n str, Value)>, &'static str> {
    let model_name = match name {
        "model" | "stream" | "stream_options" => return Ok(None),
        _ if value.is_null() => return Ok(None),
        "messages" | "prompt" => return Err("the request has its content elsewhere"),
        "max_tokens" | "max_completion_tokens" => schema.first_of(LENGTH),
        "min_tokens" | "min_new_tokens" => schema.first_of(MIN_LENGTH).or(Some(name)),
        "stop" => schema.first_of(STOP),
        _ if schema.has(name) || !(is_in(OPENAI, name) || is_in(WITHOUT_EFFECT, name)) => {
            Some(name)
        }
        _ => None,
    };
    let Some(model_name) = model_name else {
        return if is_neutral(name, &value) {
            Ok(None)
        } else {
            Err("the model does not support it")
        };
    };
    let property = schema.get(model_name);
    let value = match name {
        "stop" => stop(value, property.is_some_and(Parameter::is_list))?,
        // OpenAI allows 0, for the most likely token; many models require a value above 0.
        "temperature" | "top_p" => {
            let minimum = property.map_or(&Value::Null, |property| &property.minimum);
            let is_below = |minimum: f64| {
                value
                    .as_f64()
                    .is_some_and(|given| (0.0..minimum).contains(&given))
            };
            if minimum.as_f64().is_some_and(is_below) {
                minimum.clone()
            } else {
                value
            }
        }
        _ => value,
    };
    Ok(Some((model_name, value)).filter(|(_, value)| !value.is_null()))
}

/// Most of Replicate's models take the stop sequences as one string, separated by commas.
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
            Err("the model does not support a stop sequence that contains a comma")
        }
        stops => Ok(stops.join(",").into()),
    }
}

/// Whether the request has the model's own parameter for stop sequences.
pub(crate) fn has_own_stops(parameters: &Map<String, Value>) -> bool {
    parameters
        .get("stop_sequences")
        .is_some_and(|stops| !stops.is_null())
}

/// Adds the model's default stop sequences, which those of a request would replace, and `ends`, those
/// of the template that rendered the prompt. Writes nothing if the default has them all.
pub(crate) fn add_stops(schema: &Schema, ends: &[String], values: &mut Map<String, Value>) {
    let Some(parameter) = schema.first_of(STOP).and_then(|name| schema.get(name)) else {
        return;
    };
    let default = texts(&parameter.default);
    let mut stops = values.get(&parameter.name).map(texts).unwrap_or_default();
    if stops.is_empty() && ends.iter().all(|end| default.contains(&end.as_str())) {
        return;
    }
    for stop in default.into_iter().chain(ends.iter().map(String::as_str)) {
        // A stop sequence with a comma can only be sent in a list.
        if !stops.contains(&stop) && (parameter.is_list() || !stop.contains(',')) {
            stops.push(stop);
        }
    }
    let stops: Value = match stops.as_slice() {
        [] => return,
        stops if parameter.is_list() => stops.into(),
        stops => stops.join(",").into(),
    };
    values.insert(parameter.name.clone(), stops);
}

/// The stop sequences in a list, or in a text that separates them by commas.
fn texts(stops: &Value) -> Vec<&str> {
    let stops: Vec<&str> = match stops {
        Value::String(stops) => stops.split(',').collect(),
        Value::Array(stops) => stops.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    stops.into_iter().filter(|stop| !stop.is_empty()).collect()
}

/// Whether the parameter does not change the reply. Such a parameter is dropped and reported, even
/// without `drop_params`.
pub(crate) fn is_without_effect(name: &str) -> bool {
    is_in(WITHOUT_EFFECT, name)
}

/// Whether `names`, separated by spaces, contain `name`.
fn is_in(names: &str, name: &str) -> bool {
    names.split(' ').any(|other| other == name)
}

/// The models' names for the token limit of a reply.
pub(crate) const LENGTH: &[&str] = &[
    "max_tokens",
    "max_completion_tokens",
    "max_new_tokens",
    "max_output_tokens",
    "max_length",
];
const MIN_LENGTH: &[&str] = &["min_tokens", "min_new_tokens"];
const STOP: &[&str] = &["stop_sequences", "stop"];
const WITHOUT_EFFECT: &str = "metadata prompt_cache_key prompt_cache_options \
    prompt_cache_retention safety_identifier service_tier store user";
/// OpenAI's other parameters. A parameter that is in no list is sent: it may be the model's.
const OPENAI: &str = "audio best_of echo frequency_penalty function_call functions logit_bias \
    logprobs modalities moderation n parallel_tool_calls prediction presence_penalty \
    reasoning_effort response_format seed suffix temperature tool_choice tools top_logprobs top_p \
    verbosity web_search_options";
