//! The ends of Messages streams: stop reasons, usage and errors.

use crate::common::chunks::{call, chunk, delta, finish, usage};
use crate::common::messages::{convert, replies};
use crate::common::messages_order::{MessagesOrder, joined};
use llm_adapters::messages::{MessagesAdapter, MessagesReplies};
use llm_types::messages::{MessagesError, MessagesRequest};
use llm_types::{Value, parse};
use serde_json::json;

#[test]
fn finish_reasons_become_stop_reasons() {
    for (finish_reason, stop_reason) in [
        ("stop", "end_turn"),
        ("eos", "end_turn"),
        ("length", "max_tokens"),
        ("max_tokens", "max_tokens"),
        ("content_filter", "refusal"),
        ("unheard_of", "end_turn"),
    ] {
        let chunks = [delta(json!({"content": "a"})), finish(finish_reason)];
        let message = joined(&convert(&replies(json!({})), chunks));
        assert_eq!(json!(message.stop_reason), stop_reason, "{finish_reason}");
        let details = json!({"type": "refusal", "category": null, "explanation": null});
        let is_refusal = stop_reason == "refusal";
        assert_eq!(
            json!(message.stop_details),
            if is_refusal { details } else { Value::Null }
        );
    }
    // Some engines say `stop` after a tool call.
    let message = joined(&convert(
        &replies(json!({})),
        [call(0, "a", "f", "{}"), finish("stop")],
    ));
    assert_eq!(json!(message.stop_reason), "tool_use");
}

#[test]
fn a_refusal_is_text_with_its_stop_reason() {
    let chunks = [delta(json!({"refusal": "I can't."})), finish("stop")];
    let message = joined(&convert(&replies(json!({})), chunks));
    assert_eq!(json!(message.content[0])["text"], "I can't.");
    assert_eq!(json!(message.stop_reason), "refusal");
}

/// vllm#45807, exo#2122, and LiteLLM, which always reports `end_turn`.
#[test]
fn stop_sequences_are_reported() {
    let end = |extra: Value| {
        let mut choice = json!({"index": 0, "delta": {}, "finish_reason": "stop"});
        for (key, value) in extra.as_object().unwrap() {
            choice[key] = value.clone();
        }
        [
            delta(json!({"content": "a"})),
            chunk(&json!({"id": "c-1", "choices": [choice]})),
        ]
    };
    let two = json!({"stop_sequences": ["END", "STOP"]});
    let one = json!({"stop_sequences": ["END"]});
    let check = |replies: &MessagesReplies, extra: Value, reason: &str, sequence: Value| {
        let message = joined(&convert(replies, end(extra.clone())));
        assert_eq!(json!(message.stop_reason), reason, "{extra}");
        assert_eq!(json!(message.stop_sequence), sequence, "{extra}");
    };
    // The engine names the sequence.
    let named = json!({"stop_reason": "STOP"});
    check(
        &replies(two.clone()),
        named.clone(),
        "stop_sequence",
        json!("STOP"),
    );
    check(&replies(json!({})), named, "end_turn", Value::Null);
    // A token id is not a sequence.
    check(
        &replies(two.clone()),
        json!({"stop_reason": 128_009}),
        "end_turn",
        Value::Null,
    );
    // The engine distinguishes the natural end.
    let distinct = |request: &Value| replies(request.clone()).with_named_natural_ends(true);
    check(&distinct(&one), json!({}), "stop_sequence", json!("END"));
    check(&distinct(&two), json!({}), "stop_sequence", Value::Null);
    check(
        &distinct(&one),
        json!({"finish_reason": "eos"}),
        "end_turn",
        Value::Null,
    );
    check(
        &distinct(&one),
        json!({"native_finish_reason": "eos"}),
        "end_turn",
        Value::Null,
    );
    check(&replies(one), json!({}), "end_turn", Value::Null);
}

