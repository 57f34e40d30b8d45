//! Conformance vectors, each unsplit, in small reads, and at every split into two reads.

#![allow(clippy::panic, clippy::unwrap_used, reason = "helpers of tests")]

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use sse_codec::{Decoder, Event, LimitExceeded, Limits};

#[test]
fn the_fixtures_are_decoded_however_they_are_split() {
    for file in ["standard.jsonl", "on-request.jsonl", "limits.jsonl"] {
        check_file(&workspace().join("fixtures/sse").join(file));
    }
}

#[test]
#[ignore = "needs the folder that POLYLLM_SHARED names"]
fn the_external_vectors_are_decoded_however_they_are_split() {
    let folder = std::env::var_os("POLYLLM_SHARED").expect("POLYLLM_SHARED names a folder");
    check_file(&PathBuf::from(folder).join("vectors/sse.jsonl"));
}

#[track_caller]
fn check_file(path: &Path) {
    let vectors = fs::read_to_string(path).unwrap();
    assert!(!vectors.trim().is_empty(), "{} is empty", path.display());
    for line in vectors.lines() {
        let vector: Value = serde_json::from_str(line).unwrap();
        let input = match (&vector["input"], &vector["input_b64"]) {
            (Value::String(text), _) => text.as_bytes().to_vec(),
            (_, Value::String(base64)) => decode_base64(base64),
            _ => panic!("{}: no input", vector["id"]),
        };
        check(&vector, "whole", &[&input]);
        for size in [1, 2, 3, 7] {
            let reads: Vec<_> = input.chunks(size).collect();
            check(&vector, &format!("in reads of {size}"), &reads);
        }
        for at in 0..=input.len() {
            let (first, second) = input.split_at(at);
            check(&vector, &format!("split at {at}"), &[first, second]);
        }
    }
}

#[track_caller]
fn check(vector: &Value, how: &str, reads: &[&[u8]]) {
    let at = format!("{} {how}", vector["id"]);
    let wanted: Vec<_> = vector["expected_events"]
        .as_array()
        .unwrap()
        .iter()
        .map(wanted)
        .collect();

    let mut decoder = decoder(vector);
    let mut items = Vec::new();
    for mut read in reads.iter().copied() {
        while let Some(item) = decoder.next(&mut read) {
            items.push(own(item));
        }
    }
    assert_eq!(items, wanted, "{at}");
    assert_eq!(
        vector["final_last_event_id"],
        decoder.last_event_id(),
        "{at}"
    );
    assert_eq!(decoder.retry(), millis(&vector["final_retry"]), "{at}");

    let tail = decoder.finish().map(own);
    if let Some(tail_wanted) = vector.get("tail") {
        assert_eq!(
            tail,
            (!tail_wanted.is_null()).then(|| self::wanted(tail_wanted)),
            "{at}"
        );
    }
    assert_eq!(
        vector["final_last_event_id"],
        decoder.last_event_id(),
        "{at}"
    );
    assert_eq!(decoder.retry(), millis(&vector["final_retry"]), "{at}");

    let mut events = Vec::new();
    let mut failed = false;
    for read in reads {
        failed |= decoder
            .feed(read, |event| events.push(event.text().into_owned()))
            .is_err();
    }
    let wanted_events: Vec<_> = wanted
        .iter()
        .filter_map(|item| Some(item.as_ref().ok()?.data.clone()))
        .collect();
    assert_eq!(events, wanted_events, "{at}, fed to a decoder used before");
    assert_eq!(failed, wanted_events.len() != wanted.len(), "{at}");
}

fn decoder(vector: &Value) -> Decoder {
    let flag = |key: &str| vector[key].as_bool().unwrap_or_default();
    let limit = |nth: usize| vector["limits"][nth].as_u64().map(|limit| limit as usize);
    let limits = match (limit(0), limit(1)) {
        (Some(line), Some(event)) => Limits::new(line, event),
        _ => Limits::default(),
    };
    Decoder::new()
        .with_comments(flag("comments"))
        .with_empty_events(flag("empty_events"))
        .with_limits(limits)
}

#[derive(Debug, PartialEq)]
struct Owned {
    kind: String,
    name: String,
    data: String,
    id: String,
    retry: Option<u64>,
}

fn own(item: Result<Event<'_>, LimitExceeded>) -> Result<Owned, &'static str> {
    match item {
        Ok(event) => Ok(Owned {
            kind: format!("{:?}", event.kind()).to_lowercase(),
            name: event.name().to_owned(),
            data: event.text().into_owned(),
            id: event.id().to_owned(),
            retry: event.retry(),
        }),
        Err(LimitExceeded::Line { .. }) => Err("line"),
        Err(_) => Err("event"),
    }
}

fn wanted(item: &Value) -> Result<Owned, &'static str> {
    match item["error"].as_str() {
        None => {}
        Some("line") => return Err("line"),
        Some("event") => return Err("event"),
        Some(other) => panic!("unknown error {other}"),
    }
    let text = |key: &str| item[key].as_str().unwrap().to_owned();
    Ok(Owned {
        kind: item["kind"].as_str().unwrap_or("message").to_owned(),
        name: text("event"),
        data: text("data"),
        id: text("id"),
        retry: millis(&item["retry"]),
    })
}

/// A number beyond `u64` saturates.
fn millis(value: &Value) -> Option<u64> {
    value
        .is_number()
        .then(|| value.as_u64().unwrap_or(u64::MAX))
}

fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .nth(2)
        .unwrap()
}

fn decode_base64(text: &str) -> Vec<u8> {
    const ALPHABET: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut bits = 0_u32;
    let mut bytes = Vec::new();
    for (nth, digit) in text.trim_end_matches('=').chars().enumerate() {
        bits = bits << 6 | ALPHABET.find(digit).unwrap() as u32;
        if nth % 4 != 0 {
            bytes.push((bits >> (6 - 2 * (nth % 4))) as u8);
        }
    }
    bytes
}
