//! Rules of the normalizer of streams, by example.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use bytes::Bytes;
use llm_provider::endpoint::{Chat, Completions, Endpoint, Step};
use llm_provider::{Document, ErrorKind};
use serde_json::{Value, json};

/// The chunks of a stream, with whether each has output, and the kind of the error at its end.
fn normalized(
    endpoint: &dyn Endpoint,
    request: Value,
    chunks: &[Value],
    is_complete: bool,
) -> (Vec<(Value, bool)>, Option<ErrorKind>) {
    let mut normalizer = endpoint.chunks(&Document::new(&request)).unwrap();
    let mut passed = Vec::new();
    for chunk in chunks {
        let chunk = Bytes::from(chunk.to_string());
        if let Step::Chunk(chunk) = normalizer.read(&chunk).unwrap() {
            passed.push((chunk.read().unwrap(), chunk.has_output()));
        }
    }
    let error = normalizer.end(is_complete).err();
    (passed, error.map(|error| error.kind()))
}

fn delta(delta: Value) -> Value {
    json!({"id": "1", "choices": [{"index": 0, "delta": delta, "finish_reason": null}]})
}

#[test]
fn every_prompt_and_choice_has_to_finish_before_a_stream_without_an_end() {
    let text = |index: u32, reason: Value| json!({"id": "1", "choices": [{"index": index, "text": "x", "finish_reason": reason}]});
    let (open, end) = (Value::Null, json!("stop"));
    let one = [text(0, open.clone()), text(1, open), text(0, end.clone())];
    let both = [text(0, end.clone()), text(1, end)];
    for (request, chunks, error) in [
        (json!({"prompt": ["a", "b"]}), &one[..], true),
        (json!({"prompt": ["a", "b"]}), &both, false),
        (json!({"prompt": [[1, 2], [3]]}), &one, true),
        (json!({"prompt": [1, 2, 3]}), &both[..1], false),
        (json!({"prompt": "a", "n": 2.0}), &one, true),
        (json!({"prompt": "a"}), &both[..1], false),
    ] {
        let (_, found) = normalized(&Completions, request.clone(), chunks, false);
        let expected = error.then_some(ErrorKind::Transport);
        assert_eq!(found, expected, "{request}");
    }
}

#[test]
fn a_chunk_of_usage_may_have_null_choices() {
    let text = json!({"id": "1", "choices": [{"index": 0, "text": "x", "finish_reason": "stop"}]});
    let usage = json!({"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3});
    let last = json!({"id": "1", "choices": null, "usage": usage});
    let (passed, error) = normalized(&Completions, json!({"prompt": "a"}), &[text, last], true);
    assert_eq!((passed.len(), error), (1, None));
}

#[test]
fn the_only_call_is_kept_whatever_its_index_is() {
    let call = |index: u32| {
        let function = json!({"name": "f", "arguments": "{}"});
        json!({"index": index, "id": format!("c{index}"), "type": "function", "function": function})
    };
    let chunks = [
        delta(json!({"tool_calls": [call(1)]})),
        delta(json!({"tool_calls": [call(2)]})),
    ];
    let request = json!({"parallel_tool_calls": false});
    let (passed, _) = normalized(&Chat, request, &chunks, true);
    let calls: Vec<_> = passed
        .iter()
        .filter_map(|(chunk, _)| chunk.pointer("/choices/0/delta/tool_calls/0/id"))
        .collect();
    assert_eq!(calls, ["c1"]);
}

#[test]
fn output_of_every_form_counts() {
    for (member, has_output) in [
        (json!({"audio": {"data": "AA=="}}), true),
        (json!({"images": [{"type": "image_url"}]}), true),
        (json!({"reasoning_details": [{"text": "x"}]}), true),
        (json!({"thinking": "x"}), true),
        (json!({"refusal": "no"}), true),
        (json!({"audio": null, "images": [], "thinking": ""}), false),
        (json!({"role": "assistant", "content": ""}), false),
    ] {
        // As it is, and in a chunk that is changed.
        for request in [json!({}), json!({"n": 2})] {
            let (passed, _) = normalized(&Chat, request, &[delta(member.clone())], true);
            assert_eq!(passed[0].1, has_output, "{member}");
        }
    }
}
