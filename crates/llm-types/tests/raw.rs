//! Raw objects, arrays and chunk summaries: examples. `raw_properties.rs` has those on any input.

use llm_types::{
    ChunkSummary, Field, Map, RawIndex, RawItems, RawObject, RawObjects, Value, parse,
};
use serde_json::json;

#[test]
fn members_are_read_by_their_type() {
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
        let summarized = |key: &str| ChunkSummary::parse(chunk(key).as_bytes()).map(drop);
        assert!(
            summarized("content").is_err() && summarized("other").is_ok(),
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
fn items_end_where_the_text_is_invalid() {
    for text in [
        "[1, -, 2]",
        "[1, {\"a\": -, \"b\": 2}, 3]",
        "[1, tru, 2]",
        "[1",
    ] {
        let mut items = RawItems::of(text).unwrap();
        assert_eq!(items.next(), Some("1"), "{text}");
        assert_eq!((items.next(), items.next()), (None, None), "{text}");
        let mut objects = RawObjects::of(text).unwrap();
        assert!(objects.next().is_some_and(|item| item.is_err()), "{text}");
        assert!(
            objects.next().is_none() && objects.next().is_none(),
            "{text}"
        );
    }
    assert!(RawItems::of("{}").is_none() && RawObjects::of("1").is_none());
}

#[test]
fn a_summary_has_the_facts_of_its_chunk() {
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
