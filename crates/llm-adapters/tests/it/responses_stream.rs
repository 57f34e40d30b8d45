//! Streams and replies of the Responses API, with a test for each mistake that other gateways made.

use crate::common::chunks::{arguments, call, chunk, delta, finish, response, usage};
use crate::common::responses::{convert, replies};
use crate::common::responses_order::{ResponsesOrder, last_response};
use llm_adapters::responses::{ResponsesAdapter, error_code};
use llm_types::{Value, parse};
use serde_json::json;

/// litellm#22102, codex#12798, litellm#19368, litellm#32777: every delta needs the events before it.
#[test]
fn a_stream_has_the_events_of_the_specification() {
    let chunks = [
        delta(json!({"role": "assistant", "content": ""})),
        delta(json!({"reasoning": "hm"})),
        delta(json!({"content": "Hel"})),
        delta(json!({"content": "lo"})),
        call(0, "call_1", "read", ""),
        arguments(0, "{\"path\":"),
        arguments(0, " \"/etc\"}"),
        finish("tool_calls"),
        usage(
            json!({"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15,
            "prompt_tokens_details": {"cached_tokens": 4}}),
        ),
    ];
    let events = convert(&replies(json!({})), chunks);
    let types: Vec<_> = events.iter().map(|event| event.type_.as_str()).collect();
    assert_eq!(
        types,
        [
            "response.created",
            "response.in_progress",
            "response.output_item.added",
            "response.reasoning_summary_part.added",
            "response.reasoning_summary_text.delta",
            "response.reasoning_summary_text.done",
            "response.reasoning_summary_part.done",
            "response.output_item.done",
            "response.output_item.added",
            "response.content_part.added",
            "response.output_text.delta",
            "response.output_text.delta",
            "response.output_text.done",
            "response.content_part.done",
            "response.output_item.done",
            "response.output_item.added",
            "response.function_call_arguments.delta",
            "response.function_call_arguments.delta",
            "response.function_call_arguments.done",
            "response.output_item.done",
            "response.completed",
        ]
    );
    let expected = [
        (
            2,
            json!({"type": "response.output_item.added", "sequence_number": 2, "output_index": 0,
            "item": {"type": "reasoning", "id": "rs_c-1_0", "summary": [], "status": "in_progress"}}),
        ),
        (
            4,
            json!({"type": "response.reasoning_summary_text.delta", "sequence_number": 4,
            "item_id": "rs_c-1_0", "output_index": 0, "summary_index": 0, "delta": "hm"}),
        ),
        (
            7,
            json!({"type": "response.output_item.done", "sequence_number": 7, "output_index": 0,
            "item": {"type": "reasoning", "id": "rs_c-1_0",
                "summary": [{"type": "summary_text", "text": "hm"}], "status": "completed"}}),
        ),
        (
            8,
            json!({"type": "response.output_item.added", "sequence_number": 8, "output_index": 1,
            "item": {"type": "message", "id": "msg_c-1_1", "role": "assistant", "content": [],
                "status": "in_progress"}}),
        ),
        (
            10,
            json!({"type": "response.output_text.delta", "sequence_number": 10,
            "item_id": "msg_c-1_1", "output_index": 1, "content_index": 0, "delta": "Hel",
            "logprobs": []}),
        ),
        (
            13,
            json!({"type": "response.content_part.done", "sequence_number": 13,
            "item_id": "msg_c-1_1", "output_index": 1, "content_index": 0,
            "part": {"type": "output_text", "text": "Hello", "annotations": [], "logprobs": []}}),
        ),
        (
            15,
            json!({"type": "response.output_item.added", "sequence_number": 15, "output_index": 2,
            "item": {"type": "function_call", "id": "fc_c-1_2", "call_id": "call_1",
                "name": "read", "arguments": "", "status": "in_progress"}}),
        ),
        (
            18,
            json!({"type": "response.function_call_arguments.done", "sequence_number": 18,
            "item_id": "fc_c-1_2", "output_index": 2, "arguments": "{\"path\": \"/etc\"}",
            "name": "read"}),
        ),
    ];
    for (at, expected) in expected {
        assert_eq!(json!(events[at]), expected);
    }
    let response = last_response(&events);
    assert_eq!(
        json!(response.usage),
        json!({"input_tokens": 10, "input_tokens_details": {"cached_tokens": 4, "cache_write_tokens": 0}, "output_tokens": 5,
            "output_tokens_details": {"reasoning_tokens": 0}, "total_tokens": 15})
    );
    assert_eq!(json!(response.completed_at), json!(5));
    assert_eq!(response.id, "resp_c-1");
}

