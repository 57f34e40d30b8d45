//! Sample bodies and streams are written as they were read.
//!
//! Each is read through the type that fits its name. The output is compared with the input, as
//! values and in the printed form of the numbers. Our own samples are in the workspace's
//! `fixtures`, external ones in the folder `wire` of the folder that `POLYLLM_SHARED` names.
#![cfg(test)]

use std::borrow::Cow;
use std::fs;
use std::path::{Path, PathBuf};

use llm_types::completions::{CompletionRequest, CompletionResponse};
use llm_types::embeddings::{EmbeddingRequest, EmbeddingResponse};
use llm_types::rerank::{RerankRequest, RerankResponse};
use llm_types::{
    Accumulator, ChatChunk, ChatRequest, ChatResponse, ChunkSummary, Delta, ErrorResponse, Model,
    ModelList, RawObject, ResponseFormat, StreamItem, Value, parse,
};
use serde::Serialize;
use serde::de::DeserializeOwned;

#[test]
fn the_fixtures_are_written_as_they_were_read() {
    let ours = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/llm-types");
    assert!(check_folder(&ours) > 20);
}

#[test]
#[ignore = "needs the folder that POLYLLM_SHARED names"]
fn the_external_samples_are_written_as_they_were_read() {
    let folder = std::env::var_os("POLYLLM_SHARED").expect("POLYLLM_SHARED names a folder");
    let wire = PathBuf::from(folder).join("wire");
    assert!(check_folder(&wire.join("together")) > 50);
    // The types of Replicate's bodies are in that provider's crate; here they are plain objects.
    assert!(check_raw_folder(&wire.join("replicate")) > 50);
}

/// Checks all bodies and streams of a folder, and returns their number.
fn check_folder(folder: &Path) -> usize {
    let mut checked = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        let bytes = fs::read(&path).unwrap();
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("json") => check_body(name, &bytes),
            Some("sse") => check_stream(name, &String::from_utf8(bytes).unwrap()),
            _ => continue,
        }
        checked += 1;
    }
    checked
}

/// Checks the bodies of a folder as JSON objects of unknown shape, and returns their number.
fn check_raw_folder(folder: &Path) -> usize {
    let files = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let bodies = files.filter(|path| {
        path.extension()
            .is_some_and(|extension| extension == "json")
    });
    bodies
        .map(|path| check_raw(path.to_str().unwrap(), &fs::read(&path).unwrap()))
        .count()
}

fn check_body(name: &str, json: &[u8]) {
    match name {
        _ if name.starts_with("error_") => round_trip::<ErrorResponse>(name, json),
        _ if name.starts_with("models_list") => {
            let bare = json.trim_ascii_start().starts_with(b"[");
            let list: ModelList = parse(json).unwrap();
            assert!(!list.data.is_empty());
            if bare {
                round_trip::<Vec<Model>>(name, json);
            } else {
                round_trip::<ModelList>(name, json);
            }
        }
        _ if name.starts_with("response_format") => round_trip::<Vec<ResponseFormat>>(name, json),
        "completions.request.json" => round_trip::<CompletionRequest>(name, json),
        _ if name.starts_with("completions") => round_trip::<CompletionResponse>(name, json),
        "embeddings.request.json" => round_trip::<EmbeddingRequest>(name, json),
        _ if name.starts_with("embeddings") => round_trip::<EmbeddingResponse>(name, json),
        "rerank.request.json" => round_trip::<RerankRequest>(name, json),
        _ if name.starts_with("rerank") => round_trip::<RerankResponse>(name, json),
        _ if name.ends_with(".request.json") => round_trip::<ChatRequest>(name, json),
        _ if name.starts_with("chat_") => round_trip::<ChatResponse>(name, json),
        _ => check_raw(name, json),
    }
}

