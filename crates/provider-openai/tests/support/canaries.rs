//! Secrets that a test upstream repeats in its responses, and checks that they are redacted.

use std::error::Error as StdError;

use llm_provider::{ApiKey, Error, Metadata, Settings};
use serde_json::{Value, json};

/// The API key: with characters that JSON and URLs escape.
pub(crate) const KEY: &str = "sk-canary/4f1c+key\"&9";
/// The value of an extra header.
pub(crate) const HEADER: &str = "header-canary-77aa";
/// The credentials of an extra header with a scheme.
pub(crate) const BEARER: &str = "bearer-canary-88bb";

pub(crate) const CANARIES: [&str; 3] = [KEY, HEADER, BEARER];

/// The settings of a deployment with these secrets.
pub(crate) fn settings(base: &str) -> Settings {
    let mut settings = Settings::new()
        .with_api_key(ApiKey::new(KEY))
        .with_api_base(base)
        .with_max_retries(0);
    let headers = &mut settings.extra_headers;
    headers.insert("x-team", HEADER).unwrap();
    headers
        .insert("x-proxy-auth", &format!("Bearer {BEARER}"))
        .unwrap();
    settings
}

/// The document with a canary in one of its members or items, once for each of them.
pub(crate) fn planted(document: &Value, canary: &str) -> Vec<Value> {
    let text = json!(format!("it was {canary}!"));
    let mut all = Vec::new();
    match document {
        Value::Object(members) => {
            for (name, member) in members {
                for member in planted(member, canary) {
                    let mut document = document.clone();
                    document[name] = member;
                    all.push(document);
                }
            }
            let mut document = document.clone();
            document[canary] = json!(1);
            all.push(document);
        }
        Value::Array(items) => {
            for (place, item) in items.iter().enumerate() {
                for item in planted(item, canary) {
                    let mut document = document.clone();
                    document[place] = item;
                    all.push(document);
                }
            }
        }
        _ => {}
    }
    all.push(text);
    all.push(json!(canary));
    all
}

/// The document as JSON text, plain and with every character of its strings escaped.
pub(crate) fn spellings(document: &Value) -> [String; 2] {
    let plain = document.to_string();
    let mut escaped = String::new();
    write_escaped(document, &mut escaped);
    assert_eq!(&serde_json::from_str::<Value>(&escaped).unwrap(), document);
    [plain, escaped]
}

fn write_escaped(document: &Value, out: &mut String) {
    let string = |text: &str| {
        let units = text.encode_utf16().map(|unit| format!("\\u{unit:04x}"));
        format!("\"{}\"", units.collect::<String>())
    };
    match document {
        Value::String(text) => *out += &string(text),
        Value::Array(items) => {
            *out += "[";
            for (place, item) in items.iter().enumerate() {
                *out += if place == 0 { "" } else { "," };
                write_escaped(item, out);
            }
            *out += "]";
        }
        Value::Object(members) => {
            *out += "{";
            for (place, (name, member)) in members.iter().enumerate() {
                *out += if place == 0 { "" } else { "," };
                *out += &string(name);
                *out += ":";
                write_escaped(member, out);
            }
            *out += "}";
        }
        other => *out += &other.to_string(),
    }
}

/// Fails when an error shows a canary anywhere.
#[track_caller]
pub(crate) fn assert_clean(error: &Error, case: &str) {
    let mut texts = vec![error.message().to_owned()];
    let fields = [
        error.code(),
        error.param(),
        error.upstream_id(),
        error.model(),
    ];
    texts.extend(fields.into_iter().flatten().map(str::to_owned));
    if let Some(body) = error.body() {
        texts.push(String::from_utf8_lossy(body).into_owned());
        // Without the escapes of JSON.
        let read: Result<Value, _> = serde_json::from_slice(body);
        texts.extend(read.map(|body| format!("{body}")));
    }
    let chain = std::iter::successors(Some(error as &dyn StdError), |&error| error.source());
    for error in chain {
        texts.extend([error.to_string(), format!("{error:?}")]);
    }
    for text in texts {
        assert_text_clean(&text, case);
    }
}

/// Fails when the metadata of an answer shows a canary.
#[track_caller]
pub(crate) fn assert_metadata_clean(metadata: &Metadata, case: &str) {
    assert_text_clean(&format!("{metadata:?}"), case);
    assert_text_clean(metadata.upstream_id.as_deref().unwrap_or_default(), case);
}

/// Fails when a text shows a canary, also an escaped one.
#[track_caller]
pub(crate) fn assert_text_clean(text: &str, case: &str) {
    let escaped = Value::from(KEY).to_string();
    let escaped = escaped.trim_matches('"');
    let encoded = "sk-canary%2F4f1c%2Bkey%22%269";
    for form in CANARIES.into_iter().chain([escaped, encoded]) {
        assert!(!text.contains(form), "{case} shows {form}: {text}");
    }
    // Neither may a part of the key be shown.
    assert!(!text.contains("sk-can"), "{case} shows a part: {text}");
}