/// llm-rosetta#56, litellm#32724, litellm#38719, sap-ai-core-llm-proxy#35.
#[test]
fn the_last_event_repeats_the_output_and_the_request() {
    let request = json!({"instructions": "Be brief.", "temperature": 0.5, "metadata": {"a": "b"},
        "reasoning": {"effort": "low"}, "store": true, "max_output_tokens": 9,
        "tools": [{"type": "function", "name": "f"}], "text": {"verbosity": "low"}});
    let chunks = [delta(json!({"content": "Hi"})), finish("stop")];
    let response = json!(last_response(&convert(&replies(request), chunks)));
    assert_eq!(response["output"][0]["content"][0]["text"], "Hi");
    let expected = json!({"instructions": "Be brief.", "temperature": 0.5, "top_p": 1.0,
        "metadata": {"a": "b"}, "reasoning": {"effort": "low", "summary": null}, "store": false,
        "max_output_tokens": 9, "text": {"verbosity": "low", "format": {"type": "text"}},
        "tools": [{"type": "function", "name": "f", "description": null, "parameters": null,
            "strict": null}], "model": "m", "truncation": "disabled", "service_tier": "default"});
    for (key, value) in expected.as_object().unwrap() {
        assert_eq!(&response[key], value, "{key}");
    }
}

/// opencodex#4652: an engine sends the arguments at once.
#[test]
fn whole_arguments_have_a_delta() {
    let chunks = [
        call(0, "a", "f", "{\"x\": 1}"),
        call(1, "b", "g", ""),
        finish("tool_calls"),
    ];
    let events = convert(&replies(json!({})), chunks);
    let deltas: Vec<_> = events
        .iter()
        .filter_map(|event| event.delta.as_deref())
        .collect();
    assert_eq!(deltas, ["{\"x\": 1}", "{}"]);
    last_response(&events);
}

#[test]
fn interleaved_calls_stay_interleaved() {
    let mut stream = replies(json!({})).stream();
    let mut order = ResponsesOrder::default();
    let chunks = [
        call(0, "a", "f", ""),
        call(1, "b", "g", ""),
        arguments(0, "{\"x\": "),
        arguments(1, "{\"y\": "),
        arguments(0, "1}"),
        arguments(1, "2}"),
    ];
    let mut indices = Vec::new();
    for chunk in chunks {
        for event in stream.push(chunk) {
            order.push(&event);
            if event.delta.is_some() {
                indices.push(event.output_index.unwrap());
            }
        }
    }
    assert_eq!(indices, [0, 1, 0, 1]);
    stream
        .push(finish("tool_calls"))
        .for_each(|event| order.push(&event));
    stream.finish().for_each(|event| order.push(&event));
    let output = json!(order.into_response().output);
    assert_eq!(output[0]["arguments"], "{\"x\": 1}");
    assert_eq!(output[1]["arguments"], "{\"y\": 2}");
}

