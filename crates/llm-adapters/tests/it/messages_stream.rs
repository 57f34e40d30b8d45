//! Streams and replies of the Messages API, with a test for each mistake that other gateways made.

use crate::common::chunks::{arguments, call, delta, finish, response, usage};
use crate::common::messages::{convert, replies};
use crate::common::messages_order::{MessagesOrder, joined};
use llm_adapters::messages::replaced_arguments;
use llm_types::parse;
use serde_json::json;

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
        usage(json!({"prompt_tokens": 10, "completion_tokens": 5,
            "prompt_tokens_details": {"cached_tokens": 4}})),
    ];
    let events = convert(&replies(json!({})), chunks);
    let start = json!({"type": "message_start", "message": {
        "id": "msg_c-1", "type": "message", "role": "assistant", "model": "claude-x",
        "content": [], "stop_reason": null, "stop_sequence": null, "stop_details": null,
        "usage": {"input_tokens": 0, "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": 0, "output_tokens": 0}}});
    let expected = [
        start,
        json!({"type": "content_block_start", "index": 0,
            "content_block": {"type": "thinking", "thinking": "", "signature": ""}}),
        json!({"type": "content_block_delta", "index": 0,
            "delta": {"type": "thinking_delta", "thinking": "hm"}}),
        json!({"type": "content_block_delta", "index": 0,
            "delta": {"type": "signature_delta", "signature": "fnv108ba5b07b55ebd0e"}}),
        json!({"type": "content_block_stop", "index": 0}),
        json!({"type": "content_block_start", "index": 1,
            "content_block": {"type": "text", "text": ""}}),
        json!({"type": "content_block_delta", "index": 1,
            "delta": {"type": "text_delta", "text": "Hel"}}),
        json!({"type": "content_block_delta", "index": 1,
            "delta": {"type": "text_delta", "text": "lo"}}),
        json!({"type": "content_block_stop", "index": 1}),
        json!({"type": "content_block_start", "index": 2, "content_block":
            {"type": "tool_use", "id": "call_1", "name": "read", "input": {}}}),
        json!({"type": "content_block_delta", "index": 2,
            "delta": {"type": "input_json_delta", "partial_json": "{"}}),
        json!({"type": "content_block_delta", "index": 2,
            "delta": {"type": "input_json_delta", "partial_json": "\"path\": \"/etc\"}"}}),
        json!({"type": "content_block_stop", "index": 2}),
        json!({"type": "message_delta",
            "delta": {"stop_reason": "tool_use", "stop_sequence": null, "stop_details": null},
            "usage": {"input_tokens": 6, "cache_creation_input_tokens": 0,
                "cache_read_input_tokens": 4, "output_tokens": 5}}),
        json!({"type": "message_stop"}),
    ];
    let events: Vec<_> = events.iter().map(|event| json!(event)).collect();
    assert_eq!(json!(events), json!(expected));
}

/// litellm#32357, litellm#33224, litellm#25212.
#[test]
fn thinking_never_enters_a_text_block_and_there_is_one_message_start() {
    let chunks = [
        delta(json!({"role": "assistant"})),
        delta(json!({"content": "a"})),
        delta(json!({"reasoning_content": "b"})),
        delta(json!({"reasoning_content": "c", "content": "d"})),
        delta(json!({"role": "assistant", "content": "e"})),
        finish("stop"),
    ];
    let message = joined(&convert(&replies(json!({})), chunks));
    let types: Vec<_> = message.content.iter().map(|block| block.type_()).collect();
    assert_eq!(types, ["text", "thinking", "text"]);
    assert_eq!(json!(message.content[1])["thinking"], "bc");
    assert_eq!(json!(message.content[2])["text"], "de");
}

/// litellm#25321, litellm#25212, and speculative decoding, which puts the last arguments and
/// content into one chunk.
#[test]
fn nothing_is_lost_at_the_change_of_a_block() {
    let chunks = [
        delta(json!({"content": "first "})),
        delta(json!({"content": "text", "tool_calls": [
            {"index": 0, "id": "a", "function": {"name": "f", "arguments": "{\"x\": "}}]})),
        delta(json!({"content": "after", "tool_calls": [
            {"index": 0, "function": {"arguments": "1}"}},
            {"index": 1, "id": "b", "function": {"name": "g", "arguments": "{\"y\": 2}"}}]})),
        finish("tool_calls"),
    ];
    let message = joined(&convert(&replies(json!({})), chunks));
    let expected = json!([
        {"type": "text", "text": "first text"},
        {"type": "tool_use", "id": "a", "name": "f", "input": {"x": 1}},
        {"type": "text", "text": "after"},
        {"type": "tool_use", "id": "b", "name": "g", "input": {"y": 2}},
    ]);
    assert_eq!(json!(message.content), expected);
}

