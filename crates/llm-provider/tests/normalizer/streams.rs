//! Normalization of streams.

use std::collections::BTreeSet;

use bytes::Bytes;
use llm_provider::endpoint::{Chat, Completions, Step};
use llm_provider::{Chunk, Document, Endpoint, ErrorKind};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use serde::de::IgnoredAny;
use serde_json::{Value, json};

use crate::config;
use crate::documents::{Mutation, STREAMS, arbitrary, mutation, pointers, text};

const STREAMED: [&dyn Endpoint; 2] = [&Chat, &Completions];

proptest! {
    #![proptest_config(config(1_000))]

    #[test]
    fn damaged_chunks_are_normalized_or_an_error(
        mut chunks in select(&STREAMS[..]),
        mutations in vec((any::<Index>(), mutation()), 0..6),
        logprobs: bool,
    ) {
        for (at, mutation) in &mutations {
            let at = at.index(chunks.len());
            Mutation::apply(mutation, &mut chunks[at]);
        }
        let chunks: Vec<_> = chunks.iter().map(text).collect();
        for endpoint in STREAMED {
            check(endpoint, &chunks, logprobs)?;
        }
    }

    #[test]
    fn arbitrary_chunks_are_normalized_or_an_error(
        chunks in vec(arbitrary(), 1..5),
        logprobs: bool,
    ) {
        for endpoint in STREAMED {
            check(endpoint, &chunks, logprobs)?;
        }
    }

    #[test]
    fn arbitrary_bytes_are_an_error_or_a_chunk(bytes in vec(any::<u8>(), 0..60)) {
        for endpoint in STREAMED {
            let mut normalizer = endpoint.chunks(&request(false)).unwrap();
            if let Err(error) = normalizer.read(&Bytes::from(bytes.clone())) {
                prop_assert!(error.to_string().len() < 2_000, "{error}");
            }
        }
    }

    #[test]
    fn an_unknown_member_of_a_choice_or_delta_is_kept(
        content in ".{1,5}",
        reason in select(vec![Value::Null, json!("stop"), json!("eos")]),
        at in any::<Index>(),
    ) {
        let chunk = json!({
            "id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m",
            "choices": [{ "index": 0, "delta": { "content": content }, "finish_reason": reason }],
        });
        let mut objects = pointers(&chunk);
        objects.retain(|at| chunk.pointer(at).is_some_and(Value::is_object));
        let place = at.get(&objects);
        let mut changed = chunk.clone();
        changed.pointer_mut(place).unwrap()["x_unknown"] = json!({ "a": [1.50] });
        let (chunks, _) = normalize(&Chat, &[text(&changed)], false);
        let written: Value = chunks[0].read().unwrap();
        let kept = written.pointer(&format!("{place}/x_unknown"));
        prop_assert_eq!(kept, Some(&json!({ "a": [1.50] })), "{} in {}", place, written);
    }
}

/// Checks what holds for every stream.
fn check(
    endpoint: &'static dyn Endpoint,
    chunks: &[String],
    logprobs: bool,
) -> Result<(), TestCaseError> {
    let (once, end) = normalize(endpoint, chunks, logprobs);
    let mut finished = BTreeSet::new();
    for chunk in &once {
        let shown = std::str::from_utf8(chunk.bytes());
        prop_assert!(shown.is_ok(), "{shown:?}");
        let shown = shown.unwrap();
        let json = serde_json::from_str::<IgnoredAny>(shown);
        prop_assert!(json.is_ok(), "{endpoint:?} wrote {json:?}: {shown}");
        // `Value` does not hold every document: what it cannot hold passed unchanged.
        let Ok(value) = serde_json::from_str::<Value>(shown) else {
            continue;
        };
        for choice in value["choices"].as_array().into_iter().flatten() {
            if choice["finish_reason"].is_string() {
                let is_first = finished.insert(choice["index"].as_u64());
                prop_assert!(is_first, "{endpoint:?}: a second finish: {shown}");
                prop_assert!(chunk.is_finish(), "{shown}");
            }
        }
    }
    accumulate(endpoint, &once)?;
    // A damaged chunk may end the stream; what was written before is normal all the same.
    let texts: Vec<_> = once.iter().map(shown).collect();
    let (twice, end_of_twice) = normalize(endpoint, &texts, logprobs);
    prop_assert_eq!(
        twice.iter().map(shown).collect::<Vec<_>>(),
        texts,
        "{:?}",
        endpoint
    );
    prop_assert!(end_of_twice.is_none() || end.is_some(), "{end_of_twice:?}");
    Ok(())
}

fn accumulate(endpoint: &'static dyn Endpoint, chunks: &[Chunk]) -> Result<(), TestCaseError> {
    let mut accumulator = endpoint.accumulator().unwrap();
    for chunk in chunks {
        if let Err(error) = accumulator.push(chunk) {
            prop_assert_eq!(error.kind(), ErrorKind::UnexpectedBody);
        }
    }
    let reply = accumulator.finish();
    let json = serde_json::from_slice::<Value>(reply.bytes());
    prop_assert!(json.is_ok(), "{endpoint:?}: {json:?}");
    Ok(())
}

/// The chunks of a normalized stream, and the error with which it ended.
pub(crate) fn normalize(
    endpoint: &'static dyn Endpoint,
    chunks: &[String],
    logprobs: bool,
) -> (Vec<Chunk>, Option<llm_provider::Error>) {
    let mut normalizer = endpoint.chunks(&request(logprobs)).unwrap();
    let mut normalized = Vec::new();
    for chunk in chunks {
        match normalizer.read(&Bytes::from(chunk.clone())) {
            Ok(Step::Chunk(chunk)) => normalized.push(chunk),
            Ok(Step::Skip) => {}
            Err(error) => return (normalized, Some(error)),
        }
    }
    match normalizer.end(true) {
        Ok(last) => {
            normalized.extend(last);
            (normalized, None)
        }
        Err(error) => (normalized, Some(error)),
    }
}

fn request(logprobs: bool) -> Document {
    let mut request = Document::new(&json!({ "model": "m", "stream": true }));
    if logprobs {
        request.set("logprobs", true);
    }
    request
}

fn shown(chunk: &Chunk) -> String {
    String::from_utf8_lossy(chunk.bytes()).into_owned()
}
