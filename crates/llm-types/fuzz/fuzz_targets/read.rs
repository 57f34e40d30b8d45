//! Any bytes: nothing panics, and the raw readers accept what serde_json accepts and nothing else,
//! except for the contents of strings.
//!
//! `cargo +nightly fuzz run read` in `crates/llm-types` (an initial corpus: the bodies of
//! `fixtures/llm-types`).
#![no_main]

use libfuzzer_sys::fuzz_target;
use llm_types::embeddings::EmbeddingResponse;
use llm_types::{
    Accumulator, ChatRequest, ChatResponse, ChunkSummary, ErrorResponse, Map, RawIndex, RawObject,
    StreamItem, Value, parse,
};

fuzz_target!(|text: &[u8]| {
    let full: Result<Map<String, Value>, _> = serde_json::from_slice(text);
    match (RawObject::parse(text), full) {
        (Ok(object), Ok(members)) => {
            for (key, value) in &members {
                let raw: Value = serde_json::from_str(object.get(key).unwrap()).unwrap();
                assert_eq!(&raw, value);
            }
            assert_eq!(object.edit().finish(), text);
            let edit = object.edit().set("model", &"m".into()).remove("stream");
            let edited = edit.finish();
            let index = RawIndex::parse(&edited).unwrap();
            let object = index.object(&edited).unwrap();
            assert_eq!(object.str("model").as_deref(), Some("m"));
            for (key, value) in &members {
                let items = object.items(key).map(Iterator::count);
                assert!(
                    key == "model" || key == "stream" || items == value.as_array().map(Vec::len)
                );
            }
        }
        (Ok(_), Err(error)) => {
            let error = error.to_string();
            assert!(PASSED.iter().any(|what| error.contains(what)), "{error}");
        }
        (Err(error), Ok(_)) => panic!("{error}"),
        (Err(error), Err(_)) => drop(error.to_string()),
    }
    let _ = ChunkSummary::parse(text);
    if let Ok(StreamItem::Chunk(chunk)) = StreamItem::parse(text) {
        let chunks = Accumulator::from_iter([chunk.clone(), chunk])
            .into_response()
            .into_chunks(true);
        assert!(
            chunks
                .iter()
                .all(|chunk| serde_json::to_string(chunk).is_ok())
        );
    }
    let _ = ErrorResponse::parse(text);
    let _ = parse::<ChatRequest>(text).map_err(|error| error.to_string());
    let _ = parse::<ChatResponse>(text);
    if let Ok(embeddings) = parse::<EmbeddingResponse>(text) {
        for embedding in embeddings.data {
            let _ = embedding.embedding.to_f32s();
        }
    }
});

/// serde_json's errors for numbers that fit no type, and for invalid contents of strings.
const PASSED: [&str; 6] = [
    "out of range",
    "control character",
    "invalid escape",
    "hex escape",
    "invalid unicode code point",
    "lone",
];
