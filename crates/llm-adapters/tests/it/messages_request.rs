//! Requests of the Messages API as chat requests.

use llm_adapters::messages::{
    AnthropicTools, InlineSystem, MessagesAdapter, MessagesExchange, chat_error, error_type,
};
use llm_adapters::{Error, ErrorKind, estimate_tokens};
use llm_types::messages::{MessagesError, MessagesRequest};
use llm_types::{ErrorResponse, Value, parse};
use serde_json::json;

#[test]
fn members_are_mapped() {
    let cases = [
        (json!({"max_tokens": 9}), json!({"max_tokens": 9})),
        (
            json!({"stop_sequences": ["a", "", "b"]}),
            json!({"stop": ["a", "b"]}),
        ),
        (json!({"stop_sequences": [""]}), json!({})),
        (
            json!({"temperature": 0.5, "top_p": 1.0, "top_k": 40}),
            json!({"temperature": 0.5, "top_p": 1.0, "top_k": 40}),
        ),
        (json!({"metadata": {"user_id": "u"}}), json!({"user": "u"})),
        (
            json!({"stream": true}),
            json!({"stream": true, "stream_options": {"include_usage": true}}),
        ),
        (json!({"stream": false}), json!({})),
        (
            json!({"thinking": {"type": "disabled"}}),
            json!({"reasoning_effort": "none"}),
        ),
        (json!({"thinking": {"type": "adaptive"}}), json!({})),
        (
            json!({"thinking": {"type": "enabled", "budget_tokens": 1024}}),
            json!({"reasoning_effort": "low"}),
        ),
        (
            json!({"thinking": {"type": "enabled", "budget_tokens": 8000}}),
            json!({"reasoning_effort": "medium"}),
        ),
        (
            json!({"thinking": {"type": "enabled", "budget_tokens": 32000}}),
            json!({"reasoning_effort": "high"}),
        ),
        (
            json!({"thinking": {"type": "between_tools"}, "output_config": {"effort": "max"}}),
            json!({"reasoning_effort": "high"}),
        ),
        (
            json!({"output_config": {"effort": "low"}}),
            json!({"reasoning_effort": "low"}),
        ),
        (json!({"tools": []}), json!({})),
        (json!({"tools": null, "system": null}), json!({})),
    ];
    for (members, expected) in cases {
        let chat = chat(&members);
        let mut wanted = json!({"model": "m", "max_tokens": 16,
            "messages": [{"role": "user", "content": "Hi"}]});
        for (key, value) in expected.as_object().unwrap() {
            wanted[key] = value.clone();
        }
        assert_eq!(chat, wanted, "{members}");
    }
}

/// LiteLLM adds `additionalProperties` and requires every property; litellm#30557 leaks `type`.
#[test]
fn schemas_are_untouched() {
    let schema = json!({"type": "object", "properties": {"b": {"type": "string"}, "a": {}},
        "required": ["b"], "$defs": {"z": {}, "y": {}}});
    let format = json!({"type": "json_schema", "schema": schema});
    let tool = json!({"name": "f", "description": "d", "input_schema": schema, "strict": true,
        "type": "custom", "cache_control": {"type": "ephemeral"}});
    for members in [
        json!({"output_config": {"format": format}, "tools": [tool]}),
        json!({"output_format": format, "tools": [tool]}),
    ] {
        let chat = chat(&members);
        assert_eq!(
            chat["response_format"].to_string(),
            json!({"type": "json_schema",
                "json_schema": {"name": "output", "schema": schema, "strict": true}})
            .to_string()
        );
        assert_eq!(
            chat["tools"].to_string(),
            json!([{"type": "function", "function":
                {"name": "f", "description": "d", "parameters": schema, "strict": true}}])
            .to_string()
        );
    }
}

