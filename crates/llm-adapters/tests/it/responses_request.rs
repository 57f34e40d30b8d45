//! Requests of the Responses API as chat requests.

use llm_adapters::responses::{ResponsesAdapter, ResponsesExchange};
use llm_adapters::{Error, estimate_tokens};
use llm_types::responses::{Item, ResponsesRequest};
use llm_types::{Value, parse};
use serde_json::json;

#[test]
fn members_are_mapped() {
    let schema = json!({"type": "object", "properties": {"b": {}, "a": {}}});
    let cases = [
        (json!({"max_output_tokens": 9}), json!({"max_tokens": 9})),
        (
            json!({"temperature": 0.5, "top_p": 0.9}),
            json!({"temperature": 0.5, "top_p": 0.9}),
        ),
        (
            json!({"user": "u", "prompt_cache_key": "k"}),
            json!({"user": "u", "prompt_cache_key": "k"}),
        ),
        (
            json!({"stream": true}),
            json!({"stream": true, "stream_options": {"include_usage": true}}),
        ),
        (json!({"reasoning": {"summary": "auto"}}), json!({})),
        (
            json!({"reasoning": {"effort": "xhigh"}}),
            json!({"reasoning_effort": "high"}),
        ),
        (
            json!({"reasoning": {"effort": "none"}}),
            json!({"reasoning_effort": "none"}),
        ),
        (json!({"text": {"format": {"type": "text"}}}), json!({})),
        (
            json!({"text": {"format": {"type": "json_object"}}}),
            json!({"response_format": {"type": "json_object"}}),
        ),
        (
            json!({"text": {"format": {"type": "json_schema", "name": "n", "schema": schema, "strict": false}}}),
            json!({"response_format": {"type": "json_schema",
                "json_schema": {"name": "n", "schema": schema, "strict": false}}}),
        ),
        (
            json!({"include": ["message.output_text.logprobs"], "top_logprobs": 3}),
            json!({"logprobs": true, "top_logprobs": 3}),
        ),
        // Without tools, nothing about tools is sent.
        (
            json!({"tools": [], "tool_choice": "auto", "parallel_tool_calls": true}),
            json!({}),
        ),
        (
            json!({"store": true, "metadata": {"a": "b"}, "background": false}),
            json!({}),
        ),
    ];
    for (members, expected) in cases {
        let mut wanted = json!({"model": "m", "messages": [{"role": "user", "content": "Hi"}]});
        for (key, value) in expected.as_object().unwrap() {
            wanted[key] = value.clone();
        }
        assert_eq!(chat(&members), wanted, "{members}");
    }
}

#[test]
fn tools_are_mapped() {
    let chat = chat(
        &json!({"parallel_tool_calls": true, "tool_choice": "auto", "tools": [
        {"type": "function", "name": "f", "description": "d", "parameters": {"type": "object"}, "strict": true},
        {"type": "function", "name": "g", "parameters": null, "strict": null},
        {"type": "namespace", "name": "ns", "description": "N", "tools": [
            {"type": "function", "name": "f", "description": "inner", "parameters": {}}]},
        {"type": "custom", "name": "patch", "description": "Patches",
            "format": {"type": "grammar", "syntax": "lark", "definition": "start: x"}},
        {"type": "web_search", "external_web_access": true}]}),
    );
    let functions: Vec<_> = chat["tools"]
        .as_array()
        .unwrap()
        .iter()
        .map(|tool| &tool["function"])
        .collect();
    assert_eq!(
        functions[0],
        &json!({"name": "f", "description": "d", "parameters": {"type": "object"}, "strict": true})
    );
    assert_eq!(
        functions[1],
        &json!({"name": "g", "parameters": {"type": "object", "properties": {}}})
    );
    assert_eq!(
        functions[2],
        &json!({"name": "ns__f", "description": "N — inner", "parameters": {}})
    );
    assert_eq!(functions[3]["name"], "patch");
    assert_eq!(
        functions[3]["description"],
        "Patches\n\nThe input must match this lark grammar:\nstart: x"
    );
    assert_eq!(functions[3]["parameters"]["required"], json!(["input"]));
    assert_eq!(functions.len(), 4);
    assert_eq!(chat["parallel_tool_calls"], true);
}