/// vLLM: the names of namespaces have to come back.
#[test]
fn namespaces_and_custom_tools_come_back() {
    let tools = json!({"tools": [
        {"type": "namespace", "name": "agents", "description": "Agents", "tools": [
            {"type": "function", "name": "spawn", "parameters": {}},
            {"type": "custom", "name": "note"}]},
        {"type": "custom", "name": "apply_patch", "format": {"type": "grammar", "syntax": "lark", "definition": "start: x"}},
    ]});
    let chunks = [
        call(0, "a", "agents__spawn", "{}"),
        call(1, "b", "apply_patch", "{\"inp"),
        arguments(1, "ut\": \"*** Begin\\n"),
        arguments(1, "\\u00e9nd\"}"),
        call(2, "c", "agents__note", "no json"),
        finish("tool_calls"),
    ];
    let events = convert(&replies(tools), chunks);
    let output = json!(last_response(&events).output);
    let expected = json!([
        {"type": "function_call", "id": "fc_c-1_0", "call_id": "a", "name": "spawn",
            "namespace": "agents", "arguments": "{}", "status": "completed"},
        {"type": "custom_tool_call", "id": "ctc_c-1_1", "call_id": "b", "name": "apply_patch",
            "input": "*** Begin\nénd", "status": "completed"},
        {"type": "custom_tool_call", "id": "ctc_c-1_2", "call_id": "c", "name": "note",
            "namespace": "agents", "input": "no json", "status": "completed"},
    ]);
    assert_eq!(output, expected);
    let deltas: Vec<_> = events
        .iter()
        .filter(|event| event.type_ == "response.custom_tool_call_input.delta")
        .filter_map(|event| event.delta.as_deref())
        .collect();
    assert_eq!(deltas, ["*** Begin\n", "énd", "no json"]);
}

