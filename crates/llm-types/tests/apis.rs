//! Bodies and events of the Messages and Responses APIs are written as they were read.
#![cfg(test)]

use llm_types::messages::{
    MessagesErrorResponse, MessagesEvent, MessagesRequest, MessagesResponse, TokenCount,
};
use llm_types::responses::{Item, ResponsesEvent, ResponsesRequest, ResponsesResponse};
use llm_types::{Value, parse};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;

#[test]
fn messages_requests_are_kept() {
    check::<MessagesRequest>(&json!({
        "model": "m", "max_tokens": 9, "temperature": 1.0, "top_k": 40, "top_p": 0.5, "stream": true,
        "metadata": {"user_id": "u"}, "stop_sequences": ["a"], "service_tier": "auto",
        "system": [{"type": "text", "text": "s", "cache_control": {"type": "ephemeral"}}],
        "thinking": {"type": "enabled", "budget_tokens": 1024, "display": "omitted"},
        "output_config": {"effort": "max", "format": {"type": "json_schema", "schema": {"z": 1, "a": 2}}},
        "output_format": {"type": "json_schema", "schema": {}},
        "tool_choice": {"type": "tool", "name": "f", "disable_parallel_tool_use": true},
        "tools": [
            {"name": "f", "type": "custom", "description": null, "input_schema": {"b": 1, "a": 2}, "strict": true},
            {"type": "web_search_20260209", "name": "web_search", "max_uses": 3}],
        "messages": [
            {"role": "user", "content": "a"},
            {"role": "system", "content": "b"},
            {"role": "assistant", "content": [
                {"type": "thinking", "thinking": "t", "signature": "s"},
                {"type": "redacted_thinking", "data": "d"},
                {"type": "tool_use", "id": "t", "name": "f", "input": {"z": 18_446_744_073_709_551_615_u64}, "caller": {}},
                {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}}]},
            {"role": "user", "content": [
                {"type": "tool_result", "tool_use_id": "t", "is_error": false, "content": [
                    {"type": "text", "text": "x"}, {"type": "tool_reference", "tool_name": "g"}]},
                {"type": "tool_result", "tool_use_id": "t", "content": null},
                {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AA=="}},
                {"type": "document", "title": "T", "context": null, "citations": {"enabled": true},
                    "source": {"type": "content", "content": [{"type": "text", "text": "x"}]}},
                {"type": "search_result", "source": "s", "title": "t", "content": [{"type": "text", "text": "x"}]},
                {"type": "text", "text": "x", "citations": []}]}],
    }));
}

#[test]
fn messages_responses_and_events_are_kept() {
    let message = json!({
        "id": "msg_1", "type": "message", "role": "assistant", "model": "m",
        "content": [{"type": "text", "text": "x", "citations": null}],
        "stop_reason": "model_context_window_exceeded", "stop_sequence": null,
        "stop_details": {"type": "refusal", "category": null, "explanation": null},
        "usage": {"input_tokens": 1, "cache_creation_input_tokens": 2, "cache_read_input_tokens": 3,
            "output_tokens": 4, "output_tokens_details": {"thinking_tokens": 2},
            "server_tool_use": {"web_search_requests": 0}, "service_tier": "standard"},
        "container": null,
    });
    check::<MessagesResponse>(&message);
    let error = json!({"type": "error", "request_id": "req_1",
        "error": {"type": "overloaded_error", "message": "x", "details": {"error_code": "y"}}});
    check::<MessagesErrorResponse>(&error);
    for event in [
        json!({"type": "message_start", "message": message}),
        json!({"type": "ping"}),
        json!({"type": "content_block_start", "index": 0,
            "content_block": {"type": "tool_use", "id": "t", "name": "f", "input": {}}}),
        json!({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "x"}}),
        json!({"type": "content_block_delta", "index": 0, "delta": {"type": "thinking_delta", "thinking": "x"}}),
        json!({"type": "content_block_delta", "index": 0, "delta": {"type": "signature_delta", "signature": "x"}}),
        json!({"type": "content_block_delta", "index": 0, "delta": {"type": "input_json_delta", "partial_json": "x"}}),
        json!({"type": "content_block_delta", "index": 0, "delta": {"type": "citations_delta", "citation": {}}}),
        json!({"type": "content_block_stop", "index": 0}),
        json!({"type": "message_delta", "usage": {"output_tokens": 1},
            "delta": {"stop_reason": "end_turn", "stop_sequence": null, "stop_details": null}}),
        json!({"type": "message_stop"}),
        json!({"type": "compaction_started", "index": 5}),
        error,
    ] {
        check::<MessagesEvent>(&event);
        let read: MessagesEvent = parse(event.to_string().as_bytes()).unwrap();
        assert_eq!(read.name(), event["type"]);
    }
    let count: TokenCount = parse(br#"{"input_tokens": 5}"#).unwrap();
    assert_eq!(count, TokenCount::new(5));
}

