//! Properties of Responses streams, for any reply and any chunks.

use crate::common::chunks::{odd_delta, one_by_one, otherwise, script};
use crate::common::responses::{self, convert};
use crate::common::responses_order::{ResponsesOrder, last_response};
use llm_adapters::responses::ResponsesReplies;
use llm_types::responses::{Item, ItemContent, ResponsesEvent, ResponsesResponse};
use llm_types::{Accumulator, StreamItem};
use proptest::prelude::*;
use proptest::sample::Index;
use serde_json::{Value, json};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn any_chunks_of_a_reply_give_the_same_events(
        pieces in script(),
        cuts in proptest::collection::vec(any::<Index>(), 1..20),
        reason in prop_oneof![Just("stop"), Just("length"), Just("tool_calls")],
    ) {
        let one = convert(&replies(), one_by_one(&pieces, reason));
        let other = convert(&replies(), otherwise(&pieces, &cuts, reason));
        prop_assert_eq!(without_time(&last_response(&one)), without_time(&last_response(&other)));
        prop_assert_eq!(merged(&one), merged(&other));
    }

    #[test]
    fn a_stream_joined_equals_the_plain_reply(
        pieces in script(),
        reason in prop_oneof![Just("stop"), Just("length"), Just("tool_calls")],
    ) {
        let chunks = one_by_one(&pieces, reason);
        let stream = last_response(&convert(&replies(), chunks.clone()));
        let chat = Accumulator::from_iter(chunks).into_response();
        let plain = replies().reply(chat).unwrap();
        prop_assert_eq!(by_kind(&stream), by_kind(&plain));
        prop_assert_eq!(stream.status, plain.status);
        prop_assert_eq!(stream.usage, plain.usage);
        prop_assert_eq!(stream.id, plain.id);
    }

    /// Wherever a stream is cut off, the events so far are in order, and a failure ends them.
    #[test]
    fn a_stream_that_is_cut_off_fails(pieces in script(), at in any::<Index>()) {
        let chunks = one_by_one(&pieces, "stop");
        // The last two chunks have the finish reason and the usage.
        let cut = at.index(chunks.len() - 2);
        let mut stream = replies().stream();
        let mut order = ResponsesOrder::default();
        for chunk in chunks.into_iter().take(cut) {
            stream.push(chunk).for_each(|event| order.push(&event));
        }
        stream.finish().for_each(|event| order.push(&event));
        prop_assert_eq!(json!(order.into_response().status), "failed");
    }

    /// Chunks of broken engines.
    #[test]
    fn no_chunk_panics_or_breaks_the_order(
        deltas in proptest::collection::vec(odd_delta(), 0..12),
        finish in any::<bool>(),
    ) {
        let mut stream = replies().stream();
        let mut order = ResponsesOrder::default();
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
        let status = if finish { "completed" } else { "failed" };
        prop_assert_eq!(json!(order.into_response().status), status);
    }
}

/// The second tool of a script is a custom one.
fn replies() -> ResponsesReplies {
    responses::replies(json!({"tools": [{"type": "custom", "name": "tool_1"}]}))
}

fn without_time(response: &ResponsesResponse) -> Value {
    let mut response = json!(response);
    response["created_at"] = Value::Null;
    response["completed_at"] = Value::Null;
    response
}

/// The events about items, with neighbouring deltas of the same item joined, without numbers.
fn merged(events: &[ResponsesEvent]) -> Vec<Value> {
    let mut merged: Vec<Value> = Vec::new();
    for event in events.iter().filter(|event| event.response.is_none()) {
        let mut event = json!(event);
        event["sequence_number"] = Value::Null;
        if let (Some(last), Some(delta)) = (merged.last_mut(), event["delta"].as_str())
            && last["type"] == event["type"]
            && last["item_id"] == event["item_id"]
        {
            let joined = format!("{}{delta}", last["delta"].as_str().unwrap());
            last["delta"] = joined.into();
            continue;
        }
        merged.push(event);
    }
    merged
}

/// The reasoning, the text and the calls: a plain chat reply does not tell how they alternated.
fn by_kind(response: &ResponsesResponse) -> (String, String, Vec<String>) {
    let mut kinds = (String::new(), String::new(), Vec::new());
    for item in &response.output {
        match item {
            Item::Reasoning(item) => {
                let parts = item.summary.iter();
                kinds.0.extend(parts.filter_map(|part| part.as_text()));
            }
            Item::Message(item) => match &item.content {
                ItemContent::Parts(parts) => {
                    kinds
                        .1
                        .extend(parts.iter().filter_map(|part| part.as_text()));
                }
                other => panic!("{other:?}"),
            },
            call => {
                // Positions differ if text came between calls, and so does the last item's status.
                let mut call = json!(call);
                call["id"] = Value::Null;
                call["status"] = Value::Null;
                kinds.2.push(call.to_string());
            }
        }
    }
    // White space after the last item is left out of streams.
    kinds.1 = kinds.1.trim_end().to_owned();
    kinds
}