/// A part of the arguments would be a call with other arguments: such as a file that is cut at its
/// first quote.
#[test]
fn arguments_that_are_not_json_are_repaired_or_replaced_but_never_cut() {
    for (written, input, is_replaced) in [
        ("{\"a\": \"He said \"hello\" to me\"}", json!({}), true),
        ("{'a': 1}", json!({}), true),
        ("\"{\\\"a\\\": 1}\"", json!({"a": 1}), false),
        ("```json\n{\"a\": 1}\n```", json!({"a": 1}), false),
        ("{\"a\": \"two\nlines\"}", json!({"a": "two\nlines"}), false),
        ("null", json!({}), false),
        ("", json!({}), false),
    ] {
        let calls = json!({"role": "assistant", "content": null, "tool_calls": [
            {"id": "a", "type": "function", "function": {"name": "write", "arguments": written}}]});
        let chat = response(&calls, "tool_calls");
        let replaced = replaced_arguments(&chat);
        assert_eq!(
            replaced,
            if is_replaced { &["write"][..] } else { &[] },
            "{written}"
        );
        let message = replies(json!({})).reply(chat).unwrap();
        assert_eq!(json!(message.content[0])["input"], input, "{written}");

        let mut chunks = vec![call(0, "a", "write", "")];
        chunks.extend(written.chars().map(|c| arguments(0, &c.to_string())));
        chunks.push(finish("tool_calls"));
        let mut order = MessagesOrder::default();
        for event in convert(&replies(json!({})), chunks) {
            order.push(&event);
        }
        // What was already sent cannot be replaced.
        assert_eq!(order.is_failed(), written.contains("He said"), "{written}");
    }
}

#[test]
fn interleaved_calls_become_sequential_blocks() {
    let chunks = [
        call(0, "a", "f", ""),
        call(1, "b", "g", ""),
        arguments(0, "{\"x\": \"on"),
        arguments(1, "{\"y\": \"tw"),
        arguments(0, "e\"}"),
        arguments(1, "o\"}"),
        finish("tool_calls"),
    ];
    let events = convert(&replies(json!({})), chunks);
    let message = joined(&events);
    assert_eq!(json!(message.content[0])["input"], json!({"x": "one"}));
    assert_eq!(json!(message.content[1])["input"], json!({"y": "two"}));
    assert_eq!(json!(message.stop_reason), "tool_use");
}

#[test]
fn the_first_of_interleaved_calls_is_written_while_it_arrives() {
    let mut stream = replies(json!({})).stream();
    let mut push = |chunk| stream.push(chunk).count();
    assert_eq!(push(call(0, "a", "f", "")), 2); // message_start, content_block_start
    assert_eq!(push(call(1, "b", "g", "{\"y\": \"held")), 0);
    assert_eq!(push(arguments(0, "{\"x\": \"live")), 1);
    // The end of the first call, and the beginning of the second with what was held.
    assert_eq!(push(arguments(0, "\"}")), 4);
    assert_eq!(push(arguments(1, " and live")), 1);
}

#[test]
fn held_calls_are_bounded() {
    let replies = replies(json!({})).with_max_held_bytes(2000);
    let mut chunks = vec![
        call(0, "a", "f", "{\"x\": \""),
        call(1, "b", "g", "{\"y\": \""),
    ];
    chunks.extend((0..10).map(|_| arguments(0, &"live ".repeat(100))));
    let mut order = MessagesOrder::default();
    let mut stream = replies.stream();
    for chunk in chunks {
        stream.push(chunk).for_each(|event| order.push(&event));
    }
    assert!(!order.is_failed(), "text that is written is not held");
    for _ in 0..10 {
        let held = arguments(1, &"held ".repeat(100));
        stream.push(held).for_each(|event| order.push(&event));
    }
    assert!(order.is_failed() && stream.is_closed());
}

#[test]
fn truncated_and_invalid_arguments_become_objects() {
    for (arguments, input) in [
        ("", json!({})),
        ("{\"a\": [1, {\"b\": \"x", json!({"a": [1, {"b": "x"}]})),
        ("{\"a\": 1, \"b", json!({"a": 1})),
        ("nonsense", json!({})),
        ("{\"a\": 1}<|im_end|>", json!({"a": 1})),
    ] {
        let chunks = [call(0, "a", "f", arguments), finish("length")];
        let message = joined(&convert(&replies(json!({})), chunks));
        assert_eq!(json!(message.content[0])["input"], input, "{arguments}");
        assert_eq!(json!(message.stop_reason), "max_tokens");
    }
}