#[test]
fn ids_of_calls_are_unique_in_a_conversation() {
    let chunks = [
        call(0, "functions.f:0", "f", "{}"),
        call(1, "", "g", "{}"),
        call(2, "same", "h", "{}"),
        call(3, "same", "i", "{}"),
        finish("tool_calls"),
    ];
    let output = json!(last_response(&convert(&replies(json!({})), chunks)).output);
    let ids: Vec<_> = (0..4)
        .map(|at| output[at]["call_id"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(
        ids,
        ["functions.f:0~r.c-1", "call_c-1_1", "same", "same~r.c-1_3"]
    );
    // The upstream sees its own ids again.
    let input = json!([
        {"type": "function_call", "call_id": ids[0], "name": "f", "arguments": "{}"},
        {"type": "function_call_output", "call_id": ids[0], "output": "r"},
    ]);
    let request = json!({"model": "m", "input": input});
    let request = parse(request.to_string().as_bytes()).unwrap();
    let chat = json!(ResponsesAdapter::new().convert(request).unwrap().chat);
    assert_eq!(chat["messages"][0]["tool_calls"][0]["id"], "functions.f:0");
    assert_eq!(chat["messages"][1]["tool_call_id"], "functions.f:0");
}

#[test]
fn finish_reasons_become_statuses() {
    for (reason, status, details) in [
        ("stop", "completed", Value::Null),
        ("eos", "completed", Value::Null),
        ("tool_calls", "completed", Value::Null),
        (
            "length",
            "incomplete",
            json!({"reason": "max_output_tokens"}),
        ),
        (
            "content_filter",
            "incomplete",
            json!({"reason": "content_filter"}),
        ),
        ("error", "failed", Value::Null),
    ] {
        let chunks = [delta(json!({"content": "a"})), finish(reason)];
        let events = convert(&replies(json!({})), chunks);
        let response = last_response(&events);
        assert_eq!(json!(response.status), status, "{reason}");
        assert_eq!(json!(response.incomplete_details), details, "{reason}");
        let item = json!(response.output[0]);
        let is_completed = status == "completed";
        assert_eq!(
            item["status"],
            if is_completed {
                "completed"
            } else {
                "incomplete"
            }
        );
    }
}

#[test]
fn refusals_are_parts_of_their_own() {
    let chunks = [
        delta(json!({"content": "Well. "})),
        delta(json!({"refusal": "I "})),
        delta(json!({"refusal": "can't."})),
        finish("stop"),
    ];
    let output = json!(last_response(&convert(&replies(json!({})), chunks)).output);
    assert_eq!(output[0]["content"][0]["text"], "Well. ");
    assert_eq!(
        output[0]["content"][1],
        json!({"type": "refusal", "refusal": "I can't."})
    );
}

#[test]
fn empty_replies_have_one_empty_message_and_white_space_opens_none() {
    let output = json!(last_response(&convert(&replies(json!({})), [finish("stop")])).output);
    assert_eq!(output[0]["content"][0]["text"], "");
    let chunks = [
        delta(json!({"content": "\n"})),
        call(0, "a", "f", "{}"),
        delta(json!({"content": "\n"})),
        call(1, "b", "g", "{}"),
        finish("tool_calls"),
    ];
    let response = last_response(&convert(&replies(json!({})), chunks));
    let types: Vec<_> = response.output.iter().map(|item| item.type_()).collect();
    assert_eq!(types, ["function_call", "function_call"]);
}

#[test]
fn only_one_call_if_parallel_calls_are_disabled() {
    let request =
        json!({"parallel_tool_calls": false, "tools": [{"type": "function", "name": "f"}]});
    let chunks = [
        call(0, "a", "f", "{\"x\": "),
        call(1, "b", "g", "{}"),
        arguments(0, "1}"),
        arguments(1, "{}"),
        finish("tool_calls"),
    ];
    let output = last_response(&convert(&replies(request), chunks)).output;
    assert_eq!(output.len(), 1);
    assert_eq!(json!(output)[0]["arguments"], "{\"x\": 1}");
}

#[test]
fn log_probabilities_are_included_on_request() {
    let token = json!({"token": "a", "logprob": -0.5, "bytes": [97], "top_logprobs": []});
    let content = || {
        chunk(
            &json!({"id": "c-1", "choices": [{"index": 0, "delta": {"content": "a"},
            "logprobs": {"content": [token]}}]}),
        )
    };
    let include = json!({"include": ["message.output_text.logprobs"]});
    for (request, count) in [(include, 1), (json!({}), 0)] {
        let events = convert(&replies(request), [content(), finish("stop")]);
        let output = json!(last_response(&events).output);
        let logprobs = output[0]["content"][0]["logprobs"].as_array().unwrap();
        assert_eq!(logprobs.len(), count);
        if count > 0 {
            assert_eq!(logprobs[0]["logprob"], -0.5);
        }
    }
}

#[test]
fn interrupted_and_failed_streams_end_with_response_failed() {
    for chunks in [vec![], vec![delta(json!({"content": "half"}))]] {
        let mut stream = replies(json!({})).stream();
        let mut order = ResponsesOrder::default();
        let is_empty = chunks.is_empty();
        for chunk in chunks {
            stream.push(chunk).for_each(|event| order.push(&event));
        }
        stream.finish().for_each(|event| order.push(&event));
        assert_eq!(stream.fail("server_error", "late").count(), 0);
        let response = json!(order.into_response());
        assert_eq!(response["error"]["code"], "server_error");
        // The output so far.
        assert_eq!(response["output"].as_array().unwrap().is_empty(), is_empty);
    }
    let mut stream = replies(json!({})).stream();
    let code = error_code(429, None);
    let events: Vec<_> = stream.fail(code, "try again in 1.5s").collect();
    let error = json!({"code": "rate_limit_exceeded", "message": "try again in 1.5s"});
    assert_eq!(json!(last_response(&events).error), error);
}

#[test]
fn errors_have_the_codes_that_codex_reads() {
    for (status, code, expected) in [
        (
            400,
            Some("context_length_exceeded"),
            "context_length_exceeded",
        ),
        (429, Some("insufficient_quota"), "insufficient_quota"),
        (429, None, "rate_limit_exceeded"),
        (400, None, "invalid_prompt"),
        (503, Some("overloaded"), "server_error"),
    ] {
        assert_eq!(error_code(status, code), expected);
    }
}

#[test]
fn the_output_is_bounded() {
    let mut stream = replies(json!({})).with_max_output_bytes(100).stream();
    let mut order = ResponsesOrder::default();
    for _ in 0..20 {
        let text = delta(json!({"content": "ten bytes "}));
        stream.push(text).for_each(|event| order.push(&event));
    }
    assert!(stream.is_closed());
    assert_eq!(json!(order.into_response().status), "failed");
}

#[test]
fn a_stream_can_start_before_the_first_chunk() {
    let mut stream = replies(json!({})).with_id("resp_1").stream();
    assert_eq!(stream.start(9).count(), 2);
    assert_eq!(stream.start(9).count(), 0);
    let events: Vec<_> = stream.push(delta(json!({"content": "a"}))).collect();
    assert_eq!(events[0].type_, "response.output_item.added");
    assert_eq!(json!(events[0])["item"]["id"], "msg_1_0");
    stream.set_completed_at(12);
    stream.push(finish("stop")).for_each(drop);
    let last = stream.finish().next_back().unwrap();
    let response = last.response.unwrap();
    assert_eq!(
        (json!(response.created_at), json!(response.completed_at)),
        (json!(9), json!(12))
    );
}

#[test]
fn the_callers_times_win_over_the_upstreams() {
    let replies = replies(json!({})).with_created_at(7).with_completed_at(8);
    let chat = response(&json!({"role": "assistant", "content": "a"}), "stop");
    let reply = json!(replies.clone().reply(chat).unwrap());
    assert_eq!(
        (&reply["created_at"], &reply["completed_at"]),
        (&json!(7), &json!(8))
    );
    let events = convert(&replies, [delta(json!({"content": "a"})), finish("stop")]);
    for event in events.iter().filter_map(|event| event.response.as_ref()) {
        assert_eq!(json!(event.created_at), 7);
    }
}

#[test]
fn missing_usage_is_estimated_and_reasoning_is_at_most_the_output() {
    let chunks = [
        delta(json!({"content": "several words of output"})),
        finish("stop"),
        usage(json!({})),
    ];
    let replies_with_estimate = replies(json!({})).with_input_tokens(12);
    let usage_of = |response: &Value| response["usage"].clone();
    let usage_found = usage_of(&json!(last_response(&convert(
        &replies_with_estimate,
        chunks
    ))));
    assert_eq!(usage_found["input_tokens"], 12);
    assert!(usage_found["output_tokens"].as_u64().unwrap() >= 4);
    let together = usage(
        json!({"prompt_tokens": 9, "completion_tokens": 16, "total_tokens": 25,
        "cached_tokens": 5, "reasoning_tokens": 18}),
    );
    let chunks = [delta(json!({"content": "a"})), finish("stop"), together];
    let found = usage_of(&json!(last_response(&convert(&replies(json!({})), chunks))));
    assert_eq!(found["output_tokens_details"]["reasoning_tokens"], 16);
    assert_eq!(found["input_tokens_details"]["cached_tokens"], 5);
}

#[test]
fn a_reply_in_one_piece_has_the_items_in_order() {
    let message = json!({"role": "assistant", "reasoning": "hm", "content": "Hi",
        "tool_calls": [{"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}}]});
    let reply = replies(json!({}))
        .reply(response(&message, "tool_calls"))
        .unwrap();
    let types: Vec<_> = reply.output.iter().map(|item| item.type_()).collect();
    assert_eq!(types, ["reasoning", "message", "function_call"]);
    assert_eq!(json!(reply.status), "completed");
    assert_eq!(json!(reply.created_at), json!(5));
    let failed = response(&json!({"content": "a"}), "error");
    assert_eq!(replies(json!({})).reply(failed).unwrap_err().status(), 502);
    let empty = parse(br#"{"id": "x", "choices": []}"#).unwrap();
    assert!(replies(json!({})).reply(empty).is_err());
}

/// Without a store, the AI SDK drops reasoning that has no `encrypted_content`.
#[test]
fn reasoning_is_sent_as_encrypted_content_if_requested() {
    let include = json!({"include": ["reasoning.encrypted_content"]});
    let chunks = || {
        [
            delta(json!({"reasoning": "hm"})),
            delta(json!({"content": "a"})),
            finish("stop"),
        ]
    };
    for (members, expected) in [(include, json!("plain.hm")), (json!({}), Value::Null)] {
        let events = convert(&replies(members), chunks());
        let last = json!(events.last().unwrap().response);
        assert_eq!(last["output"][0]["encrypted_content"], expected);
    }
}
