//! Chunks add up to the response, and a response splits into chunks.
#![cfg(test)]

use llm_types::{
    Accumulator, AssistantMessage, ChatChunk, ChatResponse, Choice, ChunkChoice, Delta, Field,
    FinishReason, StreamItem, ToolCall, Usage, Value,
};
use proptest::prelude::*;
use serde_json::json;

#[test]
fn tool_calls_are_distinguished_by_index_and_id() {
    let response = fold(&[
        json!({"delta": {"role": "assistant", "content": "", "tool_calls": [
            {"index": 0, "id": "a", "type": "function", "function": {"name": "f", "arguments": ""}}]}}),
        json!({"delta": {"tool_calls": [
            {"index": 0, "id": null, "type": null, "function": {"name": null, "arguments": "{\"n\":"}},
            {"index": 1, "id": "b", "type": "custom", "custom": {"name": "sh", "input": "ls"}}]}}),
        json!({"delta": {"tool_calls": [{"index": 0, "function": {"arguments": " 1"}},
                                        {"index": 1, "custom": {"input": " -l"}}]}, "finish_reason": "tool_calls"}),
        // Some engines start another call under the same index, and continue with an empty id.
        json!({"delta": {"tool_calls": [{"index": 0, "id": "c", "function": {"name": "g", "arguments": "{"}}]}}),
        json!({"delta": {"tool_calls": [{"index": 0, "id": "", "function": {"arguments": "}"}}]}, "finish_reason": "tool_calls"}),
    ]);
    assert_eq!(
        serde_json::to_value(&response.choices[0]).unwrap(),
        json!({"index": 0, "logprobs": null, "finish_reason": "tool_calls", "message": {
            "role": "assistant", "content": null, "refusal": null, "tool_calls": [
                {"id": "a", "type": "function", "function": {"name": "f", "arguments": "{\"n\": 1"}},
                {"id": "b", "type": "custom", "custom": {"name": "sh", "input": "ls -l"}},
                {"id": "c", "function": {"name": "g", "arguments": "{}"}}]}})
    );
    assert_eq!(response.choices[0].message.calls()[2].name(), Some("g"));
}

#[test]
fn choices_reasoning_and_logprobs_add_up() {
    let response = fold(&[
        json!({"index": 1, "delta": {"role": "assistant", "content": "Un"}}),
        json!({"index": 0, "text": "", "seed": null, "delta": {"reasoning": "h", "token_id": 7, "content": "",
               "reasoning_details": [{"text": "h"}]}, "finish_reason": null}),
        json!({"index": 0, "text": "o", "delta": {"reasoning_content": "m", "content": "o",
               "reasoning_details": [{"text": "m"}]}, "logprobs": -0.5}),
        json!({"index": 0, "text": "k", "delta": {"content": "k"}, "seed": 18_446_744_073_709_552_000_f64,
               "logprobs": {"tokens": ["k"], "token_logprobs": [-1], "top_logprobs": [[{"token": "k", "logprob": -1}]]},
               "finish_reason": "eos"}),
        json!({"index": 0, "delta": {}, "logprobs": null, "finish_reason": ""}),
        json!({"index": 1, "delta": {"content": " coing", "refusal": null}, "finish_reason": "length"}),
    ]);
    assert_eq!(
        serde_json::to_value(&response.choices).unwrap(),
        json!([
            {"index": 0, "seed": 18_446_744_073_709_552_000_f64, "finish_reason": "eos",
             "message": {"role": "assistant", "content": "ok", "refusal": null, "reasoning": "h",
                         "reasoning_content": "m", "reasoning_details": [{"text": "h"}, {"text": "m"}]},
             "logprobs": {"refusal": null, "content": [
                {"token": "o", "logprob": -0.5, "bytes": [111], "top_logprobs": []},
                {"token": "k", "logprob": -1, "bytes": [107], "top_logprobs": [
                    {"token": "k", "logprob": -1, "bytes": [107]}]}]}},
            {"index": 1, "logprobs": null, "finish_reason": "length",
             "message": {"role": "assistant", "content": "Un coing", "refusal": null}},
        ])
    );
}

