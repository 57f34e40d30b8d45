//! Event streams through `sse-codec`.

use serde_json::{Value, json};
use sse_codec::Decoder;

use crate::Miss;

/// Decodes the input whole, in small reads and at every split.
pub(crate) fn check(vector: &Value) -> Result<(), Miss> {
    let input = vector["input_b64"].as_str().and_then(decode_base64);
    let input = input.ok_or_else(|| Miss::lacks("base64 in input_b64"))?;
    let wanted = wanted(vector)?;

    let compare = |how: &str, reads: &[&[u8]]| {
        let got = decode(reads);
        if got == wanted {
            Ok(())
        } else {
            Err(Miss::new(wanted.to_string(), format!("{got} {how}")))
        }
    };
    compare("as a whole", &[&input])?;
    for size in [1, 2, 3, 7] {
        compare(
            &format!("in reads of {size}"),
            &input.chunks(size).collect::<Vec<_>>(),
        )?;
    }
    for at in 1..input.len() {
        compare(&format!("split at {at}"), &[&input[..at], &input[at..]])?;
    }
    Ok(())
}

/// Both sides as JSON, so that they print alike.
fn wanted(vector: &Value) -> Result<Value, Miss> {
    let events = vector["expected_events"].as_array();
    let events = events.ok_or_else(|| Miss::lacks("expected_events"))?;
    let event = |event: &Value| {
        json!([
            event["event"],
            event["data"],
            event["id"],
            milliseconds(&event["retry"])
        ])
    };
    Ok(json!({
        "events": events.iter().map(event).collect::<Vec<_>>(),
        "last id": vector["final_last_event_id"],
        "retry": milliseconds(&vector["final_retry"]),
    }))
}

fn decode(reads: &[&[u8]]) -> Value {
    let mut decoder = Decoder::new();
    let mut events = Vec::new();
    for read in reads {
        let decoded = decoder.feed(read, |event| {
            events.push(json!([
                event.name(),
                event.text(),
                event.id(),
                event.retry()
            ]));
        });
        if let Err(error) = decoded {
            events.push(json!(error.to_string()));
        }
    }
    json!({ "events": events, "last id": decoder.last_event_id(), "retry": decoder.retry() })
}

/// A number beyond 64 bits is decoded as the largest one.
fn milliseconds(value: &Value) -> Option<u64> {
    value
        .is_number()
        .then(|| value.as_u64().unwrap_or(u64::MAX))
}

fn decode_base64(text: &str) -> Option<Vec<u8>> {
    const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut bits = 0_u32;
    let mut bytes = Vec::new();
    for (nth, digit) in text.trim_end_matches('=').bytes().enumerate() {
        let value = ALPHABET.iter().position(|known| *known == digit)?;
        bits = bits << 6 | u32::try_from(value).ok()?;
        if nth % 4 != 0 {
            bytes.push((bits >> (6 - 2 * (nth % 4))) as u8);
        }
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vector(data: &str) -> Value {
        json!({
            "id": "x",
            "input_b64": "aWQ6IDEKZGF0YTogw6kKCg==", // id: 1, data: é
            "expected_events": [{"event": "message", "data": data, "id": "1", "retry": null}],
            "final_last_event_id": "1",
            "final_retry": null,
        })
    }

    #[test]
    fn a_wrong_event_is_a_miss_that_says_where() {
        assert_eq!(check(&vector("é")), Ok(()));
        let miss = check(&vector("e")).unwrap_err();
        assert!(
            miss.wanted.contains(r#"["message","e","1",null]"#),
            "{miss:?}"
        );
        assert!(miss.got.contains(r#"["message","é","1",null]"#), "{miss:?}");
        assert!(miss.got.ends_with("as a whole"), "{miss:?}");
    }

    #[test]
    fn what_is_no_vector_is_a_miss() {
        assert_eq!(check(&json!({})), Err(Miss::lacks("base64 in input_b64")));
        assert!(check(&json!({"input_b64": "!"})).is_err());
        assert_eq!(
            check(&json!({"input_b64": ""})),
            Err(Miss::lacks("expected_events"))
        );
    }
}
