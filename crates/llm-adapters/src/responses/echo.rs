//! The members of a response that repeat the request.

use llm_types::responses::{ResponsesRequest, ResponsesResponse};
use llm_types::{Field, Value};
use serde::Serialize;
use serde_json::json;

use super::tools;

/// A response in progress, with everything that the request determines.
///
/// Clients of the Open Responses specification require every key; OpenAI's defaults stand for what
/// the client left out.
pub(super) fn response(request: &ResponsesRequest) -> ResponsesResponse {
    let mut response = ResponsesResponse::new("", 0_u64, request.model.clone());
    response.tools = request.tools.iter().flatten().map(tools::echo).collect();
    if let Some(choice) = &request.tool_choice {
        response.tool_choice = choice.clone();
    }
    response.parallel_tool_calls = request.parallel_tool_calls.unwrap_or(true);
    let members = [
        ("previous_response_id", value(&request.previous_response_id)),
        ("instructions", value(&request.instructions)),
        ("max_output_tokens", value(&request.max_output_tokens)),
        ("max_tool_calls", value(&request.max_tool_calls)),
        ("temperature", or(&request.temperature, json!(1.0))),
        ("top_p", or(&request.top_p, json!(1.0))),
        ("presence_penalty", json!(0)),
        ("frequency_penalty", json!(0)),
        ("top_logprobs", or(&request.top_logprobs, json!(0))),
        ("truncation", or(&request.truncation, json!("disabled"))),
        ("text", text(request)),
        ("reasoning", reasoning(request)),
        ("store", json!(false)),
        ("background", json!(false)),
        ("service_tier", json!("default")),
        ("metadata", or(&request.metadata, json!({}))),
        ("safety_identifier", value(&request.safety_identifier)),
        ("prompt_cache_key", value(&request.prompt_cache_key)),
        ("user", value(&request.user)),
    ];
    let members = members.map(|(key, value)| (key.to_owned(), value));
    response.extra.extend(members);
    response
}

fn text(request: &ResponsesRequest) -> Value {
    let mut text = or(&request.text, json!({}));
    if text.get("format").is_none_or(Value::is_null) {
        text["format"] = json!({"type": "text"});
    }
    text
}

fn reasoning(request: &ResponsesRequest) -> Value {
    let Some(config) = &request.reasoning else {
        return Value::Null;
    };
    json!({"effort": nullable(&config.effort), "summary": nullable(&config.summary)})
}

fn nullable<T: Serialize>(field: &Field<T>) -> Value {
    value(&field.value())
}

fn or<T: Serialize>(member: &Option<T>, default: Value) -> Value {
    match member {
        Some(member) => value(member),
        None => default,
    }
}

/// The members of a request can always be written: they were read.
fn value<T: Serialize>(member: &T) -> Value {
    serde_json::to_value(member).unwrap_or_default()
}
