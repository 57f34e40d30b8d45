//! Documents for the tests: the samples in `fixtures/llm-types`, changes of them, and arbitrary
//! JSON.

use std::fs;
use std::path::Path;
use std::sync::LazyLock;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use serde_json::{Map, Value, json};

/// The replies of the samples, each in one piece.
pub(crate) static REPLIES: LazyLock<Vec<Value>> = LazyLock::new(|| {
    let bodies = samples(".json")
        .into_iter()
        .filter(|(name, _)| !name.ends_with(".request.json"));
    let mut replies: Vec<Value> = bodies
        .filter_map(|(_, text)| serde_json::from_str(&text).ok())
        .collect();
    replies.push(json!({
        "id": "modr-1",
        "model": "omni-moderation",
        "results": [{
            "flagged": true,
            "categories": { "violence": true },
            "category_scores": { "violence": 0.97 },
            "category_applied_input_types": { "violence": ["text"] },
        }],
    }));
    replies
});

/// The chunks of the samples, stream by stream.
pub(crate) static STREAMS: LazyLock<Vec<Vec<Value>>> = LazyLock::new(|| {
    let chunks = |text: String| {
        let data = text.lines().filter_map(|line| line.strip_prefix("data: "));
        data.filter_map(|data| serde_json::from_str(data).ok())
            .collect()
    };
    let streams = samples(".sse").into_iter();
    streams.map(|(_, text)| chunks(text)).collect()
});

/// The names and texts of the samples whose names end with `end`.
fn samples(end: &str) -> Vec<(String, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/llm-types");
    let entries = fs::read_dir(folder).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    let mut samples: Vec<(String, String)> = paths
        .filter_map(|path| {
            let name = path.file_name()?.to_str()?.to_owned();
            let text = name.ends_with(end).then(|| fs::read_to_string(&path));
            Some((name, text?.unwrap()))
        })
        .collect();
    samples.sort();
    assert!(!samples.is_empty(), "no samples *{end}");
    samples
}

/// The names of members in the samples.
static KEYS: LazyLock<Vec<String>> = LazyLock::new(|| {
    let mut keys = Vec::new();
    for sample in REPLIES.iter().chain(STREAMS.iter().flatten()) {
        for pointer in pointers(sample) {
            let members = sample.pointer(&pointer).and_then(Value::as_object);
            keys.extend(members.into_iter().flat_map(Map::keys).cloned());
        }
    }
    keys.sort_unstable();
    keys.dedup();
    keys
});

/// A change of a document, at a place chosen at random.
#[derive(Clone, Debug)]
pub(crate) enum Mutation {
    Replace(Index, Value),
    Remove(Index),
    Insert(Index, String, Value),
    Repeat(Index),
}

pub(crate) fn mutation() -> impl Strategy<Value = Mutation> {
    let place = any::<Index>;
    prop_oneof![
        (place(), value()).prop_map(|(at, value)| Mutation::Replace(at, value)),
        place().prop_map(Mutation::Remove),
        (place(), key(), value()).prop_map(|(at, key, value)| Mutation::Insert(at, key, value)),
        place().prop_map(Mutation::Repeat),
    ]
}

impl Mutation {
    pub(crate) fn apply(&self, document: &mut Value) {
        let all = pointers(document);
        match self {
            Self::Replace(at, value) => {
                if let Some(place) = document.pointer_mut(at.get::<String>(&all)) {
                    place.clone_from(value);
                }
            }
            Self::Remove(at) => {
                let Some((parent, key)) = at.get::<String>(&all).rsplit_once('/') else {
                    return;
                };
                match document.pointer_mut(parent) {
                    Some(Value::Object(members)) => drop(members.remove(key)),
                    Some(Value::Array(items)) => {
                        let index: usize = key.parse().unwrap();
                        items.remove(index);
                    }
                    _ => {}
                }
            }
            Self::Insert(at, key, value) => {
                let objects: Vec<_> = all
                    .iter()
                    .filter(|pointer| document.pointer(pointer).is_some_and(Value::is_object))
                    .cloned()
                    .collect();
                if let Some(pointer) = objects.get(at.index(objects.len().max(1)))
                    && let Some(Value::Object(members)) = document.pointer_mut(pointer)
                {
                    members.insert(key.clone(), value.clone());
                }
            }
            Self::Repeat(at) => {
                let pointer = at.get::<String>(&all);
                if let Some(Value::Array(items)) = document.pointer_mut(pointer) {
                    items.extend(items.clone());
                }
            }
        }
    }
}