fn check_stream(name: &str, text: &str) {
    let mut answer = Accumulator::default();
    for data in text.lines().filter_map(|line| line.strip_prefix("data:")) {
        let data = data.trim_start().as_bytes();
        if name.starts_with("stream_completions") {
            if data.starts_with(b"{") {
                round_trip::<CompletionResponse>(name, data);
            }
            continue;
        }
        match StreamItem::parse(data).unwrap() {
            StreamItem::Chunk(chunk) => {
                round_trip::<ChatChunk>(name, data);
                check_summary(data, &chunk);
                answer.push(chunk);
            }
            StreamItem::Error(_) => {
                round_trip::<ErrorResponse>(name, data);
                assert!(ChunkSummary::parse(data).unwrap().error.is_some());
            }
            StreamItem::Done => assert!(answer.is_finished(), "{name}"),
            other => panic!("{name}: {other:?}"),
        }
    }
    let is_whole =
        !name.contains("completions") && !name.contains("cut") && !name.contains("error");
    assert_eq!(answer.is_finished(), is_whole, "{name}");
    let response = serde_json::to_vec(&answer.into_response()).unwrap();
    round_trip::<ChatResponse>(name, &response);
}

fn check_summary(data: &[u8], chunk: &ChatChunk) {
    let summary = ChunkSummary::parse(data).unwrap();
    let some = |text: Option<&str>| text.filter(|text| !text.is_empty()).map(ToOwned::to_owned);
    let deltas = || chunk.choices.iter().map(|choice| &choice.delta);
    let first = |read: fn(&Delta) -> Option<&str>| deltas().find_map(|delta| some(read(delta)));
    let reasons = chunk
        .choices
        .iter()
        .filter_map(|choice| choice.finish_reason.value());
    assert_eq!(summary.choices, chunk.choices.len());
    assert_eq!(
        summary.content.map(Cow::into_owned),
        first(|delta| delta.content.as_str())
    );
    assert_eq!(
        summary.reasoning.map(Cow::into_owned),
        first(Delta::thinking)
    );
    assert_eq!(
        summary.finish_reason.as_deref(),
        reasons
            .map(|reason| reason.as_str())
            .find(|reason| !reason.is_empty())
    );
    assert_eq!(summary.usage.is_value(), chunk.usage.is_value());
    assert_eq!(summary.error, None);
    let calls = deltas().any(|delta| {
        let calls = delta.tool_calls.value();
        calls.is_some_and(|calls| !calls.is_empty()) || delta.function_call.is_value()
    });
    assert_eq!(summary.tool_calls, calls);
}

#[track_caller]
fn round_trip<T: DeserializeOwned + Serialize>(name: &str, json: &[u8]) {
    let value: T = parse(json).unwrap_or_else(|error| panic!("{name}: {error}"));
    let before: Value = serde_json::from_slice(json).unwrap();
    let after = serde_json::to_string(&value).unwrap();
    assert_eq!(
        before,
        serde_json::from_str::<Value>(&after).unwrap(),
        "{name}"
    );
    let text = std::str::from_utf8(json).unwrap();
    assert_eq!(numbers(text), numbers(&after), "{name}");
    if before.is_object() {
        check_raw(name, json);
    }
}

fn check_raw(name: &str, json: &[u8]) {
    let value: Value = serde_json::from_slice(json).unwrap();
    let Some(members) = value.as_object() else {
        return;
    };
    let raw = RawObject::parse(json).unwrap_or_else(|error| panic!("{name}: {error}"));
    assert!(raw.keys().eq(members.keys()), "{name}");
    for (key, member) in members {
        let text = raw.get(key).unwrap();
        assert_eq!(
            &serde_json::from_str::<Value>(text).unwrap(),
            member,
            "{name}"
        );
    }
    assert_eq!(raw.edit().finish(), json, "{name}");
}

/// The numbers of a text, read by the standard library, which does not round them. They are sorted,
/// because the order of members may differ.
fn numbers(json: &str) -> Vec<f64> {
    let mut numbers = Vec::new();
    for outside in outside_of_strings(json) {
        let tokens =
            outside.split(|char: char| !matches!(char, '0'..='9' | '.' | '+' | '-' | 'e' | 'E'));
        numbers.extend(tokens.filter_map(|token| token.parse::<f64>().ok()));
    }
    numbers.sort_by(f64::total_cmp);
    numbers
}

fn outside_of_strings(json: &str) -> impl Iterator<Item = &str> {
    let mut rest = json;
    std::iter::from_fn(move || {
        let (outside, inside) = rest.split_once('"').unwrap_or((rest, ""));
        let mut escaped = false;
        let end = inside.find(|char| {
            let is_end = char == '"' && !escaped;
            escaped = char == '\\' && !escaped;
            is_end
        });
        rest = end.map_or("", |end| &inside[end + 1..]);
        Some(outside).filter(|outside| !outside.is_empty())
    })
}