#[test]
fn responses_requests_are_kept() {
    check::<ResponsesRequest>(&json!({
        "model": "m", "instructions": "i", "stream": true, "store": false, "background": false,
        "temperature": 1.0, "top_p": 0.5, "top_logprobs": 2, "max_output_tokens": 9, "max_tool_calls": 1,
        "include": ["reasoning.encrypted_content"], "metadata": {"a": "b"}, "parallel_tool_calls": true,
        "previous_response_id": "r", "prompt_cache_key": "k", "truncation": "auto", "user": "u",
        "safety_identifier": "s", "service_tier": "auto", "client_metadata": {"x": 1},
        "conversation": {"id": "c"}, "prompt": {"id": "p"},
        "reasoning": {"effort": "xhigh", "summary": "auto", "context": "auto"},
        "text": {"verbosity": "low", "format": {"type": "json_schema", "name": "n", "description": "d",
            "schema": {"z": 1, "a": 2}, "strict": true}},
        "tool_choice": {"type": "allowed_tools", "mode": "auto", "tools": []},
        "tools": [
            {"type": "function", "name": "f", "description": null, "parameters": {"z": 1, "a": 2}, "strict": null},
            {"type": "custom", "name": "c", "format": {"type": "grammar", "syntax": "lark", "definition": "x"}},
            {"type": "namespace", "name": "n", "description": "d", "tools": [{"type": "function", "name": "g"}]},
            {"type": "web_search", "external_web_access": true}],
        "input": items(),
    }));
    check::<ResponsesRequest>(&json!({"model": "m", "input": "text"}));
}

#[test]
fn responses_and_their_events_are_kept() {
    let response = json!({
        "id": "resp_1", "object": "response", "created_at": 5, "completed_at": null,
        "status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}, "error": null,
        "model": "m", "output": items(), "tools": [], "tool_choice": "auto", "parallel_tool_calls": true,
        "usage": {"input_tokens": 1, "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 1},
            "output_tokens": 2, "output_tokens_details": {"reasoning_tokens": 1}, "total_tokens": 3},
        "temperature": 1.0, "instructions": null,
    });
    check::<ResponsesResponse>(&response);
    let items = items();
    for event in [
        json!({"type": "response.completed", "sequence_number": 7, "response": response}),
        json!({"type": "response.output_item.done", "sequence_number": 1, "output_index": 0, "item": items[0]}),
        json!({"type": "response.content_part.added", "sequence_number": 2, "item_id": "i", "output_index": 0,
            "content_index": 0, "part": {"type": "output_text", "text": "", "annotations": [], "logprobs": []}}),
        json!({"type": "response.output_text.delta", "sequence_number": 3, "item_id": "i", "output_index": 0,
            "content_index": 0, "delta": "x", "logprobs": []}),
        json!({"type": "response.function_call_arguments.done", "sequence_number": 4, "item_id": "i",
            "output_index": 0, "arguments": "{}", "name": "f"}),
        json!({"type": "response.custom_tool_call_input.done", "sequence_number": 5, "item_id": "i",
            "output_index": 0, "input": "x"}),
        json!({"type": "response.refusal.done", "sequence_number": 5, "item_id": "i", "output_index": 0,
            "content_index": 0, "refusal": "x"}),
        json!({"type": "error", "sequence_number": 6, "code": "x", "message": "y", "param": null}),
    ] {
        check::<ResponsesEvent>(&event);
    }
    for item in items.as_array().unwrap() {
        let read: Item = parse(item.to_string().as_bytes()).unwrap();
        let type_ = item.get("type").and_then(Value::as_str);
        assert_eq!(read.type_(), type_.unwrap_or("message"));
        assert_eq!(read.id(), item.get("id").and_then(Value::as_str));
    }
}