/// The JSON pointers of a document and of all values in it.
pub(crate) fn pointers(document: &Value) -> Vec<String> {
    fn collect(value: &Value, pointer: &str, all: &mut Vec<String>) {
        all.push(pointer.to_owned());
        match value {
            Value::Object(members) => {
                for (key, value) in members {
                    let key = key.replace('~', "~0").replace('/', "~1");
                    collect(value, &format!("{pointer}/{key}"), all);
                }
            }
            Value::Array(items) => {
                for (index, value) in items.iter().enumerate() {
                    collect(value, &format!("{pointer}/{index}"), all);
                }
            }
            _ => {}
        }
    }
    let mut all = Vec::new();
    collect(document, "", &mut all);
    all
}

/// The text of a document with up to five changes.
pub(crate) fn damaged(samples: &'static [Value]) -> impl Strategy<Value = String> {
    (select(samples), vec(mutation(), 0..6)).prop_map(|(mut sample, mutations)| {
        for mutation in &mutations {
            mutation.apply(&mut sample);
        }
        text(&sample)
    })
}

/// The text of any JSON document; most are objects with members that a normalizer knows.
pub(crate) fn arbitrary() -> impl Strategy<Value = String> {
    let document = value().prop_recursive(6, 48, 6, |inner| {
        let members = vec((key(), inner.clone()), 0..6);
        prop_oneof![
            3 => members.prop_map(|members| Value::Object(members.into_iter().collect())),
            1 => vec(inner, 0..4).prop_map(Value::Array),
        ]
    });
    document.prop_map(|document| text(&document))
}

fn key() -> impl Strategy<Value = String> {
    prop_oneof![4 => select(&KEYS[..]), 1 => ".{0,8}"]
}

/// A value that an upstream may send by mistake or on purpose. A string `number:X` is written as the
/// number X, since [`Value`] cannot hold every number.
fn value() -> impl Strategy<Value = Value> {
    prop_oneof![
        120 => select(ORDINARY).prop_map(|text| serde_json::from_str(text).unwrap()),
        60 => select(NUMBERS).prop_map(|number| Value::String(format!("number:{number}"))),
        40 => any::<String>().prop_map(Value::String),
        // serde_json reads up to 127 levels.
        4 => (1..300_usize).prop_map(|depth| {
            (0..depth).fold(json!(1), |inner, _| json!([inner]))
        }),
        4 => (1..100_usize).prop_map(|depth| {
            (0..depth).fold(json!({}), |inner, _| json!({ "a": inner }))
        }),
        1 => (1..200_000_usize).prop_map(|length| Value::String("é".repeat(length))),
    ]
}

/// The text of a document, with its numbers.
pub(crate) fn text(document: &Value) -> String {
    let text = document.to_string();
    let mut parts = text.split(NUMBER);
    let mut written = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (number, rest) = part.split_once('"').unwrap();
        written += number;
        written += rest;
    }
    written
}

/// How a string that is written as a number begins.
const NUMBER: &str = "\"number:";

const ORDINARY: &[&str] = &[
    "null",
    "true",
    "false",
    "0",
    "1",
    "0.5",
    r#""""#,
    r#""a""#,
    r#""\u0000\ud83d\ude00""#,
    r#""eos""#,
    r#""length""#,
    "[]",
    "[null]",
    "[1]",
    r#"["a"]"#,
    "[[]]",
    "[{}]",
    "{}",
    r#"{"type":"new"}"#,
    r#"{"content":"a"}"#,
    r#"{"message":"failed"}"#,
];

const NUMBERS: &[&str] = &[
    "-0",
    "-1",
    "-0.0",
    "2.0",
    "1e2",
    "1E-400",
    "1e308",
    "1e999",
    "-1e999",
    "255",
    "256",
    "4294967295",
    "4294967296",
    "9223372036854775807",
    "18446744073709551615",
    "18446744073709551616",
    "340282366920938463463374607431768211456",
    "0.1000000000000000055511151231257827021181583404541015625",
];
