//! Normalization of replies in one piece.

use llm_provider::endpoint::{Chat, Completions, ENDPOINTS, Embeddings, Moderations, Rerank};
use llm_provider::{Document, Endpoint, ErrorKind, Metadata};
use llm_types::RawObject;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use serde::de::IgnoredAny;
use serde_json::{Value, json};

use crate::config;
use crate::documents::{REPLIES, arbitrary, damaged, pointers, text};

proptest! {
    #![proptest_config(config(1_000))]

    #[test]
    fn a_damaged_reply_is_normalized_or_an_error(reply in damaged(&REPLIES), base64: bool) {
        for endpoint in ENDPOINTS {
            check(*endpoint, reply.as_bytes(), base64)?;
        }
    }

    #[test]
    fn an_arbitrary_document_is_normalized_or_an_error(reply in arbitrary(), base64: bool) {
        for endpoint in ENDPOINTS {
            check(*endpoint, reply.as_bytes(), base64)?;
        }
    }

    #[test]
    fn arbitrary_bytes_are_normalized_or_an_error(
        sample in select(&REPLIES[..]),
        at in any::<Index>(),
        removed in 0..8_usize,
        bytes in vec(any::<u8>(), 0..8),
    ) {
        let mut reply = sample.to_string().into_bytes();
        let begin = at.index(reply.len());
        let end = (begin + removed).min(reply.len());
        reply.splice(begin..end, bytes);
        for endpoint in ENDPOINTS {
            check(*endpoint, &reply, false)?;
        }
    }

    #[test]
    fn an_unknown_member_is_kept(
        (endpoint, sample) in select(known_replies()),
        at in any::<Index>(),
        base64: bool,
    ) {
        let mut reply = sample;
        let mut objects = pointers(&reply);
        // Log probabilities change their shape, and a category is not an unknown member.
        objects.retain(|at| {
            !at.contains("logprobs")
                && !at.contains("categor")
                && reply.pointer(at).is_some_and(Value::is_object)
        });
        let place = at.get(&objects);
        reply.pointer_mut(place).unwrap()["x_unknown"] = json!([1.50, { "a": null }]);
        let normalized = normalize(endpoint, text(&reply).into_bytes(), base64);
        let normalized: Value = normalized.unwrap().read().unwrap();
        let kept = normalized.pointer(&format!("{place}/x_unknown"));
        prop_assert_eq!(kept, Some(&json!([1.50, { "a": null }])), "{} in {}", place, normalized);
    }
}

/// The samples, each with the endpoint whose reply it is.
fn known_replies() -> Vec<(&'static dyn Endpoint, Value)> {
    let endpoint = |reply: &Value| -> Option<&'static dyn Endpoint> {
        match reply["object"].as_str() {
            Some("chat.completion") => Some(&Chat),
            Some("text_completion") => Some(&Completions),
            Some("list") if reply["data"][0].get("embedding").is_some() => Some(&Embeddings),
            Some("rerank") => Some(&Rerank),
            _ if reply["results"][0].get("relevance_score").is_some() => Some(&Rerank),
            _ if reply["results"][0].get("flagged").is_some() => Some(&Moderations),
            _ => None,
        }
    };
    let known = REPLIES.iter();
    known
        .filter_map(|reply| Some((endpoint(reply)?, reply.clone())))
        .collect()
}

#[test]
fn every_endpoint_has_a_sample() {
    let known = known_replies();
    for endpoint in ENDPOINTS {
        let mut known = known.iter();
        assert!(
            known.any(|(known, _)| known.path() == endpoint.path()),
            "{endpoint:?}"
        );
    }
}

/// Checks what holds for every reply.
fn check(endpoint: &'static dyn Endpoint, reply: &[u8], base64: bool) -> Result<(), TestCaseError> {
    let once = match normalize(endpoint, reply.to_vec(), base64) {
        Ok(once) => once,
        Err(error) => {
            prop_assert_eq!(error.kind(), ErrorKind::UnexpectedBody, "{:?}", endpoint);
            prop_assert!(error.to_string().len() < 2_000, "{error}");
            return Ok(());
        }
    };
    let shown = String::from_utf8_lossy(once.bytes());
    // Strings that no normalizer reads pass unchecked: see `RawObject`.
    prop_assert!(
        RawObject::parse(once.bytes()).is_ok(),
        "{endpoint:?}: {shown}"
    );
    let json = validate(once.bytes());
    prop_assert!(
        json.is_ok() || validate(reply).is_err(),
        "{endpoint:?} wrote {json:?}: {shown}"
    );
    let twice = normalize(endpoint, once.bytes().to_vec(), base64);
    let twice = twice.map_err(|error| TestCaseError::fail(format!("second pass: {error}")))?;
    prop_assert_eq!(
        String::from_utf8_lossy(twice.bytes()),
        shown,
        "{:?}",
        endpoint
    );
    Ok(())
}

/// Whether a text is JSON, with numbers of any size.
fn validate(text: &[u8]) -> Result<(), String> {
    let text = std::str::from_utf8(text).map_err(|error| error.to_string())?;
    let json = serde_json::from_str::<IgnoredAny>(text);
    json.map(drop).map_err(|error| error.to_string())
}

fn normalize(
    endpoint: &'static dyn Endpoint,
    reply: Vec<u8>,
    base64: bool,
) -> llm_provider::Result<Document> {
    let format = if base64 { "base64" } else { "float" };
    let request = json!({ "model": "m", "input": "text", "encoding_format": format });
    let request = Document::new(&request);
    let mut metadata = Metadata::new("acme", "m");
    endpoint.normalize(&request, Document::from_bytes(reply), &mut metadata)
}