#[test]
fn usage_comes_in_either_place() {
    let end = |usage: Value, choices: Value| -> ChatChunk {
        serde_json::from_value(
            json!({"id": "c", "created": 5, "model": "m", "choices": choices, "usage": usage}),
        )
        .unwrap()
    };
    let finish = json!([{"delta": {}, "finish_reason": "stop"}]);
    let counts = json!({"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3});
    for chunks in [
        vec![end(counts.clone(), finish.clone())],
        vec![
            end(Value::Null, finish.clone()),
            end(counts.clone(), json!([])),
        ],
        vec![end(counts, json!([])), end(Value::Null, finish)],
    ] {
        let response = Accumulator::from_iter(chunks).into_response();
        assert_eq!(response.usage.value().map(Usage::total), Some(3));
        assert_eq!(
            (response.id.as_str(), response.created.as_u64()),
            ("c", Some(5))
        );
    }
}

#[test]
fn an_interrupted_stream_is_not_finished() {
    let chunk = |choice| ChatChunk::new("c", 1_u64, "m").with_choice(choice);
    let mut answer = Accumulator::default();
    assert!(!answer.is_finished());
    answer.push(chunk(ChunkChoice::new(0, Delta::start())));
    answer.push(chunk(ChunkChoice::finish(1, FinishReason::Stop)));
    assert!(!answer.is_finished());
    answer.push(chunk(ChunkChoice::finish(0, FinishReason::from(""))));
    assert!(!answer.is_finished());
    answer.push(chunk(ChunkChoice::finish(0, FinishReason::Length)));
    assert!(answer.is_finished());
    assert!(Accumulator::default().into_response().choices.is_empty());
}

#[test]
fn a_response_splits_as_openai_streams_it() {
    let call = ToolCall::function("call_1", "f", "{}");
    let response = ChatResponse::new("c", 1_u64, "m")
        .with_choice(Choice::new(
            0,
            AssistantMessage::new()
                .with_reasoning_content("hm")
                .with_content("ok"),
            FinishReason::Stop,
        ))
        .with_choice(Choice::new(
            1,
            AssistantMessage::new().with_tool_calls([call]),
            FinishReason::ToolCalls,
        ))
        .with_usage(Usage::new(1, 2));
    let chunks = response.clone().into_chunks(true);
    let deltas: Vec<Value> = chunks
        .iter()
        .flat_map(|chunk| &chunk.choices)
        .map(|choice| json!([choice.index, choice.delta, choice.finish_reason.value()]))
        .collect();
    assert_eq!(
        Value::from(deltas),
        json!([
            [0, {"role": "assistant", "content": ""}, null],
            [0, {"reasoning_content": "hm"}, null],
            [0, {"content": "ok"}, null],
            [0, {}, "stop"],
            [1, {"role": "assistant", "content": null}, null],
            [1, {"tool_calls": [{"index": 0, "id": "call_1", "type": "function",
                                 "function": {"name": "f", "arguments": "{}"}}]}, null],
            [1, {}, "tool_calls"],
        ])
    );
    let (last, others) = chunks.split_last().unwrap();
    assert!(last.choices.is_empty() && last.usage.is_value());
    assert!(others.iter().all(|chunk| chunk.usage.is_null()));

    let without = response.into_chunks(false);
    assert_eq!(without.len(), chunks.len() - 1);
    assert!(without.iter().all(|chunk| chunk.usage.is_absent()));
}

#[test]
fn other_members_of_a_response_without_choices_are_kept() {
    let text = br#"{"id":"c","created":1,"model":"m","choices":[],"citations":["a"]}"#;
    let response: ChatResponse = serde_json::from_slice(text).unwrap();
    for include_usage in [false, true] {
        let chunks = response.clone().into_chunks(include_usage);
        assert_eq!(chunks.len(), 1);
        assert_eq!(chunks[0].extra, response.extra);
    }
}

proptest! {
    #[test]
    fn split_and_joined_again(response in response()) {
        let chunks = response.clone().into_chunks(true);
        for chunk in &chunks {
            // As it is sent.
            let data = serde_json::to_vec(chunk).unwrap();
            prop_assert_eq!(StreamItem::parse(&data).unwrap(), StreamItem::Chunk(chunk.clone()));
        }
        prop_assert_eq!(Accumulator::from_iter(chunks).into_response(), response);
    }
}

fn response() -> impl Strategy<Value = ChatResponse> {
    let choices = proptest::collection::vec(message(), 0..4);
    (choices, any::<[u32; 2]>()).prop_map(|(messages, [prompt, completion])| {
        let mut response = ChatResponse::new("c-1", 1_780_000_000_u64, "m")
            .with_usage(Usage::new(prompt.into(), completion.into()));
        for (index, message) in (0..).zip(messages) {
            let reason = match message.calls() {
                [] => FinishReason::Stop,
                _ => FinishReason::ToolCalls,
            };
            response.choices.push(Choice::new(index, message, reason));
        }
        response
    })
}

fn message() -> impl Strategy<Value = AssistantMessage> {
    let call = (".{0,4}", ".{0,4}", ".*").prop_map(|(id, name, arguments)| {
        ToolCall::function(format!("call {id}"), name, arguments)
    });
    let text = || proptest::option::of(".{1,9}");
    (
        text(),
        text(),
        text(),
        proptest::collection::vec(call, 0..3),
    )
        .prop_map(|(content, refusal, reasoning, calls)| {
            let mut message = AssistantMessage::new();
            message.content = Field::nullable(content.map(Into::into));
            message.refusal = Field::nullable(refusal);
            message.reasoning_content = Field::optional(reasoning);
            message.tool_calls = Field::optional(Some(calls).filter(|calls| !calls.is_empty()));
            message
        })
}

/// Joins chunks of one choice each.
fn fold(choices: &[Value]) -> ChatResponse {
    let chunk = |choice| json!({"id": "c", "created": 1, "model": "m", "choices": [choice]});
    let chunks = choices.iter().map(|choice| {
        let data = chunk(choice).to_string();
        match StreamItem::parse(data.as_bytes()).unwrap() {
            StreamItem::Chunk(chunk) => chunk,
            other => panic!("{other:?}"),
        }
    });
    Accumulator::from_iter(chunks).into_response()
}