#[test]
fn errors_state_the_path_and_no_text() {
    let block = br#"{"model": "m", "messages": [{"role": "user", "content": [{"type": "text", "text": 5}]}]}"#;
    let error = parse::<MessagesRequest>(block).unwrap_err();
    assert_eq!(error.path(), "messages[0].content[0].text");
    let item = br#"{"model": "m", "input": [{"role": "user", "content": [{"text": "secret"}]}]}"#;
    let error = parse::<ResponsesRequest>(item).unwrap_err().to_string();
    assert!(
        error.contains("missing field `type`") && !error.contains("secret"),
        "{error}"
    );
}

fn items() -> Value {
    json!([
        {"type": "message", "id": "1", "role": "developer", "phase": null, "content": [
            {"type": "input_text", "text": "x"},
            {"type": "input_image", "image_url": "u", "detail": "auto"},
            {"type": "input_image", "file_id": "f"},
            {"type": "input_file", "filename": "n", "file_data": "d"},
            {"type": "input_audio", "input_audio": {}}]},
        {"role": "user", "content": "x"},
        {"type": "message", "id": "2", "role": "assistant", "status": "completed", "content": [
            {"type": "output_text", "text": "x", "annotations": [{}], "logprobs": [{}]},
            {"type": "refusal", "refusal": "x"}]},
        {"type": "reasoning", "id": "3", "summary": [{"type": "summary_text", "text": "x"}],
            "content": [{"type": "reasoning_text", "text": "x"}], "encrypted_content": null, "status": "completed"},
        {"type": "function_call", "id": "4", "call_id": "c", "name": "f", "namespace": "n", "arguments": "{",
            "status": "incomplete", "async": false},
        {"type": "function_call_output", "id": "5", "call_id": "c", "output": "x", "status": "completed"},
        {"type": "custom_tool_call", "id": "6", "call_id": "c", "name": "f", "input": "x", "status": "in_progress"},
        {"type": "custom_tool_call_output", "call_id": "c", "output": [{"type": "input_text", "text": "x"}]},
        {"type": "item_reference", "id": "7"},
        {"type": "web_search_call", "id": "8", "action": {}},
    ])
}

/// Checks that a body is written as it was read, with the members in order inside of values, and
/// also with an unknown member in any of its objects; and that no missing member panics.
#[track_caller]
fn check<T: DeserializeOwned + Serialize>(body: &Value) {
    round_trip::<T>(body);
    let mut paths = Vec::new();
    objects(body, String::new(), &mut paths);
    for path in paths {
        let mut more = body.clone();
        let object = more
            .pointer_mut(&path)
            .and_then(Value::as_object_mut)
            .unwrap();
        let keys: Vec<String> = object.keys().cloned().collect();
        object.insert("zz_unknown".to_owned(), json!([1.0, null]));
        round_trip::<T>(&more);
        for key in keys {
            let mut less = body.clone();
            let object = less
                .pointer_mut(&path)
                .and_then(Value::as_object_mut)
                .unwrap();
            object.shift_remove(&key);
            if let Ok(read) = parse::<T>(less.to_string().as_bytes()) {
                let written = serde_json::to_value(&read).unwrap();
                assert!(contains(&written, &less), "{less}\n{written}");
            }
        }
    }
}

#[track_caller]
fn round_trip<T: DeserializeOwned + Serialize>(body: &Value) {
    let text = body.to_string();
    let read: T = parse(text.as_bytes()).unwrap_or_else(|error| panic!("{error}\n{text}"));
    assert_eq!(serde_json::to_value(&read).unwrap(), *body);
}

/// The paths of all objects.
fn objects(value: &Value, path: String, paths: &mut Vec<String>) {
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                objects(value, format!("{path}/{key}"), paths);
            }
            paths.push(path);
        }
        Value::Array(list) => {
            for (at, value) in list.iter().enumerate() {
                objects(value, format!("{path}/{at}"), paths);
            }
        }
        _ => {}
    }
}

/// Whether everything of `part` is in `whole`: required members may have been filled in.
fn contains(whole: &Value, part: &Value) -> bool {
    match (whole, part) {
        (Value::Object(whole), Value::Object(part)) => part
            .iter()
            .all(|(key, value)| whole.get(key).is_some_and(|whole| contains(whole, value))),
        (Value::Array(whole), Value::Array(part)) => {
            whole.len() == part.len()
                && whole
                    .iter()
                    .zip(part)
                    .all(|(whole, part)| contains(whole, part))
        }
        _ => whole == part,
    }
}
