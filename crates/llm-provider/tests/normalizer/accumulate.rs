//! The accumulated chunks of a normalized stream equal the normalized reply in one piece.

use llm_provider::endpoint::{Chat, Completions};
use llm_provider::{Document, Endpoint, Metadata};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use serde_json::{Value, json};

use crate::config;
use crate::streams::normalize;

/// One choice of a reply, in the pieces in which an upstream streams it.
#[derive(Clone, Debug)]
struct ChoicePieces {
    reasoning: Vec<String>,
    content: Vec<String>,
    /// The arguments of each tool call.
    calls: Vec<Vec<String>>,
    reason: String,
}

/// How an upstream writes a stream.
#[derive(Clone, Debug)]
struct Style {
    /// Chunks of several choices alternate in this order.
    order: Vec<Index>,
    /// The usage is beside the last finish reason, not in a separate chunk.
    usage_beside: bool,
    /// The last finish reason is sent twice.
    repeats_finish: bool,
    /// A null stands where there is nothing to add.
    nulls: bool,
    /// The text of a completion is in `delta.content`, as Together sends it.
    delta: bool,
}

proptest! {
    #![proptest_config(config(1_000))]

    #[test]
    fn the_chunks_of_a_chat_add_up_to_its_reply(
        choices_in_pieces in vec(choice_pieces(), 1..4),
        style in style(),
    ) {
        let choices = choices_in_pieces.iter().enumerate().map(|(index, choice)| {
            json!({
                "index": index,
                "message": message(choice),
                "logprobs": null,
                "finish_reason": choice.reason,
            })
        });
        let reply = whole("chat.completion", choices.collect());
        let pieces = choices_in_pieces.iter().enumerate().map(|(index, choice)| chat_pieces(index, choice, &style));
        let chunks = chunks("chat.completion.chunk", pieces.collect(), &style);
        check(&Chat, &reply, &chunks)?;
    }

    #[test]
    fn the_chunks_of_a_completion_add_up_to_its_reply(
        choices_in_pieces in vec(choice_pieces(), 1..4),
        style in style(),
    ) {
        let choices = choices_in_pieces.iter().enumerate().map(|(index, choice)| {
            json!({
                "index": index,
                "text": choice.content.concat(),
                "logprobs": null,
                "finish_reason": choice.reason,
            })
        });
        let reply = whole("text_completion", choices.collect());
        let pieces = choices_in_pieces.iter().enumerate().map(|(index, choice)| text_pieces(index, choice, &style));
        let chunks = chunks("text_completion", pieces.collect(), &style);
        check(&Completions, &reply, &chunks)?;
    }
}

fn check(
    endpoint: &'static dyn Endpoint,
    reply: &Value,
    chunks: &[Value],
) -> Result<(), TestCaseError> {
    let request = Document::new(&json!({ "model": "m" }));
    let mut metadata = Metadata::new("acme", "m");
    let plain = endpoint.normalize(&request, Document::new(reply), &mut metadata);
    let texts: Vec<_> = chunks.iter().map(Value::to_string).collect();
    let (normalized, end) = normalize(endpoint, &texts, false);
    prop_assert!(end.is_none(), "{end:?}");
    prop_assert!(normalized.last().unwrap().usage().is_some());
    let mut accumulator = endpoint.accumulator().unwrap();
    for chunk in &normalized {
        accumulator.push(chunk).unwrap();
    }
    let plain: Value = plain.unwrap().read().unwrap();
    let sum: Value = accumulator.finish().read().unwrap();
    prop_assert_eq!(sum, plain);
    Ok(())
}

fn choice_pieces() -> impl Strategy<Value = ChoicePieces> {
    let pieces = |most| vec(".{1,5}", 0..most);
    let reason = select(REASONS).prop_map(str::to_owned);
    let calls = vec(vec(".{0,6}", 1..4), 0..3);
    (pieces(3), vec(".{1,5}", 1..5), calls, reason).prop_map(
        |(reasoning, content, calls, reason)| ChoicePieces {
            reasoning,
            content,
            calls,
            reason,
        },
    )
}

fn style() -> impl Strategy<Value = Style> {
    let order = vec(any::<Index>(), 40);
    (order, any::<[bool; 4]>()).prop_map(|(order, [usage_beside, repeats_finish, nulls, delta])| {
        Style {
            order,
            usage_beside,
            repeats_finish,
            nulls,
            delta,
        }
    })
}

