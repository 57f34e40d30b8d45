//! Randomly changed samples: what is read is written unchanged, and nothing panics.
#![cfg(test)]

use std::fs;
use std::path::Path;

use llm_types::completions::{CompletionRequest, CompletionResponse};
use llm_types::embeddings::{EmbeddingRequest, EmbeddingResponse};
use llm_types::rerank::{RerankRequest, RerankResponse};
use llm_types::{
    Accumulator, ChatChunk, ChatRequest, ChatResponse, ErrorResponse, ModelList, StreamItem, Value,
    parse,
};
use proptest::prelude::*;
use proptest::sample::{Index, select};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    /// A member is removed, added or replaced somewhere in a body.
    #[test]
    fn accepted_text_round_trips(
        mut body in select(bodies()),
        changes in proptest::collection::vec(
            (any::<Index>(), 0..3_u8, prop_oneof![Just("zz".to_owned()), select(keys())], odd_value()),
            1..4,
        ),
    ) {
        for (place, kind, key, value) in changes {
            change(&mut body, place, kind, key, value);
        }
        let text = body.to_string();
        check::<ChatRequest>(&text)?;
        check::<ChatResponse>(&text)?;
        check::<ChatChunk>(&text)?;
        check::<CompletionRequest>(&text)?;
        check::<CompletionResponse>(&text)?;
        check::<EmbeddingRequest>(&text)?;
        check::<EmbeddingResponse>(&text)?;
        check::<RerankRequest>(&text)?;
        check::<RerankResponse>(&text)?;
        check::<ErrorResponse>(&text)?;
        if body.is_object() {
            check::<ModelList>(&text)?;
        }
        let _ = ErrorResponse::parse(text.as_bytes());
        if let Ok(StreamItem::Chunk(mut chunk)) = StreamItem::parse(text.as_bytes()) {
            Accumulator::from_iter([chunk.clone(), chunk.clone()]).into_response().into_chunks(true);
            chunk.drop_nulls();
        }
    }

    #[test]
    fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), body in select(bodies()), at in any::<Index>()) {
        let mut text = body.to_string().into_bytes();
        let at = at.index(text.len());
        text.splice(at..(at + bytes.len() / 8).min(text.len()), bytes);
        if let Err(error) = parse::<ChatRequest>(&text) {
            let _ = error.to_string();
        }
        let _ = StreamItem::parse(&text).map_err(|error| error.to_string());
        let _ = ErrorResponse::parse(&text);
        let _ = parse::<EmbeddingResponse>(&text);
    }
}

/// Checks that text that can be read is written completely.
fn check<T: DeserializeOwned + Serialize>(text: &str) -> Result<(), TestCaseError> {
    let Ok(read) = parse::<T>(text.as_bytes()) else {
        return Ok(());
    };
    let before: Value = serde_json::from_str(text).unwrap();
    let after = serde_json::to_value(&read).unwrap();
    prop_assert!(
        same(&before, &after),
        "{}: {after}",
        std::any::type_name::<T>()
    );
    Ok(())
}

/// Whether nothing was lost or invented. Three changes are intended: requests leave out null
/// parameters, keys that OpenAI's clients require are filled in, and counts written as `7.0` become
/// `7`. In addition, arguments that are not text become text.
fn same(before: &Value, after: &Value) -> bool {
    match (before, after) {
        (Value::Object(before), Value::Object(after)) => {
            let kept = before.iter().all(|(key, value)| match after.get(key) {
                Some(Value::String(text)) if key == "arguments" && is_text_of(text, value) => true,
                Some(written) if value.is_null() => written.is_null() || is_filled(key, written),
                Some(written) => same(value, written),
                None => value.is_null(),
            });
            kept && after
                .iter()
                .all(|(key, value)| before.contains_key(key) || is_filled(key, value))
        }
        (Value::Array(before), Value::Array(after)) => {
            before.len() == after.len()
                && before
                    .iter()
                    .zip(after)
                    .all(|(before, after)| same(before, after))
        }
        (Value::Number(before), Value::Number(after)) => {
            before == after || before.as_f64() == after.as_f64()
        }
        _ => before == after,
    }
}

fn is_text_of(text: &str, value: &Value) -> bool {
    serde_json::from_str::<Value>(text).is_ok_and(|read| read == *value)
}

fn is_filled(key: &str, value: &Value) -> bool {
    match key {
        "id" | "model" | "text" | "name" | "message" if value == "" => true,
        "created" | "index" => value.is_number(),
        "object" => value.is_string(),
        "role" => value == "assistant",
        "choices" => value == &json!([]),
        "delta" => value == &json!({}),
        "message" => value == &json!({"role": "assistant", "content": null, "refusal": null}),
        _ => false,
    }
}

fn change(body: &mut Value, place: Index, kind: u8, key: String, value: Value) {
    let count = count_objects(body);
    if count == 0 {
        return;
    }
    let mut left = place.index(count);
    visit_objects(body, &mut |members| {
        if left == 0 {
            match kind {
                0 => drop(members.shift_remove(&key)),
                1 => drop(members.insert(key.clone(), value.clone())),
                _ if !members.is_empty() => drop(members.shift_remove_index_of(place)),
                _ => {}
            }
        }
        left = left.wrapping_sub(1);
    });
}

trait RemoveAt {
    fn shift_remove_index_of(&mut self, place: Index) -> Option<Value>;
}

impl RemoveAt for llm_types::Map<String, Value> {
    fn shift_remove_index_of(&mut self, place: Index) -> Option<Value> {
        let key = self.keys().nth(place.index(self.len()))?.clone();
        self.shift_remove(&key)
    }
}

fn count_objects(value: &mut Value) -> usize {
    let mut count = 0;
    visit_objects(value, &mut |_| count += 1);
    count
}

fn visit_objects(value: &mut Value, visit: &mut impl FnMut(&mut llm_types::Map<String, Value>)) {
    match value {
        Value::Object(members) => {
            visit(members);
            members
                .values_mut()
                .for_each(|value| visit_objects(value, visit));
        }
        Value::Array(items) => items.iter_mut().for_each(|item| visit_objects(item, visit)),
        _ => {}
    }
}

/// All bodies and chunks of our samples.
fn bodies() -> Vec<Value> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/llm-types");
    let mut bodies = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let text = fs::read_to_string(entry.unwrap().path()).unwrap();
        let data = text.lines().filter_map(|line| line.strip_prefix("data: "));
        match serde_json::from_str(&text) {
            Ok(body) => bodies.push(body),
            Err(_) => {
                bodies.extend(data.filter_map(|data| serde_json::from_str::<Value>(data).ok()))
            }
        }
    }
    bodies
}

/// All keys of the samples.
fn keys() -> Vec<String> {
    let mut keys: Vec<String> = Vec::new();
    for mut body in bodies() {
        visit_objects(&mut body, &mut |members| {
            keys.extend(members.keys().cloned())
        });
    }
    keys.sort_unstable();
    keys.dedup();
    keys
}

fn odd_value() -> impl Strategy<Value = Value> {
    let values = r#"[null, true, 0, -1, 2.0, 0.5, 18446744073709552000, "", "a", [], [null], {}, {"type": "new", "z": 1}, ["a"], [1], [{}]]"#;
    select(serde_json::from_str::<Vec<Value>>(values).unwrap())
}
