//! Properties of Messages streams, for any reply and any chunks.

use crate::common::chunks::{odd_delta, one_by_one, otherwise, script};
use crate::common::messages::{convert, replies};
use crate::common::messages_order::{MessagesOrder, joined};
use llm_types::messages::{Block, BlockDelta, MessagesEvent, MessagesResponse};
use llm_types::{Accumulator, StreamItem};
use proptest::prelude::*;
use proptest::sample::Index;
use serde_json::json;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn any_chunks_of_a_reply_give_the_same_events(
        pieces in script(),
        cuts in proptest::collection::vec(any::<Index>(), 1..20),
        reason in prop_oneof![Just("stop"), Just("length"), Just("tool_calls")],
    ) {
        let one = convert(&replies(json!({})), one_by_one(&pieces, reason));
        let other = convert(&replies(json!({})), otherwise(&pieces, &cuts, reason));
        joined(&one);
        joined(&other);
        prop_assert_eq!(merged(one), merged(other));
    }

    #[test]
    fn a_stream_joined_equals_the_plain_reply(
        pieces in script(),
        reason in prop_oneof![Just("stop"), Just("length"), Just("tool_calls")],
    ) {
        let chunks = one_by_one(&pieces, reason);
        let stream = joined(&convert(&replies(json!({})), chunks.clone()));
        let chat = Accumulator::from_iter(chunks).into_response();
        let plain = replies(json!({})).reply(chat).unwrap();
        prop_assert_eq!(by_kind(&stream), by_kind(&plain));
        prop_assert_eq!(stream.stop_reason, plain.stop_reason);
        prop_assert_eq!(stream.usage, plain.usage);
        prop_assert_eq!(stream.id, plain.id);
    }

    /// Wherever a stream is cut off, the events so far are in order, and an error ends them.
    #[test]
    fn a_stream_that_is_cut_off_ends_with_an_error(pieces in script(), at in any::<Index>()) {
        let chunks = one_by_one(&pieces, "stop");
        // The last two chunks have the finish reason and the usage.
        let cut = at.index(chunks.len() - 2);
        let mut stream = replies(json!({})).stream();
        let mut order = MessagesOrder::default();
        for chunk in chunks.into_iter().take(cut) {
            stream.push(chunk).for_each(|event| order.push(&event));
        }
        stream.finish().for_each(|event| order.push(&event));
        prop_assert!(order.is_failed());
    }

    /// Chunks of broken engines: any members with any values.
    #[test]
    fn no_chunk_panics_or_breaks_the_order(
        deltas in proptest::collection::vec(odd_delta(), 0..12),
        finish in any::<bool>(),
    ) {
        let mut stream = replies(json!({})).stream();
        let mut order = MessagesOrder::default();
        for delta in deltas {
            let data = format!("{{\"choices\": [{{\"index\": 0, \"delta\": {delta}}}]}}");
            if let Ok(StreamItem::Chunk(chunk)) = StreamItem::parse(data.as_bytes()) {
                stream.push(chunk).for_each(|event| order.push(&event));
            }
        }
        if finish {
            let end = crate::common::chunks::finish("stop");
            stream.push(end).for_each(|event| order.push(&event));
        }
        stream.finish().for_each(|event| order.push(&event));
        // Arguments that are not JSON end the stream with an error.
        prop_assert_eq!(order.is_complete(), finish && !order.is_failed());
    }
}

/// The events, with neighbouring deltas of the same kind joined.
fn merged(events: Vec<MessagesEvent>) -> Vec<MessagesEvent> {
    let mut merged: Vec<MessagesEvent> = Vec::new();
    for event in events {
        if let (Some(MessagesEvent::BlockDelta(last)), MessagesEvent::BlockDelta(next)) =
            (merged.last_mut(), &event)
        {
            match (&mut last.delta, &next.delta) {
                (BlockDelta::Text(last), BlockDelta::Text(next)) => {
                    last.text.push_str(&next.text);
                    continue;
                }
                (BlockDelta::Thinking(last), BlockDelta::Thinking(next)) => {
                    last.thinking.push_str(&next.thinking);
                    continue;
                }
                (BlockDelta::InputJson(last), BlockDelta::InputJson(next)) => {
                    last.partial_json.push_str(&next.partial_json);
                    continue;
                }
                _ => {}
            }
        }
        merged.push(event);
    }
    merged
}

/// The reasoning, the text and the calls: a plain chat reply does not tell how they alternated.
fn by_kind(message: &MessagesResponse) -> (String, String, Vec<String>) {
    let mut kinds = (String::new(), String::new(), Vec::new());
    for block in &message.content {
        match block {
            Block::Thinking(block) => kinds.0.push_str(&block.thinking),
            Block::Text(block) => kinds.1.push_str(&block.text),
            other => kinds.2.push(json!(other).to_string()),
        }
    }
    // White space after the last block is left out of streams.
    kinds.1 = kinds.1.trim_end().to_owned();
    kinds
}