#[test]
fn an_interrupted_stream_ends_with_an_error() {
    for chunks in [
        vec![],
        vec![delta(json!({"content": "half"}))],
        vec![finish("error")],
    ] {
        let mut order = MessagesOrder::default();
        let mut stream = replies(json!({})).stream();
        for chunk in chunks {
            stream.push(chunk).for_each(|event| order.push(&event));
        }
        stream.finish().for_each(|event| order.push(&event));
        assert!(order.is_failed());
        assert_eq!(stream.finish().count(), 0);
    }
}

#[test]
fn nothing_follows_the_end() {
    let mut stream = replies(json!({})).stream();
    let mut order = MessagesOrder::default();
    let end = usage(json!({"prompt_tokens": 1, "completion_tokens": 1}));
    for chunk in [delta(json!({"content": "a"})), finish("stop"), end] {
        stream.push(chunk).for_each(|event| order.push(&event));
    }
    assert!(order.is_complete() && stream.is_closed());
    assert_eq!(stream.push(delta(json!({"content": "late"}))).count(), 0);
    assert_eq!(
        stream.fail(MessagesError::new("api_error", "late")).count(),
        0
    );
    assert_eq!(stream.finish().count(), 0);
    assert!(stream.ping().is_none());
}

#[test]
fn an_error_ends_the_stream_without_message_stop() {
    let mut stream = replies(json!({})).stream();
    let mut order = MessagesOrder::default();
    stream
        .push(delta(json!({"content": "a"})))
        .for_each(|event| order.push(&event));
    order.push(&stream.ping().unwrap());
    let error = MessagesError::new("overloaded_error", "busy");
    let events: Vec<_> = stream.fail(error).collect();
    events.iter().for_each(|event| order.push(event));
    assert!(order.is_failed());
    let expected =
        json!({"type": "error", "error": {"type": "overloaded_error", "message": "busy"}});
    assert_eq!(json!(events[0]), expected);
}

/// litellm#34819: a silent model must not delay `message_start`.
#[test]
fn a_stream_can_start_before_the_first_chunk() {
    let mut stream = replies(json!({}))
        .with_id("msg_1")
        .with_input_tokens(9)
        .stream();
    assert!(stream.ping().is_none());
    let events: Vec<_> = stream.start().collect();
    assert_eq!(json!(events[0])["message"]["usage"]["input_tokens"], 9);
    assert_eq!(stream.start().count(), 0);
    assert!(stream.ping().is_some());
    let events: Vec<_> = stream.push(delta(json!({"content": "a"}))).collect();
    assert_eq!(events[0].name(), "content_block_start");
}

/// litellm#24176: Claude Code stops at odd usage.
#[test]
fn usage_is_converted_and_never_null() {
    let cases = [
        (
            json!({"prompt_tokens": 9, "completion_tokens": 4}),
            [9, 0, 0, 4],
            None,
        ),
        // Together's flat members: more reasoning than output is possible.
        (
            json!({"prompt_tokens": 9, "completion_tokens": 16, "cached_tokens": 5, "reasoning_tokens": 18}),
            [4, 0, 5, 16],
            Some(16),
        ),
        (
            json!({"prompt_tokens": 9, "completion_tokens": 4, "prompt_tokens_details":
                {"cached_tokens": 5, "cache_write_tokens": 3}}),
            [1, 3, 5, 4],
            None,
        ),
        (
            json!({"prompt_tokens": 2, "completion_tokens": 4, "prompt_tokens_details": {"cached_tokens": 5}}),
            [0, 0, 5, 4],
            None,
        ),
        // An engine that counts nothing: the output is estimated (zed#42893).
        (json!({}), [0, 0, 0, 1], None),
        (
            json!({"prompt_tokens": null, "completion_tokens": null}),
            [0, 0, 0, 1],
            None,
        ),
    ];
    for (given, [input, created, read, output], thinking) in cases {
        let chunks = [
            delta(json!({"content": "a"})),
            finish("stop"),
            usage(given.clone()),
        ];
        let message = joined(&convert(&replies(json!({})), chunks));
        let mut expected = json!({"input_tokens": input, "cache_creation_input_tokens": created,
            "cache_read_input_tokens": read, "output_tokens": output});
        if let Some(thinking) = thinking {
            expected["output_tokens_details"] = json!({"thinking_tokens": thinking});
        }
        assert_eq!(json!(message.usage), expected, "{given}");
    }
}

