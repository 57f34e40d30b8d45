//! Any request and any chunks: nothing panics, and the events of both APIs keep the order that the
//! tests check.
//!
//! The first line is a request of either API, and each other line a chunk of the reply.
//! `cargo +nightly fuzz run convert` in `crates/llm-adapters` begins with `fuzz/corpus/convert`.
#![no_main]

#[path = "../../tests/it/common/messages_order.rs"]
#[allow(dead_code, reason = "the tests use the rest")]
mod messages_order;
#[path = "../../tests/it/common/responses_order.rs"]
#[allow(dead_code, reason = "the tests use the rest")]
mod responses_order;

use libfuzzer_sys::fuzz_target;
use llm_adapters::estimate_tokens;
use llm_adapters::messages::{MessagesAdapter, MessagesReplies};
use llm_adapters::responses::{ResponsesAdapter, ResponsesReplies};
use llm_types::messages::{InputMessage, MessagesRequest};
use llm_types::responses::ResponsesRequest;
use llm_types::{Accumulator, ChatChunk, ChatRequest, StreamItem, parse};
use messages_order::MessagesOrder;
use responses_order::ResponsesOrder;

fuzz_target!(|text: &[u8]| {
    let mut lines = text.split(|byte| *byte == b'\n');
    let request = lines.next().unwrap_or_default();
    let chunks = lines.filter_map(|line| match StreamItem::parse(line) {
        Ok(StreamItem::Chunk(chunk)) => Some(chunk),
        _ => None,
    });
    let chunks: Vec<ChatChunk> = chunks.collect();
    let has_finish = chunks.iter().any(|chunk| {
        let mut choices = chunk.choices.iter();
        choices.any(|choice| choice.index == 0 && choice.finish_reason.is_value())
    });

    let replies = messages(request);
    for replies in [replies.clone().with_named_natural_ends(true), replies] {
        let mut stream = replies.clone().stream();
        let mut order = MessagesOrder::default();
        for chunk in &chunks {
            stream.push(chunk.clone()).for_each(|event| order.push(&event));
        }
        stream.finish().for_each(|event| order.push(&event));
        assert!(order.is_complete() || order.is_failed());
        assert!(has_finish || stream.is_cut() || order.is_failed());
        let _ = replies.reply(Accumulator::from_iter(chunks.clone()).into_response());
    }

    let replies = responses(request);
    let mut stream = replies.clone().stream();
    let mut order = ResponsesOrder::default();
    for chunk in &chunks {
        stream.push(chunk.clone()).for_each(|event| order.push(&event));
    }
    stream.finish().for_each(|event| order.push(&event));
    assert!(stream.is_closed());
    drop(order.into_response());
    let _ = replies.reply(Accumulator::from_iter(chunks).into_response());
});

/// The replies to the request, or to a simple one if it is refused.
fn messages(request: &[u8]) -> MessagesReplies {
    let adapter = MessagesAdapter::new().with_local_stops(true);
    if let Ok(request) = parse::<MessagesRequest>(request) {
        match adapter.convert(request.clone()) {
            Ok(exchange) => {
                check(&exchange.chat);
                return exchange.replies;
            }
            Err(error) => drop(error.to_string()),
        }
        let _ = adapter.convert_prompt(request);
    }
    let simple = MessagesRequest::new("m", 9, [InputMessage::new("user", "Hi")]);
    adapter.convert(simple).unwrap().replies
}

fn responses(request: &[u8]) -> ResponsesReplies {
    let adapter = ResponsesAdapter::new();
    if let Ok(request) = parse::<ResponsesRequest>(request) {
        match adapter.convert(request) {
            Ok(exchange) => {
                check(&exchange.chat);
                return exchange.replies;
            }
            Err(error) => drop(error.to_string()),
        }
    }
    let simple = parse(br#"{"model": "m", "input": "Hi"}"#).unwrap();
    adapter.convert(simple).unwrap().replies
}

/// What was converted can be sent and counted.
fn check(chat: &ChatRequest) {
    let text = serde_json::to_vec(chat).unwrap();
    assert!(parse::<ChatRequest>(&text).is_ok());
    assert!(estimate_tokens(chat) > 0);
}