#[test]
fn white_space_between_calls_opens_no_block() {
    let chunks = [
        delta(json!({"content": "\n\n"})),
        call(0, "a", "f", "{}"),
        delta(json!({"content": "\n"})),
        call(1, "b", "g", "{}"),
        delta(json!({"content": " "})),
        finish("tool_calls"),
    ];
    let message = joined(&convert(&replies(json!({})), chunks));
    let types: Vec<_> = message.content.iter().map(|block| block.type_()).collect();
    assert_eq!(types, ["tool_use", "tool_use"]);

    let chunks = [
        delta(json!({"content": "\n"})),
        delta(json!({"content": "a"})),
        finish("stop"),
    ];
    let message = joined(&convert(&replies(json!({})), chunks));
    assert_eq!(json!(message.content[0])["text"], "\na");
}

#[test]
fn an_empty_reply_has_one_empty_text_block() {
    let message = joined(&convert(&replies(json!({})), [finish("stop")]));
    let expected = json!([{"type": "text", "text": ""}]);
    assert_eq!(json!(message.content), expected);
    let reply = response(&json!({"role": "assistant", "content": null}), "stop");
    let message = replies(json!({})).reply(reply).unwrap();
    assert_eq!(json!(message.content), expected);
}

#[test]
fn ids_that_clients_refuse_are_encoded_and_missing_ones_are_made() {
    let chunks = [
        call(0, "functions.Bash:0", "Bash", "{}"),
        delta(
            json!({"tool_calls": [{"index": 1, "id": null, "function": {"name": "g", "arguments": "{"}}]}),
        ),
        delta(json!({"tool_calls": [{"index": 1, "id": null, "function": {"arguments": "}"}}]})),
        finish("tool_calls"),
    ];
    let message = joined(&convert(&replies(json!({})), chunks));
    assert_eq!(
        json!(message.content[0])["id"],
        "toolu_enc_functions_2eBash_3a0"
    );
    assert_eq!(json!(message.content[1])["id"], "toolu_c-1_1");
}

#[test]
fn calls_of_engines_that_use_one_index_are_separate() {
    let chunks = [
        call(0, "a", "f", "{\"x\": 1}"),
        call(0, "b", "g", "{\"y\": 2}"),
        finish("tool_calls"),
    ];
    let message = joined(&convert(&replies(json!({})), chunks));
    assert_eq!(message.content.len(), 2);
    assert_eq!(json!(message.content[1])["input"], json!({"y": 2}));
}

/// LiteLLM and vLLM lose the parameter.
#[test]
fn disabled_parallel_calls_leave_only_the_first() {
    let tools = json!({
        "tools": [{"name": "f", "input_schema": {}}],
        "tool_choice": {"type": "auto", "disable_parallel_tool_use": true},
    });
    let chunks = [
        call(0, "a", "f", "{\"x\": "),
        call(1, "b", "g", "{\"y\": 2}"),
        arguments(0, "1}"),
        finish("tool_calls"),
    ];
    let message = joined(&convert(&replies(tools.clone()), chunks));
    assert_eq!(message.content.len(), 1);
    assert_eq!(json!(message.content[0])["input"], json!({"x": 1}));
    let calls = json!([
        {"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}},
        {"id": "b", "type": "function", "function": {"name": "g", "arguments": "{}"}},
    ]);
    let reply = response(&json!({"content": null, "tool_calls": calls}), "tool_calls");
    assert_eq!(replies(tools).reply(reply).unwrap().content.len(), 1);
}

/// vllm#45367: Claude Code drops a message without type and role.
#[test]
fn a_reply_in_one_piece_has_every_required_member() {
    let message = json!({"role": "assistant", "reasoning": "hm", "reasoning_content": "hm", "content": "Hi",
        "tool_calls": [{"id": "a", "type": "function", "function": {"name": "f", "arguments": "{\"x\": 1}"}}]});
    let reply = replies(json!({}))
        .reply(response(&message, "tool_calls"))
        .unwrap();
    let expected = json!({
        "id": "msg_c-1", "type": "message", "role": "assistant", "model": "claude-x",
        "content": [
            {"type": "thinking", "thinking": "hm", "signature": "fnv108ba5b07b55ebd0e"},
            {"type": "text", "text": "Hi"},
            {"type": "tool_use", "id": "a", "name": "f", "input": {"x": 1}},
        ],
        "stop_reason": "tool_use", "stop_sequence": null, "stop_details": null,
        "usage": {"input_tokens": 7, "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": 0, "output_tokens": 3},
    });
    assert_eq!(json!(reply), expected);
}

#[test]
fn replies_without_a_choice_or_with_a_failure_are_errors() {
    let empty = parse(br#"{"id": "x", "choices": []}"#).unwrap();
    let error = replies(json!({})).reply(empty).unwrap_err();
    assert_eq!(error.status(), 502);
    let failed = response(&json!({"content": "a"}), "error");
    assert!(replies(json!({})).reply(failed).is_err());
}