#[test]
fn missing_usage_is_estimated() {
    let replies = replies(json!({})).with_input_tokens(12);
    let chunks = [
        delta(json!({"content": "several words of output"})),
        finish("stop"),
    ];
    let usage = joined(&convert(&replies, chunks)).usage;
    assert_eq!(usage.input_tokens, Some(12));
    assert!(usage.output_tokens.unwrap() >= 4);
}

/// litellm#37923: usage in every chunk must not end the stream before its finish reason.
#[test]
fn the_last_usage_counts() {
    let running = |text: &str, tokens: u64| {
        chunk(
            &json!({"id": "c-1", "choices": [{"index": 0, "delta": {"content": text}}],
            "usage": {"prompt_tokens": 3, "completion_tokens": tokens}}),
        )
    };
    let message = joined(&convert(
        &replies(json!({})),
        [running("a", 1), running("b", 2), finish("stop")],
    ));
    assert_eq!(json!(message.content[0])["text"], "ab");
    assert_eq!(message.usage.output_tokens, Some(2));
}

#[test]
fn a_stop_sequence_in_the_text_ends_the_message() {
    let request = json!({"model": "m", "max_tokens": 9, "stop_sequences": ["END", "</a>"],
        "messages": [{"role": "user", "content": "Hi"}]});
    let request: MessagesRequest = parse(request.to_string().as_bytes()).unwrap();
    let adapter = MessagesAdapter::new().with_local_stops(true);
    let exchange = adapter.convert(request).unwrap();
    assert_eq!(exchange.chat.stop, None);
    let replies = exchange.replies;
    assert!(replies.has_local_stops());
    let pieces = |texts: &[&str]| {
        let mut chunks: Vec<_> = texts
            .iter()
            .map(|text| delta(json!({"content": text})))
            .collect();
        chunks.push(finish("stop"));
        json!(joined(&convert(&replies, chunks)))
    };
    for texts in [
        &["one </", "a> two"][..],
        &["one </a> END"],
        &["one ", "<", "/a", ">"],
    ] {
        let message = pieces(texts);
        assert_eq!(message["content"][0]["text"], "one ", "{texts:?}");
        assert_eq!(message["stop_reason"], "stop_sequence");
        assert_eq!(message["stop_sequence"], "</a>");
    }
    let message = pieces(&["one </", "b> EN"]);
    assert_eq!(message["content"][0]["text"], "one </b> EN");
    assert_eq!(message["stop_reason"], "end_turn");

    let mut stream = replies.stream();
    stream.push(delta(json!({"content": "one"})));
    assert!(!stream.is_cut());
    stream.push(delta(json!({"content": "END"})));
    assert!(stream.is_cut() && stream.is_closed());
    assert_eq!(stream.finish().count(), 0);
}

#[test]
fn a_text_that_may_begin_a_stop_sequence_keeps_its_place() {
    let request = json!({"model": "m", "max_tokens": 9, "stop_sequences": ["END"],
        "messages": [{"role": "user", "content": "Hi"}]});
    let request: MessagesRequest = parse(request.to_string().as_bytes()).unwrap();
    let adapter = MessagesAdapter::new().with_local_stops(true);
    let replies = adapter.convert(request).unwrap().replies;
    let contents = |next| {
        let chunks = [
            delta(json!({"content": "the E"})),
            next,
            delta(json!({"content": "N"})),
            finish("stop"),
        ];
        json!(joined(&convert(&replies, chunks)))["content"].take()
    };
    let calls = contents(call(0, "a", "f", "{}"));
    assert_eq!(calls[0]["text"], "the E");
    assert_eq!(calls[1]["type"], "tool_use");
    let thoughts = contents(delta(json!({"reasoning": "hm"})));
    assert_eq!(thoughts[0]["text"], "the E");
    assert_eq!(thoughts[1]["thinking"], "hm");
    assert_eq!(thoughts[2]["text"], "N");
    let refusal = contents(delta(json!({"refusal": "no"})));
    assert_eq!(refusal[0]["text"], "the EnoN");
}