fn message(choice: &ChoicePieces) -> Value {
    let mut message = json!({
        "role": "assistant",
        "content": choice.content.concat(),
        "refusal": null,
    });
    if !choice.reasoning.is_empty() {
        message["reasoning"] = choice.reasoning.concat().into();
    }
    if !choice.calls.is_empty() {
        let calls = choice.calls.iter().enumerate();
        let calls: Vec<_> = calls
            .map(|(index, arguments)| call(index, &arguments.concat()))
            .collect();
        message["tool_calls"] = calls.into();
    }
    message
}

fn call(index: usize, arguments: &str) -> Value {
    let function = json!({ "name": "weigh", "arguments": arguments });
    json!({ "id": format!("call_{index}"), "type": "function", "function": function })
}

/// The pieces of a choice; the last one finishes it.
fn chat_pieces(index: usize, choice: &ChoicePieces, style: &Style) -> Vec<Value> {
    let mut deltas = vec![json!({ "role": "assistant", "content": "" })];
    deltas.extend(choice.reasoning.iter().map(|text| {
        let mut delta = json!({ "reasoning": text });
        if style.nulls {
            delta["content"] = Value::Null;
        }
        delta
    }));
    deltas.extend(choice.content.iter().map(|text| json!({ "content": text })));
    for (index, arguments) in choice.calls.iter().enumerate() {
        for (at, piece) in arguments.iter().enumerate() {
            let mut call = if at == 0 {
                call(index, piece)
            } else {
                json!({ "function": { "arguments": piece } })
            };
            call["index"] = index.into();
            if at > 0 && style.nulls {
                call["id"] = Value::Null;
                call["function"]["name"] = Value::Null;
            }
            deltas.push(json!({ "tool_calls": [call] }));
        }
    }
    let piece = |delta| json!({ "index": index, "delta": delta, "finish_reason": null });
    let mut pieces: Vec<_> = deltas.into_iter().map(piece).collect();
    finish(&mut pieces, piece(json!({})), choice, style);
    pieces
}

fn text_pieces(index: usize, choice: &ChoicePieces, style: &Style) -> Vec<Value> {
    let piece = |text: &str| {
        let mut piece = json!({
            "index": index, "text": text, "logprobs": null, "finish_reason": null,
        });
        if style.delta {
            piece["text"] = "".into();
            piece["delta"] = json!({ "content": text });
        }
        piece
    };
    let mut pieces: Vec<_> = choice.content.iter().map(|text| piece(text)).collect();
    finish(&mut pieces, piece(""), choice, style);
    pieces
}

fn finish(pieces: &mut Vec<Value>, mut last: Value, choice: &ChoicePieces, style: &Style) {
    last["finish_reason"] = choice.reason.as_str().into();
    pieces.push(last.clone());
    if style.repeats_finish {
        pieces.push(last);
    }
}

/// A chunk for each piece, in the order of the style, and the usage.
fn chunks(object: &str, pieces: Vec<Vec<Value>>, style: &Style) -> Vec<Value> {
    let mut left: Vec<_> = pieces.into_iter().map(Vec::into_iter).collect();
    let mut chunks = Vec::new();
    let mut order = style.order.iter().cycle();
    while left.iter().any(|pieces| pieces.len() > 0) {
        left.retain(|pieces| pieces.len() > 0);
        let at = order.next().unwrap().index(left.len());
        chunks.extend(left[at].next().map(|piece| head(object, json!([piece]))));
    }
    match chunks.last_mut() {
        Some(last) if style.usage_beside => last["usage"] = usage(),
        _ => {
            let mut last = head(object, json!([]));
            last["usage"] = usage();
            chunks.push(last);
        }
    }
    chunks
}

fn whole(object: &str, choices: Vec<Value>) -> Value {
    let mut reply = head(object, choices.into());
    reply["usage"] = usage();
    reply
}

fn head(object: &str, choices: Value) -> Value {
    json!({ "id": "c-1", "object": object, "created": 1_780_000_000, "model": "m", "choices": choices })
}

fn usage() -> Value {
    json!({ "prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7 })
}

/// OpenAI's finish reasons, and those of engines.
const REASONS: &[&str] = &[
    "stop",
    "length",
    "content_filter",
    "eos",
    "end_turn",
    "max_tokens",
    "abort",
];
