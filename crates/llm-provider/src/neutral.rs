//! Values of parameters that change nothing.

use serde_json::{Map, Value};

/// Whether a parameter of OpenAI has a value with its default effect.
///
/// Many clients send such values with every request, so a provider that does not support the parameter
/// leaves it out.
pub fn is_neutral(key: &str, value: &Value) -> bool {
    match key {
        "frequency_penalty" | "presence_penalty" | "top_logprobs" => value.as_f64() == Some(0.0),
        "function_call" | "tool_choice" => value == "none" || value == "auto",
        "functions" | "stop" | "tools" => value.as_array().is_some_and(Vec::is_empty),
        "logit_bias" => value.as_object().is_some_and(Map::is_empty),
        "echo" | "logprobs" => value == false,
        "modalities" => value == &serde_json::json!(["text"]),
        "best_of" | "n" | "temperature" | "top_p" => value.as_f64() == Some(1.0),
        // It has an effect only with tools.
        "parallel_tool_calls" => true,
        "response_format" => value["type"] == "text",
        "suffix" => value == "",
        _ => false,
    }
}
