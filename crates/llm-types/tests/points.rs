//! Requirements of a types crate, point by point: each test is named after a known fault of other
//! crates.
#![cfg(test)]

use std::collections::BTreeMap;

use llm_types::embeddings::EmbeddingResponse;
use llm_types::moderations::ModerationResponse;
use llm_types::rerank::RerankResponse;
use llm_types::{
    ChatChunk, ChatRequest, ChatResponse, ChunkChoice, Content, ContentPart, Delta, ErrorResponse,
    Field, FinishReason, Logprobs, Message, Model, ModelList, Role, ServiceTier, Stop, StreamItem,
    Tool, ToolCall, ToolCallDelta, ToolChoice, Usage, Value, parse,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;

#[test]
fn point_01_content_keeps_its_form_and_unknown_parts() {
    let request: ChatRequest = keeps(json!({"model": "m", "messages": [
        {"role": "user", "content": "text"},
        {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]},
        {"role": "user", "content": []},
        {"role": "user", "content": [{"type": "hologram", "z": 1, "a": {"deep": [null]}}]},
    ]}));
    let [text, parts, none, unknown] = &request.messages[..] else {
        panic!()
    };
    assert_eq!(text.text().as_deref(), Some("text"));
    assert_eq!(parts.text().as_deref(), Some("ab"));
    assert_eq!(none.text(), None);
    let Field::Value(Content::Parts(parts)) = &unknown.content else {
        panic!()
    };
    assert!(matches!(&parts[0], ContentPart::Other(map) if map.keys().eq(["type", "z", "a"])));
}

#[test]
fn point_01_errors_state_path_expected_and_found() {
    let request = |content: Value| {
        json!({"model": "m", "messages": [{"role": "system", "content": "s"},
                                          {"role": "user", "content": content}]})
    };
    let error = |body: Value| {
        let error = parse::<ChatRequest>(body.to_string().as_bytes()).unwrap_err();
        format!("{}: {}", error.path(), error.message())
    };
    for (content, expected) in [
        (
            json!(5),
            "messages[1].content: expected a string or an array of content parts, found an integer",
        ),
        (
            json!([{"type": "text"}]),
            "messages[1].content[0]: missing field `text`",
        ),
        (
            json!(["loose"]),
            "messages[1].content[0]: expected an object, found a string",
        ),
        (
            json!([{"type": "text", "text": "a"}, {"text": "b"}]),
            "messages[1].content[1]: missing field `type`",
        ),
        (
            json!([{"type": 3}]),
            "messages[1].content[0].type: expected a string, found a number",
        ),
        (
            json!([{"image_url": {"detail": "low", "url": null}, "type": "image_url"}]),
            "messages[1].content[0].image_url.url: expected a string, found null",
        ),
        (
            json!([{"type": "image_url", "image_url": "https://example.org"}]),
            "messages[1].content[0].image_url: expected an object, found a string",
        ),
    ] {
        assert_eq!(error(request(content)), expected);
    }
    assert_eq!(error(json!({"model": "m"})), ": missing field `messages`");
    assert_eq!(
        error(json!({"model": "m", "messages": "hi"})),
        "messages: expected an array, found a string"
    );
    assert_eq!(
        error(json!({"model": "m", "messages": [{"content": "hi"}]})),
        "messages[0]: missing field `role`"
    );
    assert_eq!(
        error(json!({"model": "m", "messages": [], "max_tokens": -1})),
        "max_tokens: expected a whole number of at most 18446744073709551615, found -1"
    );
    assert_eq!(
        error(json!({"model": "m", "messages": [], "stop": [1]})),
        "stop[0]: expected a string, found an integer"
    );
    assert_eq!(
        error(json!({"model": "m", "messages": [], "tools": [{"type": "function"}]})),
        "tools[0]: missing field `function`"
    );
}