#[test]
fn tool_choices_are_mapped() {
    let one = json!({"type": "function", "function": {"name": "f"}});
    for (choice, expected, parallel) in [
        (json!({"type": "auto"}), json!("auto"), Value::Null),
        (json!({"type": "any"}), json!("required"), Value::Null),
        (json!({"type": "none"}), json!("none"), Value::Null),
        (json!({"type": "tool", "name": "f"}), one, Value::Null),
        (
            json!({"type": "auto", "disable_parallel_tool_use": true}),
            json!("auto"),
            json!(false),
        ),
    ] {
        let chat =
            chat(&json!({"tools": [{"name": "f", "input_schema": {}}], "tool_choice": choice}));
        assert_eq!(chat["tool_choice"], expected);
        assert_eq!(chat["parallel_tool_calls"], parallel);
    }
}

#[test]
fn conversations_are_mapped() {
    let call = |id: &str, name: &str, arguments: &str| json!({"id": id, "type": "function", "function": {"name": name, "arguments": arguments}});
    let cases = [
        (
            "results come before the rest of the turn, in order, with what failed marked",
            json!([
                {"role": "user", "content": "go"},
                {"role": "assistant", "content": [
                    {"type": "thinking", "thinking": "hm ", "signature": "from another gateway"},
                    {"type": "thinking", "thinking": "ok"},
                    {"type": "redacted_thinking", "data": "x"},
                    {"type": "text", "text": "a"}, {"type": "text", "text": "b"},
                    {"type": "tool_use", "id": "t1", "name": "f", "input": {"z": 1, "a": 2}},
                    {"type": "tool_use", "id": "toolu_enc_functions_2eg_3a0", "name": "g", "input": {}}]},
                {"role": "user", "content": [
                    {"type": "text", "text": "see"},
                    {"type": "tool_result", "tool_use_id": "t1", "is_error": true, "content": "no such file"},
                    {"type": "tool_result", "tool_use_id": "toolu_enc_functions_2eg_3a0", "content": [
                        {"type": "text", "text": "x"}, {"type": "text", "text": "y"},
                        {"type": "image", "source": {"type": "url", "url": "https://i/1"}},
                        {"type": "tool_reference", "tool_name": "h"}]}]},
            ]),
            json!([
                {"role": "user", "content": "go"},
                {"role": "assistant", "content": "ab", "reasoning_content": "hm ok", "tool_calls": [
                    call("t1", "f", "{\"z\":1,\"a\":2}"), call("functions.g:0", "g", "{}")]},
                {"role": "tool", "content": "Error: no such file", "tool_call_id": "t1"},
                {"role": "tool", "content": "x\ny\nTool: h", "tool_call_id": "functions.g:0"},
                {"role": "user", "content": [
                    {"type": "text", "text": "see"},
                    {"type": "image_url", "image_url": {"url": "https://i/1"}}]},
            ]),
        ),
        (
            "results without content are empty, and calls alone have null content",
            json!([
                {"role": "assistant", "content": [{"type": "tool_use", "id": "t", "name": "f", "input": {}}]},
                {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t"}]},
            ]),
            json!([
                {"role": "assistant", "content": null, "tool_calls": [call("t", "f", "{}")]},
                {"role": "tool", "content": "", "tool_call_id": "t"},
            ]),
        ),
        (
            "messages of one role in a row are one turn",
            json!([
                {"role": "user", "content": "a"},
                {"role": "user", "content": [{"type": "text", "text": "b"}]},
                {"role": "assistant", "content": "c"},
                {"role": "assistant", "content": [{"type": "tool_use", "id": "t", "name": "f", "input": {}}]},
            ]),
            json!([
                {"role": "user", "content": "a\nb"},
                {"role": "assistant", "content": "c", "tool_calls": [call("t", "f", "{}")]},
            ]),
        ),
        (
            "images",
            json!([{"role": "user", "content": [
                {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AA=="}},
                {"type": "text", "text": "what?"}]}]),
            json!([{"role": "user", "content": [
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}},
                {"type": "text", "text": "what?"}]}]),
        ),
        (
            "documents and search results as text",
            json!([{"role": "user", "content": [
                {"type": "document", "title": "T", "context": "C", "citations": {"enabled": true},
                    "source": {"type": "text", "media_type": "text/plain", "data": "body"}},
                {"type": "document", "source": {"type": "content", "content": "plain"}},
                {"type": "search_result", "source": "https://s", "title": "S",
                    "content": [{"type": "text", "text": "found"}]}]}]),
            json!([{"role": "user", "content": "Document: T\nContext: C\nbody\nplain\nSource: https://s\nTitle: S\nfound"}]),
        ),
        (
            "a prefill stays the last message",
            json!([{"role": "user", "content": "a"}, {"role": "assistant", "content": "{\"x\":"}]),
            json!([{"role": "user", "content": "a"}, {"role": "assistant", "content": "{\"x\":"}]),
        ),
    ];
    for (what, messages, expected) in cases {
        let chat = chat(&json!({"messages": messages}));
        assert_eq!(chat["messages"], expected, "{what}");
    }
}

