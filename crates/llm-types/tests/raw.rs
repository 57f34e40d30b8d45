//! Raw objects and chunk summaries, compared with full parsing, byte for byte, on any input.
#![cfg(test)]

use llm_types::{ChunkSummary, Field, Map, Piece, RawIndex, RawObject, Value, parse};
use proptest::prelude::*;
use serde_json::json;

#[test]
fn reads_members() {
    let body = b" { \"model\" : \"a\\\"b\", \"stream\": true, \"n\":1, \"user\": null,\n\
        \"messages\": [ {\"role\":\"user\"} ] }\r\n";
    let object = RawObject::parse(body).unwrap();
    assert_eq!(object.str("model").as_deref(), Some("a\"b"));
    assert_eq!(object.bool("stream"), Some(true));
    assert_eq!(object.get("messages"), Some(r#"[ {"role":"user"} ]"#));
    assert_eq!(object.read::<u8>("n").unwrap(), Some(1));
    assert_eq!(object.read::<u8>("user").unwrap(), None);
    assert_eq!(object.read::<u8>("none").unwrap(), None);
    assert!(object.read::<u8>("model").is_err());
    assert_eq!((object.str("n"), object.bool("n")), (None, None));
    assert!(object.contains_key("user") && !object.contains_key("none"));
    assert!(
        object
            .keys()
            .eq(["model", "stream", "n", "user", "messages"])
    );
    assert_eq!(object.as_bytes(), body);
}

#[test]
fn the_last_duplicate_counts_and_edits_change_both() {
    let body = br#"{"model":"a","mod\u0065l":"b","n":1}"#;
    let object = RawObject::parse(body).unwrap();
    assert_eq!(object.str("model").as_deref(), Some("b"));
    let text = |edited: Vec<u8>| String::from_utf8(edited).unwrap();
    assert_eq!(
        text(object.edit().set("model", &json!("c")).finish()),
        r#"{"model":"c","mod\u0065l":"c","n":1}"#
    );
    assert_eq!(text(object.edit().remove("model").finish()), r#"{"n":1}"#);
    assert_eq!(
        text(
            object
                .edit()
                .remove("model")
                .set("model", &json!("c"))
                .finish()
        ),
        r#"{"n":1,"model":"c"}"#
    );
}

#[test]
fn edits_leave_the_rest_as_it_was() {
    let text = |edited: Vec<u8>| String::from_utf8(edited).unwrap();
    let body = b" { \"a\" : 1.50 ,\n\t\"b\": [ 1 , 2 ] , \"c\":\"\\u00e9\" } ";
    let object = RawObject::parse(body).unwrap();
    let edit = || object.edit();
    assert_eq!(edit().finish(), body);
    for (edited, expected) in [
        (
            edit().set("b", &json!({})),
            " { \"a\" : 1.50 ,\n\t\"b\": {} , \"c\":\"\\u00e9\" } ",
        ),
        (
            edit().remove("a"),
            " { \"b\": [ 1 , 2 ] , \"c\":\"\\u00e9\" } ",
        ),
        (edit().remove("b"), " { \"a\" : 1.50 , \"c\":\"\\u00e9\" } "),
        (
            edit().remove("c"),
            " { \"a\" : 1.50 ,\n\t\"b\": [ 1 , 2 ] } ",
        ),
        (edit().remove("a").remove("b").remove("c"), " {  } "),
        (
            edit()
                .remove("a")
                .remove("b")
                .remove("c")
                .set_default("a", &json!(0)),
            " { \"a\":0 } ",
        ),
        (
            edit()
                .set_default("a", &json!(0))
                .set_default("d\n", &json!("\u{7}"))
                .set("d\n", &json!(5)),
            " { \"a\" : 1.50 ,\n\t\"b\": [ 1 , 2 ] , \"c\":\"\\u00e9\",\"d\\n\":5 } ",
        ),
        (
            edit().set("d", &json!(1)).remove("d"),
            std::str::from_utf8(body).unwrap(),
        ),
    ] {
        assert_eq!(text(edited.finish()), expected);
    }
    let empty = RawObject::parse(b"{}").unwrap();
    assert_eq!(
        text(empty.edit().set("a", &json!(1)).finish()),
        r#"{"a":1}"#
    );
}

#[test]
fn errors_state_position_and_cause() {
    for (text, expected) in [
        (
            "",
            "expected a JSON object, found nothing at line 1 column 1",
        ),
        (
            " \n ",
            "expected a JSON object, found nothing at line 2 column 2",
        ),
        (
            "[]",
            "expected a JSON object, found an array at line 1 column 1",
        ),
        (
            "\"a\"",
            "expected a JSON object, found a string at line 1 column 1",
        ),
        (
            "model=a",
            "expected a JSON object, found `m` at line 1 column 1",
        ),
        (
            "\u{feff}{}",
            "expected a JSON object, found a byte-order mark or another character that is not JSON at line 1 column 1",
        ),
        ("{\n  \"a\": 1,\n}", "a: trailing comma at line 2 column 9"),
        (
            "{\"a\": [1, 2, ]}",
            "a[1]: trailing comma at line 1 column 12",
        ),
        (
            "{\"a\" 1}",
            "a: expected `:` after the key, found a number at line 1 column 6",
        ),
        (
            "{\"a\": 1 \"b\": 2}",
            "a: expected `,` or `}`, found a string at line 1 column 9",
        ),
        (
            "{\"a\": [1 2]}",
            "a[0]: expected `,` or `]`, found a number at line 1 column 10",
        ),
        (
            "{\"a\": }",
            "a: expected a value, found `}` at line 1 column 7",
        ),
        (
            "{\"a\": True}",
            "a: expected a value, found `T` at line 1 column 7",
        ),
        (
            "{\"a\": nul}",
            "a: expected a value, found `n` at line 1 column 7",
        ),
        (
            "{'a': 1}",
            "expected a key in double quotes, found a single quote: JSON strings have double quotes at line 1 column 2",
        ),
        (
            "{\"a\": 1",
            "a: expected `,` or `}`, but the text ends here at line 1 column 8",
        ),
        (
            "{\"a\": \"b}",
            "a: a string without its closing quote at line 1 column 7",
        ),
        (
            "{\"a\": 01}",
            "a: a number with a leading zero at line 1 column 7",
        ),
        (
            "{\"a\": -}",
            "a: a number that lacks digits at line 1 column 7",
        ),
        (
            "{\"a\": 1.}",
            "a: a number that lacks digits at line 1 column 7",
        ),
        (
            "{\"a\": 1e}",
            "a: a number that lacks digits at line 1 column 7",
        ),
        (
            "{} {}",
            "text after the end of the JSON value at line 1 column 4",
        ),
        (
            "{\"m\": [{\"c\": [1, {\"t\" 2}]}]}",
            "m[0].c[1].t: expected `:` after the key, found a number at line 1 column 23",
        ),
    ] {
        let error = RawObject::parse(text.as_bytes()).unwrap_err();
        assert_eq!(error.to_string(), expected, "{text}");
        assert!(
            serde_json::from_str::<Map<String, Value>>(text).is_err(),
            "{text}"
        );
    }
    let deep = [b"{\"a\":".as_slice(), &[b'['; 100_000], b"\xff"].concat();
    assert!(RawObject::parse(&deep).unwrap_err().to_string().len() < 1000);
    let error = RawObject::parse(b"{\"a\": \"\xff\"}").unwrap_err();
    assert_eq!(
        error.to_string(),
        "a: the text is not UTF-8 at line 1 column 8"
    );
}

/// Errors inside a string are left to its reader.
#[test]
fn strings_are_checked_when_read() {
    for (text, expected) in [
        (
            "{\"é\": \"b\nc\"}",
            "é: a control character inside a string, such as a line break: escape it at line 1 column 9",
        ),
        (
            "{\"a\": \"\\x\"}",
            "a: an escape that JSON does not have at line 1 column 8",
        ),
        (
            "{\"a\": \"\\u12g4\"}",
            "a: `\\u` without its four hexadecimal digits at line 1 column 8",
        ),
        (
            "{\"a\": \"\\ud800!\"}",
            "a: a surrogate without its pair at line 1 column 8",
        ),
    ] {
        let object = RawObject::parse(text.as_bytes()).unwrap();
        let key = object.keys().next().unwrap();
        assert_eq!(object.str(key), None, "{text}");
        assert!(object.read::<String>(key).is_err(), "{text}");
        let strict = parse::<Value>(text.as_bytes()).unwrap_err();
        assert_eq!(strict.to_string(), expected, "{text}");

        let key = format!("{{{}: 1}}", object.get(key).unwrap());
        assert!(RawObject::parse(key.as_bytes()).is_err(), "{key}");
        let content = text.replace("a", "content").replace("é", "content");
        let chunk = |key: &str| {
            format!(
                r#"{{"choices": [{{"delta": {}}}]}}"#,
                content.replace("content", key)
            )
        };
        let summed_up = |key: &str| ChunkSummary::parse(chunk(key).as_bytes()).map(drop);
        assert!(
            summed_up("content").is_err() && summed_up("other").is_ok(),
            "{text}"
        );
    }
}

#[test]
fn depth_is_limited_as_in_serde_json() {
    for (depth, is_ok) in [(100, true), (127, true), (128, false), (100_000, false)] {
        let text = format!(
            "{{\"a\":{}{}}}",
            "[".repeat(depth - 1),
            "]".repeat(depth - 1)
        );
        assert_eq!(
            serde_json::from_str::<Value>(&text).is_ok(),
            is_ok,
            "{depth}"
        );
        assert_eq!(RawObject::parse(text.as_bytes()).is_ok(), is_ok, "{depth}");
    }
}

#[test]
fn an_index_is_for_its_text() {
    let body = "{\"m\\u006fdel\":\"é\",\"n\":[]}";
    let index = RawIndex::parse(body.as_bytes()).unwrap();
    let object = index.object(body.as_bytes()).unwrap();
    assert_eq!(object.str("model").as_deref(), Some("é"));
    assert_eq!(RawObject::parse_str(body).unwrap().into_index(), index);
    assert!(index.object(&body.as_bytes()[1..]).is_none());
    // Another text of the same length gives meaningless members, but does not panic.
    for other in [
        vec![b' '; body.len()],
        vec![0xff; body.len()],
        vec![b'['; body.len()],
    ] {
        let object = index.object(&other).unwrap();
        assert_eq!(object.str("model"), None);
        assert!(object.items("n").into_iter().flatten().count() < 2);
        assert_eq!(object.keys().count(), 2);
        assert!(
            object
                .edit()
                .set("model", &json!(1))
                .remove("n")
                .finish()
                .len()
                > 1
        );
    }
}

#[test]
fn summarizes_chunks() {
    let summary = |text: &'static str| ChunkSummary::parse(text.as_bytes()).unwrap();
    let chunk = summary(
        r#"{"choices":[{"index":0,"delta":{"content":"a\n","tool_calls":[]},"finish_reason":"eos"}],"usage":null}"#,
    );
    assert_eq!(chunk.content.as_deref(), Some("a\n"));
    assert_eq!(chunk.finish_reason.as_deref(), Some("eos"));
    assert_eq!(
        (chunk.choices, chunk.usage, chunk.tool_calls),
        (1, Field::Null, false)
    );
    assert!(chunk.has_output());

    let chunk = summary(r#"{"choices":[],"usage":{"prompt_tokens": 1}}"#);
    assert_eq!(chunk.usage, Field::Value(r#"{"prompt_tokens": 1}"#));
    assert!(chunk.choices == 0 && !chunk.has_output());

    let chunk = summary(
        r#"{"choices":[{"delta":{"content":"","reasoning":null},"finish_reason":""},{"delta":{"r\u0065asoning":"hm"}}]}"#,
    );
    assert_eq!(
        (chunk.choices, chunk.content, chunk.finish_reason),
        (2, None, None)
    );
    assert_eq!(chunk.reasoning.as_deref(), Some("hm"));

    let chunk = summary(r#"{"choices":[{"delta":{"tool_calls":[{"index":0}]}}]}"#);
    assert!(chunk.tool_calls && chunk.has_output());

    let chunk = summary(r#"{"error":{"message":"m"},"choices":null,"usage":5}"#);
    assert_eq!(chunk.error, Some(r#"{"message":"m"}"#));
    assert_eq!(summary(r#"{"error":null}"#).error, None);
    for odd in [
        "[]",
        "",
        "{\"choices\":[{\"delta\":{\"content\":\"a}}]}",
        "{\"a\":1}x",
    ] {
        assert!(ChunkSummary::parse(odd.as_bytes()).is_err(), "{odd}");
    }
}

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