#[test]
fn tool_choices_are_mapped() {
    let tools = json!([
        {"type": "function", "name": "f", "parameters": {}},
        {"type": "namespace", "name": "ns", "tools": [{"type": "function", "name": "g", "parameters": {}}]},
        {"type": "custom", "name": "c"}]);
    let one = |name: &str| json!({"type": "function", "function": {"name": name}});
    for (choice, expected) in [
        (json!("auto"), json!("auto")),
        (json!("required"), json!("required")),
        (json!("none"), json!("none")),
        (json!({"type": "auto"}), json!("auto")),
        (json!({"type": "tool"}), json!("required")),
        (json!({"type": "tool", "name": "f"}), one("f")),
        (json!({"type": "function", "name": "f"}), one("f")),
        (json!({"type": "function", "name": "g"}), one("ns__g")),
        (
            json!({"type": "function", "name": "g", "namespace": "ns"}),
            one("ns__g"),
        ),
        (json!({"type": "custom", "name": "c"}), one("c")),
    ] {
        let chat = chat(&json!({"tools": tools, "tool_choice": choice}));
        assert_eq!(chat["tool_choice"], expected, "{choice}");
    }
    let allowed = json!({"type": "allowed_tools", "mode": "required", "tools": [
        {"type": "function", "name": "g"}, {"type": "web_search"}]});
    let chat = chat(&json!({"tools": tools, "tool_choice": allowed}));
    assert_eq!(chat["tool_choice"], "required");
    assert_eq!(chat["tools"].as_array().unwrap().len(), 1);
    assert_eq!(chat["tools"][0]["function"]["name"], "ns__g");
}