#[test]
fn a_prefill_is_reported() {
    let prefill = json!({"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]});
    assert!(convert(&prefill).unwrap().is_prefill);
    assert!(!convert(&json!({})).unwrap().is_prefill);
}

/// A hash per request in the first system block would defeat prompt caches.
#[test]
fn system_blocks_are_joined_without_the_billing_line() {
    let chat = chat(&json!({"system": [
        {"type": "text", "text": "x-anthropic-billing-header: cc_version=2; cch=abc;"},
        {"type": "text", "text": "You are an agent.", "cache_control": {"type": "ephemeral"}},
        {"type": "text", "text": "Be brief."}]}));
    assert_eq!(
        chat["messages"][0],
        json!({"role": "system", "content": "You are an agent.\nBe brief."})
    );
}

/// vLLM: moving it to the front changes the prefix of every later prompt.
#[test]
fn system_messages_inside_stay_where_they_are() {
    let messages = json!({"system": "first", "messages": [
        {"role": "user", "content": "a"},
        {"role": "assistant", "content": [{"type": "tool_use", "id": "t", "name": "f", "input": {}}]},
        {"role": "system", "content": [{"type": "text", "text": "note"}]},
        {"role": "user", "content": [
            {"type": "tool_result", "tool_use_id": "t", "content": "r"}, {"type": "text", "text": "b"}]}]});
    let roles = |chat: &Value| -> Vec<String> {
        let messages = chat["messages"].as_array().unwrap();
        messages
            .iter()
            .map(|message| message["role"].as_str().unwrap().to_owned())
            .collect()
    };
    let folded = chat(&messages);
    assert_eq!(
        roles(&folded),
        ["system", "user", "assistant", "tool", "user"]
    );
    assert_eq!(folded["messages"][4]["content"], "note\nb");

    let adapter = MessagesAdapter::new().with_inline_system(InlineSystem::Keep);
    let kept = json!(adapter.convert(request(&messages)).unwrap().chat);
    assert_eq!(
        roles(&kept),
        ["system", "user", "assistant", "tool", "system", "user"]
    );
    assert_eq!(kept["messages"][4]["content"], "note");
}

#[test]
fn what_has_no_effect_is_named() {
    let exchange = convert(&json!({
        "cache_control": {"type": "ephemeral"}, "service_tier": "auto", "container": null,
        "context_management": {}, "speed": "fast", "bad\r\nname": 1,
        "thinking": {"type": "adaptive", "display": "omitted"},
        "tools": [{"name": "f", "input_schema": {}, "defer_loading": true}],
        "messages": [
            {"role": "user", "content": [{"type": "text", "text": "a", "cache_control": {}}]},
            {"role": "assistant", "content": [{"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}}]},
            {"role": "user", "content": "b"}],
    }))
    .unwrap();
    assert_eq!(
        exchange.ignored.to_string(),
        "cache_control, context_management, defer_loading, server_tool_use, service_tier, speed, \
         thinking.display"
    );
}

#[test]
fn what_would_give_a_wrong_reply_is_refused() {
    let block = |block: Value| json!({"messages": [{"role": "user", "content": [block]}]});
    let cases = [
        (json!({"max_tokens": null}), "max_tokens"),
        (json!({"max_tokens": 0}), "max_tokens"),
        (json!({"model": ""}), "model"),
        (json!({"messages": []}), "messages"),
        (
            json!({"mcp_servers": [{"url": "https://x"}]}),
            "mcp_servers",
        ),
        (json!({"thread": {"type": "create"}}), "thread"),
        (json!({"thinking": {"type": "sometimes"}}), "thinking.type"),
        (
            json!({"output_config": {"format": {"type": "xml"}}}),
            "output_config.format.type",
        ),
        (
            json!({"output_config": {"format": {"type": "json_schema"}}}),
            "output_config.format.schema",
        ),
        (json!({"tool_choice": {"type": "any"}}), "tool_choice"),
        (
            json!({"tool_choice": {"type": "tool", "name": "f"}}),
            "tool_choice.name",
        ),
        (
            json!({"tool_choice": {"type": "perhaps"}}),
            "tool_choice.type",
        ),
        (json!({"tools": [{"name": "f"}]}), "tools[0].input_schema"),
        (json!({"tools": [{"input_schema": {}}]}), "tools[0].name"),
        (
            json!({"tools": [{"type": "web_search_20260209", "name": "web_search"}]}),
            "tools[0].type",
        ),
        (
            json!({"messages": [{"role": "robot", "content": "a"}]}),
            "messages[0].role",
        ),
        (
            block(json!({"type": "container_upload", "file_id": "f"})),
            "messages[0].content[0]",
        ),
        (
            block(json!({"type": "tool_use", "id": "t", "name": "f", "input": {}})),
            "messages[0].content[0]",
        ),
        (
            block(json!({"type": "image", "source": {"type": "file", "file_id": "f"}})),
            "messages[0].content[0].source",
        ),
        (
            block(json!({"type": "image", "source": {"type": "base64", "data": ""}})),
            "messages[0].content[0].source.media_type",
        ),
        (
            block(json!({"type": "document", "source":
                {"type": "base64", "media_type": "application/pdf", "data": ""}})),
            "messages[0].content[0].source",
        ),
        (
            json!({"messages": [{"role": "assistant", "content": [{"type": "tool_result", "tool_use_id": "t"}]}]}),
            "messages[0].content[0]",
        ),
    ];
    for (members, param) in cases {
        let error = convert(&members).unwrap_err();
        assert_eq!(error.param(), Some(param), "{members}");
        assert_eq!(error.status(), 400);
        assert!(error.to_string().starts_with(param), "{error}");
    }
}

/// The SDK's tool runner sends the whole history only after this code.
#[test]
fn threads_are_refused_with_the_code_of_the_sdk() {
    let error = convert(&json!({"thread": {"type": "create"}})).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    let body = json!(MessagesError::from(&error));
    assert_eq!(body["type"], "invalid_request_error");
    assert_eq!(body["details"]["error_code"], "thread_unsupported_request");
}

#[test]
fn anthropic_tools_can_be_dropped_and_files_sent() {
    let adapter = MessagesAdapter::new()
        .with_anthropic_tools(AnthropicTools::Drop)
        .with_files(true);
    let exchange = adapter
        .convert(request(&json!({
            "tools": [{"type": "web_search_20260209", "name": "web_search"}],
            "messages": [{"role": "user", "content": [{"type": "document", "title": "a.pdf",
                "source": {"type": "base64", "media_type": "application/pdf", "data": "AA=="}}]}],
        })))
        .unwrap();
    assert_eq!(exchange.ignored.to_string(), "tools.web_search_20260209");
    assert_eq!(exchange.chat.tools, None);
    let file = json!({"type": "file", "file":
        {"filename": "a.pdf", "file_data": "data:application/pdf;base64,AA=="}});
    assert_eq!(json!(exchange.chat)["messages"][0]["content"][1], file);
}

/// vllm#52088: errors of the client were reported as the server's.
#[test]
fn errors_have_the_type_of_their_status() {
    for (status, type_) in [
        (400, "invalid_request_error"),
        (401, "authentication_error"),
        (402, "billing_error"),
        (403, "permission_error"),
        (404, "not_found_error"),
        (405, "invalid_request_error"),
        (409, "conflict_error"),
        (413, "request_too_large"),
        (422, "invalid_request_error"),
        (429, "rate_limit_error"),
        (500, "api_error"),
        (502, "api_error"),
        (503, "overloaded_error"),
        (504, "timeout_error"),
        (529, "overloaded_error"),
    ] {
        assert_eq!(error_type(status), type_, "{status}");
    }
    let too_long = ErrorResponse::new("the maximum is 8192 tokens", "invalid_request_error")
        .with_code("context_length_exceeded");
    let body = json!(chat_error(400, &too_long));
    assert_eq!(body["type"], "error");
    assert_eq!(
        body["error"]["message"],
        "prompt is too long: the maximum is 8192 tokens"
    );
}

/// CLIProxyAPI#679: counts without system, tools and images were 93 % too low.
#[test]
fn counts_grow_with_every_part_of_the_prompt() {
    let count = |members: &Value| {
        let mut request = json!({"model": "m", "messages": [{"role": "user", "content": "Hi"}]});
        for (key, value) in members.as_object().unwrap() {
            request[key] = value.clone();
        }
        let request: MessagesRequest = parse(request.to_string().as_bytes()).unwrap();
        estimate_tokens(&MessagesAdapter::new().convert_prompt(request).unwrap())
    };
    let base = count(&json!({}));
    assert!((5..12).contains(&base), "{base}");
    let user = |content: Value| json!({"messages": [{"role": "user", "content": content}]});
    let tool = json!({"name": "f", "description": "Reads", "input_schema": {"type": "object"}});
    for more in [
        user(json!("Hi there")),
        user(json!("Hi!")),
        user(json!("Hi 你好")),
        json!({"system": "Be brief."}),
        json!({"tools": [tool]}),
        json!({"output_config": {"format": {"type": "json_schema", "schema": {}}}}),
        json!({"messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hi"}]}),
        user(
            json!([{"type": "text", "text": "Hi"}, {"type": "image", "source": {"type": "url", "url": "u"}}]),
        ),
    ] {
        assert!(count(&more) > base, "{more}");
    }
    let one = count(&json!({"tools": [tool]}));
    assert!(count(&json!({"tools": [tool, tool]})) > one);
}

#[test]
fn english_prose_has_between_one_and_one_and_a_half_tokens_per_word() {
    let prose = "The gateway accepts requests from many clients and forwards them to the models. ";
    let content = prose.repeat(50);
    let words = content.split_whitespace().count() as u64;
    let request = json!({"messages": [{"role": "user", "content": content}]});
    let tokens = estimate_tokens(&convert(&request).unwrap().chat);
    assert!(
        tokens > words && tokens < words * 3 / 2,
        "{tokens} for {words} words"
    );
}

fn request(members: &Value) -> MessagesRequest {
    let mut request = json!({"model": "m", "max_tokens": 16,
        "messages": [{"role": "user", "content": "Hi"}]});
    for (key, value) in members.as_object().unwrap() {
        request[key] = value.clone();
    }
    parse(request.to_string().as_bytes()).unwrap()
}

fn convert(members: &Value) -> Result<MessagesExchange, Error> {
    MessagesAdapter::new().convert(request(members))
}

fn chat(members: &Value) -> Value {
    json!(convert(members).unwrap().chat)
}