#[test]
fn errors_never_show_the_text() {
    let secret = "my secret prompt, expected by nobody";
    for body in [
        json!({"model": "m", "messages": secret}),
        json!({"model": "m", "messages": [secret]}),
        json!({"model": "m", "messages": [{"role": "user", "content": [secret]}]}),
        json!({"model": "m", "messages": [{"role": "user", "content": [{"type": "file", "file": secret}]}]}),
        json!({"model": "m", "messages": [], "max_tokens": secret}),
        json!({"model": "m", "messages": [], "tools": secret}),
        json!({"model": "m", "messages": [], "stream": secret}),
        json!({"model": "m", "messages": [], "logprobs": secret}),
        json!({"model": "m", "messages": [], "tool_choice": [secret]}),
    ] {
        let error = parse::<ChatRequest>(body.to_string().as_bytes()).unwrap_err();
        assert!(
            !format!("{error} {error:?}").contains("secret"),
            "{error:?}"
        );
    }
}

#[test]
fn point_02_null_absent_and_empty_are_distinct() {
    for message in [
        json!({"role": "assistant"}),
        json!({"role": "assistant", "content": null, "refusal": null, "tool_calls": null}),
        json!({"role": "assistant", "content": "", "tool_calls": []}),
    ] {
        let choice = json!({"index": 0, "message": message, "finish_reason": null});
        for usage in [json!({}), json!({"usage": null}), json!({"usage": {}})] {
            let mut body = json!({"id": "i", "object": "chat.completion", "created": 1,
                                  "model": "m", "choices": [choice]});
            body.as_object_mut()
                .unwrap()
                .extend(usage.as_object().unwrap().clone());
            keeps::<ChatResponse>(body);
        }
        let request: ChatRequest = keeps(json!({"model": "m", "messages": [message]}));
        assert_eq!(request.messages[0].role, Role::Assistant);
    }
    // Members that OpenAI marks as required and nullable may also be null where a list is expected.
    let body = br#"{"id":null,"created":null,"model":null,"choices":[]}"#;
    assert_eq!(
        parse::<ChatResponse>(body).unwrap(),
        ChatResponse::new("", 0_u64, "")
    );
    assert!(
        parse::<ChatChunk>(br#"{"choices":null}"#)
            .unwrap()
            .choices
            .is_empty()
    );
}

#[test]
fn point_03_requests_leave_nulls_out_but_messages_keep_them() {
    let body = json!({"model": "m", "temperature": null, "stream_options": null, "stop": null,
        "max_tokens": null, "n": null, "tools": null, "messages": [
            {"role": "assistant", "content": null, "tool_calls": []},
            {"role": "assistant", "tool_calls": [{"id": "", "function": {"name": "f", "arguments": null}}]},
            {"role": "user", "content": "", "name": null}]});
    let request: ChatRequest = parse(body.to_string().as_bytes()).unwrap();
    let written = serde_json::to_value(&request).unwrap();
    assert_eq!(written["messages"], body["messages"]);
    assert_eq!(written.as_object().unwrap().len(), 2);
}

#[test]
fn point_04_built_chunks_have_no_null_that_breaks_clients() {
    let chunk = ChatChunk::new("c", 1_u64, "m").with_choice(ChunkChoice::new(
        0,
        Delta::tool_calls([
            ToolCallDelta::start(0, "call_1", "f"),
            ToolCallDelta::arguments(0, "{}"),
        ]),
    ));
    let json = serde_json::to_value(&chunk).unwrap();
    let nulls = json.to_string().matches("null").count();
    assert_eq!(nulls, 1, "only the finish reason is null in {json}");
    assert!(json["choices"][0]["finish_reason"].is_null());

    // Nulls of other engines' chunks can be removed.
    let body = json!({"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m",
        "choices": [{"index": 0, "finish_reason": null, "delta": {
            "content": null, "reasoning": null, "role": null, "function_call": {"name": null},
            "tool_calls": [{"index": 0, "id": null, "type": null, "custom": null,
                            "function": {"name": null, "arguments": "{"}}]}}]});
    let mut chunk: ChatChunk = keeps(body);
    chunk.drop_nulls();
    assert_eq!(
        serde_json::to_value(&chunk.choices[0]).unwrap(),
        json!({"index": 0, "finish_reason": null, "delta": {"function_call": {},
            "tool_calls": [{"index": 0, "function": {"arguments": "{"}}]}})
    );
    chunk.choices[0].delta.tool_calls = Field::Null;
    chunk.drop_nulls();
    assert!(chunk.choices[0].delta.tool_calls.is_absent());
}

#[test]
fn point_05_open_enums_keep_unknown_names() {
    for reason in ["stop", "eos", "", "error", "stop_sequence"] {
        let choice = json!({"index": 0, "delta": {"role": "narrator"}, "finish_reason": reason});
        let choice: ChunkChoice = keeps(choice);
        assert_eq!(choice.finish_reason.value().unwrap().as_str(), reason);
    }
    let request: ChatRequest = keeps(json!({"model": "m", "service_tier": "on_demand",
        "reasoning_effort": "heroic", "verbosity": "mute", "modalities": ["smell"],
        "messages": [{"role": "critic"}]}));
    assert_eq!(request.messages[0].role, Role::Other("critic".to_owned()));
    assert_eq!(request.service_tier, Some(ServiceTier::from("on_demand")));
    assert_eq!(FinishReason::from("eos").canonical(), FinishReason::Stop);
    assert_eq!(FinishReason::from("error").canonical().as_str(), "error");
    assert_eq!(FinishReason::from("stop"), FinishReason::Stop);
}

#[test]
fn point_06_nearly_all_members_are_optional_when_read() {
    let response: ChatResponse = parse(br#"{"choices":[{"message":{}}]}"#).unwrap();
    assert_eq!(response.object, "chat.completion");
    assert_eq!(response.choices[0].message.role, Role::Assistant);
    assert!(parse::<EmbeddingResponse>(br#"{"data":[{"embedding":[1]}]}"#).is_ok());
    assert!(parse::<RerankResponse>(br#"{"results":[]}"#).is_ok());
    let usage: Usage = keeps(json!({}));
    assert_eq!(
        (usage.prompt(), usage.completion(), usage.total()),
        (0, 0, 0)
    );
    let usage: Usage =
        keeps(json!({"prompt_tokens": 3, "reasoning_tokens": 18, "cached_tokens": 2}));
    assert_eq!(
        (usage.total(), usage.reasoning(), usage.cached()),
        (3, Some(18), Some(2))
    );
    let list: ModelList = parse(br#"[{"id":"a"},{"id":"b","organization":"B"}]"#).unwrap();
    assert_eq!(list.data[1].id, "b");
    keeps::<ModelList>(json!({"object": "list", "data": [{"id": "a"}], "has_more": false}));
    keeps::<Model>(json!({"id": "a", "created": null, "owned_by": null}));
}

#[test]
fn point_06_an_error_is_detected_before_a_chunk() {
    let message = |data: &str| match StreamItem::parse(data.as_bytes()).unwrap() {
        StreamItem::Error(error) => error.error.message,
        other => panic!("{other:?}"),
    };
    assert_eq!(
        message(r#"{"error":{"message":"a","type":"t","param":null,"code":500}}"#),
        "a"
    );
    assert_eq!(
        message(r#"{"id":"x","choices":[],"error":{"message":"b"}}"#),
        "b"
    );
    assert_eq!(message(r#"{"error":"c"}"#), "c");
    assert_eq!(message(r#"{"id":{},"error":{"message":"d"}}"#), "d");
    assert_eq!(message(r#"{"message":"e","type":"t"}"#), "e");
    let chunk = StreamItem::parse(br#"{"id":"x","choices":[],"error":null}"#).unwrap();
    assert!(matches!(chunk, StreamItem::Chunk(_)));
    assert_eq!(StreamItem::parse(b" [DONE]").unwrap(), StreamItem::Done);
}

#[test]
fn point_07_unknown_members_are_kept_in_their_order_at_every_level() {
    let text = r#"{"model":"m","messages":[{"role":"user","content":[{"type":"text","text":"t","zz":1,"aa":2}],"y":3,"b":4}],"tools":[{"type":"function","function":{"name":"f","parameters":{"z":1,"a":2},"q":5,"c":6},"p":7,"d":8}],"o":9,"e":10}"#;
    let request: ChatRequest = parse(text.as_bytes()).unwrap();
    assert_eq!(serde_json::to_string(&request).unwrap(), text);
    let text = r#"{"id":"i","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"z":1,"a":2}],"y":3,"b":4},"x":5,"c":6}],"usage":{"w":7,"d":8},"v":9,"e":10}"#;
    let chunk: ChatChunk = parse(text.as_bytes()).unwrap();
    assert_eq!(serde_json::to_string(&chunk).unwrap(), text);
}

#[test]
fn point_09_duplicate_keys_are_an_error_and_no_panic() {
    let error = parse::<ChatRequest>(br#"{"model":"a","model":"b","messages":[]}"#).unwrap_err();
    assert_eq!(error.message(), "duplicate field `model`");
    assert_eq!((error.line(), error.column()), (1, 20));
}

#[test]
fn point_10_numbers_may_be_floats() {
    let response: ChatResponse = keeps(json!({"id": "i", "object": "o", "created": 1677858242.5,
        "model": "m", "choices": []}));
    assert_eq!(response.created.as_f64(), 1677858242.5);
    let choice: ChunkChoice = parse(br#"{"index":1.0,"delta":{}}"#).unwrap();
    assert_eq!(choice.index, 1);
    let usage: Usage = parse(br#"{"prompt_tokens":7.0,"total_tokens":null}"#).unwrap();
    assert_eq!(usage.prompt_tokens, Some(7));
    assert!(parse::<Usage>(br#"{"prompt_tokens":7.5}"#).is_err());
    let rerank: RerankResponse =
        keeps(json!({"results": [], "meta": {"tokens": {"input_tokens": 7.0}}}));
    assert!(rerank.meta.is_value());
}

#[test]
fn point_10_an_absent_index_is_the_position() {
    use llm_types::completions::CompletionResponse;
    let response: CompletionResponse =
        parse(br#"{"choices":[{"text":"a"},{"text":"b"}]}"#).unwrap();
    assert_eq!(response.choices[1].index, 1);
}

#[test]
fn point_11_arguments_stay_text() {
    let call: ToolCall = keeps(json!({"id": "c", "type": "function",
        "function": {"name": "f", "arguments": "{\"number\": 132"}}));
    assert_eq!(call.arguments(), Some("{\"number\": 132"));
    // TGI once sent the object itself; OpenAI's clients require text.
    let call: ToolCall =
        parse(br#"{"function":{"name":"f","arguments":{"b":1,"a":[2]}}}"#).unwrap();
    assert_eq!(call.arguments(), Some(r#"{"b":1,"a":[2]}"#));
    keeps::<ToolCall>(json!({"function": {"name": "f", "arguments": null}}));
}

#[test]
fn point_12_stream_errors_show_the_payload() {
    let error = StreamItem::parse(b"<html>502 Bad Gateway</html>").unwrap_err();
    assert_eq!(error.payload(), "<html>502 Bad Gateway</html>");
    assert!(error.to_string().contains("502 Bad Gateway"));
    assert!(std::error::Error::source(&error).is_some());
    let long = StreamItem::parse("é".repeat(10_000).as_bytes()).unwrap_err();
    assert!(long.payload().chars().count() < 600);
}

#[test]
fn point_13_reasoning_has_two_names() {
    let body = |key: &str| json!({"index": 0, "delta": {key: "hm"}});
    for key in ["reasoning", "reasoning_content"] {
        let choice: ChunkChoice = keeps(body(key));
        assert_eq!(choice.delta.thinking(), Some("hm"));
    }
    let message = json!({"role": "assistant", "content": null, "reasoning": null,
        "reasoning_content": "hm", "reasoning_details": [{"text": "hm"}]});
    let choice: llm_types::Choice = keeps(json!({"index": 0, "message": message}));
    assert_eq!(choice.message.thinking(), Some("hm"));
    let message = Message::from(choice.message);
    assert_eq!(message.reasoning_content.as_str(), Some("hm"));
    assert!(message.extra.contains_key("reasoning_details"));
}

#[test]
fn point_14_together_logprobs_come_in_three_shapes() {
    let openai = |shape: Value| {
        let logprobs: Logprobs = keeps(shape);
        serde_json::to_value(logprobs.into_openai("hi")).unwrap()
    };
    let top = json!([{"token": "a", "logprob": -0.0000065565323, "bytes": [97]},
                     {"token": "\u{fffd}", "logprob": -3, "bytes": null}]);
    let expected = json!({"refusal": null, "content": [
        {"token": "a", "logprob": -0.0000065565323, "bytes": [97], "top_logprobs": top}]});
    assert_eq!(openai(expected.clone()), expected);
    assert_eq!(
        openai(
            json!({"tokens": ["a"], "token_logprobs": [-0.0000065565323], "token_ids": [null],
            "top_logprobs": [[{"token": "a", "logprob": -0.0000065565323},
                              {"token": "\u{fffd}", "logprob": -3}]]})
        ),
        expected
    );
    assert_eq!(
        openai(
            json!({"tokens": ["<s>", "a"], "token_logprobs": [null, -0.0000065565323],
            "top_logprobs": [null, {"a": -0.0000065565323, "\u{fffd}": -3}]})
        ),
        expected
    );
    assert_eq!(
        openai(json!(-0.5)),
        json!({"refusal": null, "content": [
            {"token": "hi", "logprob": -0.5, "bytes": [104, 105], "top_logprobs": []}]})
    );
    assert!(parse::<Logprobs>(b"true").is_err());
}

#[test]
fn point_15_large_numbers_and_nulls_of_parameters() {
    let request: ChatRequest = keeps(json!({"model": "m", "messages": [],
        "seed": 18_446_744_073_709_551_615_u64, "n": 4_294_967_296_u64, "max_tokens": 1}));
    assert_eq!(request.seed.unwrap().as_u64(), Some(u64::MAX));
    assert_eq!(
        parse::<ChatRequest>(br#"{"model":"m","messages":[],"n":null}"#)
            .unwrap()
            .n,
        None
    );
}

#[test]
fn errors_of_every_form_are_understood() {
    let parse = |body: &str| ErrorResponse::parse(body.as_bytes());
    let error =
        parse(r#"{"id":"x","error":{"message":"Unauthorized"},"error_type":"auth"}"#).unwrap();
    assert_eq!(
        serde_json::to_string(&error).unwrap(),
        r#"{"error":{"message":"Unauthorized","type":null,"param":null,"code":null},"id":"x","error_type":"auth"}"#
    );
    let error = parse(r#"{"error":{"message":["a"],"code":429,"param":"n"}}"#)
        .unwrap()
        .error;
    assert_eq!(
        (error.code().as_deref(), error.param().as_deref()),
        (Some("429"), Some("n"))
    );
    assert_eq!(error.message, r#"["a"]"#);
    for (body, message) in [
        (r#"{"detail":"Not found"}"#, "Not found"),
        (
            r#"{"detail":[{"loc":["body","n"],"msg":"too small","input":"private"},{"msg":"bad"}]}"#,
            "body.n: too small; bad",
        ),
        (r#"{"errors":[{"message":"a"},"b"]}"#, "a; b"),
        (r#"{"error":["a","b"],"error_type":"validation"}"#, "a; b"),
        (r#"[{"error":{"code":400,"message":"a"}}]"#, "a"),
    ] {
        assert_eq!(parse(body).unwrap().error.message, message, "{body}");
    }
    for body in [
        "",
        "<html>",
        "[]",
        r#"["text"]"#,
        r#"[{"message":"m"}]"#,
        r#"{"detail":[]}"#,
        r#"{"errors":[{"input":"private"}]}"#,
        "{}",
        r#"{"error":null}"#,
        r#"{"choices":[],"message":"m"}"#,
    ] {
        assert_eq!(parse(body), None, "{body}");
    }
    let error = ErrorResponse::new("No.", "invalid_request_error")
        .with_param("n")
        .with_code("bad");
    keeps::<ErrorResponse>(serde_json::to_value(error).unwrap());
}

#[test]
fn stops_are_one_or_many() {
    let stop = |stop: Value| parse::<Stop>(stop.to_string().as_bytes()).unwrap();
    assert_eq!(stop(json!("a")).as_slice(), ["a"]);
    assert_eq!(stop(json!(["a", "b"])).as_slice(), ["a", "b"]);
    assert!(stop(json!([])).as_slice().is_empty());
}

#[test]
fn a_default_list_of_models_is_a_list() {
    let list = serde_json::to_value(ModelList::default()).unwrap();
    assert_eq!(list, json!({ "object": "list", "data": [] }));
}

#[test]
fn a_moderation_may_have_a_null_id_and_model() {
    let body = br#"{"id": null, "model": null, "results": [{"flagged": true}]}"#;
    let response: ModerationResponse = parse(body).unwrap();
    assert_eq!((&*response.id, &*response.model), ("", ""));
    assert!(response.results[0].flagged);
}

/// Reads the value, and checks that it is written unchanged.
#[track_caller]
#[test]
fn tools_are_described_and_chosen() {
    let tool = Tool::function("weather", json!({"type": "object"})).with_description("Of a city.");
    let function =
        json!({"name": "weather", "description": "Of a city.", "parameters": {"type": "object"}});
    let expected = json!({"function": function, "type": "function"});
    assert_eq!(serde_json::to_value(tool).unwrap(), expected);
    let other: Tool = serde_json::from_value(json!({"type": "search"})).unwrap();
    let expected = json!({"type": "search", "description": "The web."});
    let other = other.with_description("The web.");
    assert_eq!(serde_json::to_value(other).unwrap(), expected);
    let expected = json!({"type": "function", "function": {"name": "weather"}});
    let choice = ToolChoice::function("weather");
    assert_eq!(serde_json::to_value(choice).unwrap(), expected);
}

#[test]
fn arguments_are_read_with_errors_that_quote_nothing() {
    type Place = BTreeMap<String, String>;
    let read = |arguments| ToolCall::function("1", "weather", arguments).read_arguments::<Place>();
    assert_eq!(read(r#"{"city": "Bern"}"#).unwrap()["city"], "Bern");
    // Engines send these for a function without parameters.
    assert!(read("").unwrap().is_empty());
    assert!(
        ToolCall::default()
            .read_arguments::<Place>()
            .unwrap()
            .is_empty()
    );
    for wrong in [r#"{"city": "Bern"#, r#"{"city": 5}"#, r#""Bern""#] {
        let error = read(wrong).unwrap_err();
        assert!(!error.to_string().contains("Bern"), "{error}");
        assert!(error.line() == 1, "{error}");
    }
}

fn keeps<T: DeserializeOwned + Serialize>(value: Value) -> T {
    let read: T = parse(value.to_string().as_bytes()).unwrap();
    let written = serde_json::to_string(&read).unwrap();
    assert_eq!(serde_json::from_str::<Value>(&written).unwrap(), value);
    read
}