#[test]
fn conversations_are_mapped() {
    let call = |id: &str, name: &str, arguments: &str| json!({"id": id, "type": "function", "function": {"name": name, "arguments": arguments}});
    let cases = [
        (
            "what Codex sends",
            json!([
                {"type": "message", "role": "developer", "id": "1", "content": [
                    {"type": "input_text", "text": "a"}, {"type": "input_text", "text": "b"}]},
                {"role": "user", "content": [{"type": "input_text", "text": "go"}]},
                {"type": "reasoning", "id": "rs", "summary": [],
                    "content": [{"type": "reasoning_text", "text": "hm"}], "encrypted_content": null},
                {"type": "function_call", "status": "completed", "id": "fc", "name": "exec",
                    "arguments": "{\"cmd\": \"ls\"}", "call_id": "c1"},
                {"type": "function_call_output", "id": "o", "call_id": "c1", "output": "files"},
            ]),
            json!([
                {"role": "system", "content": "a\nb"},
                {"role": "user", "content": "go"},
                {"role": "assistant", "content": null, "reasoning_content": "hm",
                    "tool_calls": [call("c1", "exec", "{\"cmd\": \"ls\"}")]},
                {"role": "tool", "content": "files", "tool_call_id": "c1"},
            ]),
        ),
        (
            "text and calls of one turn are one message, and outputs follow it",
            json!([
                {"role": "assistant", "content": [{"type": "output_text", "text": "I'll look.", "annotations": []}]},
                {"type": "function_call", "call_id": "a", "name": "f", "arguments": ""},
                {"type": "custom_tool_call", "call_id": "b", "name": "patch", "input": "x\ny"},
                {"role": "user", "content": "wait"},
                {"type": "custom_tool_call_output", "call_id": "b", "output": [
                    {"type": "input_text", "text": "t"}, {"type": "input_image", "image_url": "https://i/1", "detail": "low"}]},
                {"type": "function_call_output", "call_id": "a", "output": "r"},
                {"role": "user", "content": "go on"},
            ]),
            json!([
                {"role": "assistant", "content": "I'll look.",
                    "tool_calls": [call("a", "f", "{}"), call("b", "patch", "{\"input\":\"x\\ny\"}")]},
                {"role": "tool", "content": "r", "tool_call_id": "a"},
                {"role": "tool", "content": "t", "tool_call_id": "b"},
                {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "https://i/1", "detail": "low"}}]},
                {"role": "user", "content": "wait"},
                {"role": "user", "content": "go on"},
            ]),
        ),
        (
            "calls after an output are another turn",
            json!([
                {"type": "reasoning", "summary": [{"type": "summary_text", "text": "s"}]},
                {"type": "function_call", "call_id": "a", "name": "f", "arguments": "{}", "namespace": "ns"},
                {"type": "function_call_output", "call_id": "a", "output": "1"},
                {"type": "function_call", "call_id": "a", "name": "f", "arguments": "{}"},
                {"type": "function_call_output", "call_id": "a", "output": "2"},
                {"type": "reasoning", "summary": []},
            ]),
            json!([
                {"role": "assistant", "content": null, "reasoning_content": "s", "tool_calls": [call("a", "ns__f", "{}")]},
                {"role": "tool", "content": "1", "tool_call_id": "a"},
                {"role": "assistant", "content": null, "tool_calls": [call("a", "f", "{}")]},
                {"role": "tool", "content": "2", "tool_call_id": "a"},
            ]),
        ),
        (
            "images and refusals",
            json!([
                {"role": "user", "content": [{"type": "input_text", "text": "what?"},
                    {"type": "input_image", "image_url": "data:image/png;base64,AA==", "detail": "auto"}]},
                {"role": "assistant", "content": [{"type": "refusal", "refusal": "No."}]},
            ]),
            json!([
                {"role": "user", "content": [{"type": "text", "text": "what?"},
                    {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA==", "detail": "auto"}}]},
                {"role": "assistant", "content": "No."},
            ]),
        ),
    ];
    for (what, input, expected) in cases {
        let chat = chat(&json!({"input": input}));
        assert_eq!(chat["messages"], expected, "{what}");
    }
}

#[test]
fn the_text_of_a_text_file_is_sent() {
    let file = |data: &str| {
        json!({"input": [{"role": "user", "content": [
            {"type": "input_file", "filename": "a.txt", "file_data": data}]}]})
    };
    let messages = &chat(&file("data:text/plain;base64,SGVsbG8="))["messages"];
    assert_eq!(messages[0]["content"][0]["text"], "File: a.txt\nHello");
    for refused in [
        "data:text/plain;base64,/w==",
        "data:application/pdf;base64,SGVsbG8=",
    ] {
        assert!(convert(&file(refused)).is_err(), "{refused}");
    }
}

#[test]
fn instructions_come_first_and_a_history_before_the_input() {
    let request = request(&json!({"previous_response_id": "resp_1", "instructions": "new"}));
    let history: Vec<Item> = parse(br#"[{"role": "user", "content": "earlier"}]"#).unwrap();
    let exchange = ResponsesAdapter::new()
        .convert_continued(request, history)
        .unwrap();
    let expected = json!([
        {"role": "system", "content": "new"},
        {"role": "user", "content": "earlier"},
        {"role": "user", "content": "Hi"},
    ]);
    assert_eq!(json!(exchange.chat)["messages"], expected);
}

#[test]
fn what_has_no_effect_is_named() {
    let exchange = convert(&json!({
        "client_metadata": {"x": 1}, "truncation": "auto", "max_tool_calls": 3,
        "reasoning": {"summary": "auto"}, "text": {"verbosity": "low"},
        "include": ["reasoning.encrypted_content", "web_search_call.results"],
        "tools": [{"type": "web_search"}, {"type": "function", "name": "f"}],
        "input": [{"role": "user", "content": "a"}, {"type": "web_search_call", "id": "w", "status": "completed"},
            {"type": "reasoning", "summary": [], "encrypted_content": "foreign"}],
    }))
    .unwrap();
    assert_eq!(
        exchange.ignored.to_string(),
        "client_metadata, include:web_search_call.results, input:web_search_call, max_tool_calls, \
         reasoning.encrypted_content, text.verbosity, tools.web_search, truncation"
    );
}

#[test]
fn what_would_give_a_wrong_reply_is_refused() {
    let content = |part: Value| json!({"input": [{"role": "user", "content": [part]}]});
    let cases = [
        (json!({"model": ""}), "model", None),
        (json!({"input": null}), "input", None),
        (json!({"input": []}), "input", None),
        (json!({"background": true}), "background", None),
        (json!({"conversation": "conv_1"}), "conversation", None),
        (json!({"prompt": {"id": "p"}}), "prompt", None),
        (
            json!({"previous_response_id": "resp_1"}),
            "previous_response_id",
            Some("previous_response_not_found"),
        ),
        (
            json!({"text": {"format": {"type": "xml"}}}),
            "text.format.type",
            None,
        ),
        (
            json!({"text": {"format": {"type": "json_schema", "name": "n"}}}),
            "text.format.schema",
            None,
        ),
        (
            json!({"tool_choice": "required", "tools": [{"type": "web_search"}]}),
            "tool_choice",
            None,
        ),
        (
            json!({"tool_choice": {"type": "web_search"}}),
            "tool_choice.type",
            None,
        ),
        (
            json!({"tool_choice": {"type": "function", "name": "f"}}),
            "tool_choice.name",
            None,
        ),
        (
            json!({"tools": [{"type": "function", "name": "a__f"},
                {"type": "namespace", "name": "a", "tools": [{"type": "function", "name": "f"}]}]}),
            "tools[1].tools[0].name",
            None,
        ),
        (
            json!({"input": [{"role": "robot", "content": "a"}]}),
            "input[0].role",
            None,
        ),
        (json!({"input": [{"id": "x"}]}), "input[0]", None),
        (
            json!({"input": [{"type": "compaction", "encrypted_content": "x"}]}),
            "input[0]",
            None,
        ),
        (
            json!({"input": [{"type": "function_call_output", "call_id": "x", "output": "r"}]}),
            "input[0].call_id",
            None,
        ),
        (
            content(json!({"type": "input_image", "file_id": "f"})),
            "input[0].content",
            None,
        ),
        (
            content(json!({"type": "input_file", "file_data": "data:application/pdf;base64,AA=="})),
            "input[0].content",
            None,
        ),
        (
            content(json!({"type": "input_video"})),
            "input[0].content",
            None,
        ),
    ];
    for (members, param, code) in cases {
        let error = convert(&members).unwrap_err();
        assert_eq!(error.param(), Some(param), "{members}");
        assert_eq!(error.code(), code);
        assert_eq!(error.status(), 400);
    }
}

#[test]
fn counts_grow_with_tools_and_images() {
    let count = |members: Value| estimate_tokens(&convert(&members).unwrap().chat);
    let base = count(json!({}));
    assert!(count(json!({"instructions": "Be brief."})) > base);
    assert!(count(json!({"tools": [{"type": "function", "name": "f"}]})) > base);
    let image = json!({"input": [{"role": "user", "content": [
        {"type": "input_text", "text": "Hi"}, {"type": "input_image", "image_url": "u"}]}]});
    assert!(count(image) > base);
}

fn request(members: &Value) -> ResponsesRequest {
    let mut request = json!({"model": "m", "input": "Hi"});
    for (key, value) in members.as_object().unwrap() {
        request[key] = value.clone();
    }
    parse(request.to_string().as_bytes()).unwrap()
}

fn convert(members: &Value) -> Result<ResponsesExchange, Error> {
    ResponsesAdapter::new().convert(request(members))
}

fn chat(members: &Value) -> Value {
    json!(convert(members).unwrap().chat)
}

#[test]
fn own_encrypted_content_is_reasoning_again() {
    let request = json!({"model": "m", "input": [
        {"role": "user", "content": "Hi"},
        {"type": "reasoning", "summary": [], "encrypted_content": "plain.hm"},
        {"role": "assistant", "content": "Hello"}]});
    let request = parse(request.to_string().as_bytes()).unwrap();
    let chat = ResponsesAdapter::new().convert(request).unwrap().chat;
    assert_eq!(json!(chat.messages[1])["reasoning_content"], "hm");
}
