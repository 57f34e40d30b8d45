//! Raw objects and chunk summaries, compared with full parsing on any input.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use llm_types::{ChunkSummary, Map, Piece, RawObject, Value};
use proptest::prelude::*;

proptest! {
    #[test]
    fn members_are_those_of_a_full_parse(members in object(), spaces in "[ \t\r\n]{0,3}") {
        for text in texts(&members, &spaces) {
            let object = RawObject::parse(text.as_bytes()).unwrap();
            prop_assert!(object.keys().eq(members.keys()));
            for (key, value) in &members {
                let raw: Value = serde_json::from_str(object.get(key).unwrap()).unwrap();
                prop_assert_eq!(&raw, value);
                prop_assert_eq!(object.str(key), value.as_str().map(Into::into));
                prop_assert_eq!(object.bool(key), value.as_bool());
                let items = object.items(key).map(|items| {
                    items.map(serde_json::from_str).collect::<Result<Vec<Value>, _>>().unwrap()
                });
                prop_assert_eq!(items.as_ref(), value.as_array());
                // The same items, read the other way.
                let objects = object.objects(key).map(|objects| {
                    let text = |item: Result<RawObject<'_>, &str>| match item {
                        Ok(object) => serde_json::from_slice(&object.edit().finish()),
                        Err(other) => serde_json::from_str(other),
                    };
                    objects.map(text).collect::<Result<Vec<Value>, _>>().unwrap()
                });
                prop_assert_eq!(objects.as_ref(), value.as_array());
            }
        }
    }

    #[test]
    fn edits_are_those_of_a_map(
        members in object(),
        spaces in "[ \t\r\n]{0,3}",
        edits in proptest::collection::vec((0..3_u8, "[a-d]?", value()), 0..5),
    ) {
        for text in texts(&members, &spaces) {
            let object = RawObject::parse(text.as_bytes()).unwrap();
            let mut expected = members.clone();
            let mut edit = object.edit();
            for (kind, key, value) in &edits {
                edit = match kind {
                    0 => edit.set(key, value),
                    1 => edit.set_default(key, value),
                    _ => edit.remove(key),
                };
                match kind {
                    1 if expected.contains_key(key) => {}
                    0 | 1 => {
                        expected.insert(key.clone(), value.clone());
                    }
                    _ => {
                        expected.shift_remove(key);
                    }
                }
            }
            let pieces = edit.clone().into_pieces();
            for pair in pieces.windows(2) {
                if let [Piece::Kept(one), Piece::Kept(next)] = pair {
                    prop_assert!(one.end < next.start, "something between them is gone");
                }
            }
            let edited: Value = serde_json::from_slice(&edit.finish()).unwrap();
            prop_assert_eq!(edited, Value::Object(expected));
        }
    }

    /// Invalid JSON: the result equals that of serde_json, except for the contents of strings.
    #[test]
    fn agrees_with_serde_json_on_any_text(
        members in object(),
        breaks in proptest::collection::vec((any::<prop::sample::Index>(), "[\\[\\]{}:,\"\\\\ue0-9. \n\u{0}é]{0,2}", 0..3_usize), 1..4),
    ) {
        let mut text = Value::Object(members).to_string().into_bytes();
        for (at, new, old) in breaks {
            let at = at.index(text.len() + 1);
            text.splice(at..(at + old).min(text.len()), new.into_bytes());
        }
        agree(&text)?;
    }

    #[test]
    fn agrees_with_serde_json_on_any_bytes(text in proptest::collection::vec(any::<u8>(), 0..64)) {
        agree(&text)?;
        let mut object = b"{\"a\":".to_vec();
        object.extend(text);
        object.push(b'}');
        agree(&object)?;
    }
}

/// The reader accepts exactly what is JSON after its strings are replaced by harmless ones, and
/// finds in it what serde_json finds.
fn agree(text: &[u8]) -> Result<(), TestCaseError> {
    let ours = RawObject::parse(text);
    let summary = ChunkSummary::parse(text);
    match (&ours, serde_json::from_slice::<Map<String, Value>>(text)) {
        (Ok(object), Ok(members)) => {
            for (key, value) in &members {
                let raw: Value = serde_json::from_str(object.get(key).unwrap()).unwrap();
                prop_assert_eq!(&raw, value);
            }
            prop_assert_eq!(object.edit().finish(), text);
            prop_assert!(summary.is_ok());
        }
        (Ok(_), Err(_)) => {
            let error = harmless(text).err();
            // The text of a number does not overflow; a number type does.
            let too_large = |error: &serde_json::Error| error.to_string().contains("out of range");
            prop_assert!(error.as_ref().is_none_or(too_large), "{error:?}");
        }
        (Err(error), Err(_)) => {
            prop_assert!(error.line() > 0 && error.column() > 0);
            // Keys are read, so their contents are checked.
            let is_of_key = [
                "control character",
                "escape that",
                "hexadecimal",
                "surrogate",
            ]
            .iter()
            .any(|what| error.message().contains(what));
            prop_assert!(is_of_key || harmless(text).is_err(), "{error}");
        }
        (Err(error), Ok(_)) => prop_assert!(false, "{error}"),
    }
    if summary.is_ok() {
        let error = harmless(text).err();
        let too_large = |error: &serde_json::Error| error.to_string().contains("out of range");
        prop_assert!(error.as_ref().is_none_or(too_large), "{error:?}");
    }
    Ok(())
}

/// Parses a text in which every terminated string that is UTF-8 has its contents replaced by x's.
fn harmless(text: &[u8]) -> serde_json::Result<Map<String, Value>> {
    let mut text = text.to_vec();
    if std::str::from_utf8(&text).is_err() {
        return serde_json::from_slice(&text);
    }
    let mut at = 0;
    while at < text.len() {
        let start = at;
        at += 1;
        if text[start] != b'"' {
            continue;
        }
        while at < text.len() && text[at] != b'"' {
            at += if text[at] == b'\\' { 2 } else { 1 };
        }
        if at < text.len() {
            text[start + 1..at].fill(b'x');
        }
        at += 1;
    }
    serde_json::from_slice(&text)
}

/// The same object, written in several ways.
fn texts(members: &Map<String, Value>, spaces: &str) -> [String; 3] {
    let compact = serde_json::to_string(members).unwrap();
    let pretty = serde_json::to_string_pretty(members).unwrap();
    let odd = members.iter().map(|(key, value)| {
        let key: String = key
            .encode_utf16()
            .map(|unit| format!("\\u{unit:04x}"))
            .collect();
        format!("{spaces}\"{key}\"{spaces}:{spaces}{value}{spaces}")
    });
    let odd = format!(
        "{spaces}{{{}{spaces}}}{spaces}",
        odd.collect::<Vec<_>>().join(",")
    );
    [compact, pretty, odd]
}

fn object() -> impl Strategy<Value = Map<String, Value>> {
    let key = prop_oneof![3 => "[a-d]?", 1 => any::<String>()];
    proptest::collection::vec((key, value()), 0..6).prop_map(Map::from_iter)
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
        "[a-z\"\\\\\n ]{0,200}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 6, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            proptest::collection::vec((any::<String>(), inner), 0..6)
                .prop_map(|members| Value::Object(Map::from_iter(members))),
        ]
    })
}
