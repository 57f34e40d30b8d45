//! The response headers that describe a call.

use std::time::Duration;

use bytes::Bytes;
use http::header::{HeaderMap, HeaderName, HeaderValue};
use llm_provider::Metadata;
use serde_json::Value;

pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
pub(crate) const DEPLOYMENT: HeaderName = HeaderName::from_static("x-polyllm-deployment");
pub(crate) const PROVIDER: HeaderName = HeaderName::from_static("x-polyllm-provider");
pub(crate) const SIMULATED: HeaderName = HeaderName::from_static("x-polyllm-simulated");
/// The request's id, under the name that Anthropic's SDKs read.
pub(crate) const ANTHROPIC_REQUEST_ID: HeaderName = HeaderName::from_static("request-id");
pub(crate) const IGNORED: HeaderName = HeaderName::from_static("x-polyllm-ignored-params");
/// The tools whose arguments were no JSON, so that the message has none.
pub(crate) const REPLACED_ARGUMENTS: HeaderName =
    HeaderName::from_static("x-polyllm-replaced-arguments");
/// LiteLLM's header for tags, separated by commas.
pub(crate) const TAGS: HeaderName = HeaderName::from_static("x-litellm-tags");
const CACHE: HeaderName = HeaderName::from_static("x-polyllm-cache");
const STRICT: HeaderName = HeaderName::from_static("x-polyllm-strict");
const CALL_ID: HeaderName = HeaderName::from_static("x-litellm-call-id");
const MODEL_ID: HeaderName = HeaderName::from_static("x-litellm-model-id");
const DURATION: HeaderName = HeaderName::from_static("x-litellm-response-duration-ms");
const ATTEMPTS: HeaderName = HeaderName::from_static("x-polyllm-attempts");
const DROPPED_PARAMS: HeaderName = HeaderName::from_static("x-polyllm-dropped-params");

/// Adds the metadata of a call.
pub(crate) fn describe(headers: &mut HeaderMap, metadata: &Metadata) {
    insert_static(headers, PROVIDER, metadata.provider);
    insert(headers, DEPLOYMENT, metadata.deployment.as_deref());
    let cache = metadata.extra.get("cache").and_then(Value::as_str);
    insert(headers, CACHE, cache);
    match metadata.attempts {
        0 => {}
        // The usual number, without an allocation.
        1 => insert_static(headers, ATTEMPTS, "1"),
        attempts => drop(headers.insert(ATTEMPTS, HeaderValue::from(attempts))),
    }
    if !metadata.dropped_params.is_empty() {
        let mut names = metadata.dropped_params.join(",");
        // The names come from the client.
        if names.len() > MAX_DROPPED_PARAMS {
            names.truncate(names.floor_char_boundary(MAX_DROPPED_PARAMS));
            names.push_str("...");
        }
        insert(headers, DROPPED_PARAMS, Some(&names));
    }
}

/// Adds LiteLLM's headers of a call: its id, which its usage record has, too, its deployment, and the
/// time until the response began.
pub(crate) fn describe_call(headers: &mut HeaderMap, call_id: &str, elapsed: Duration) {
    insert(headers, CALL_ID, Some(call_id));
    if let Some(deployment) = headers.get(DEPLOYMENT).cloned() {
        headers.insert(MODEL_ID, deployment);
    }
    let millis = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX);
    headers.insert(DURATION, HeaderValue::from(millis));
}

/// Adds a header unless the value is empty, as [`insert`] does, without a copy of the value.
fn insert_static(headers: &mut HeaderMap, name: HeaderName, value: &'static str) {
    if value.is_empty() {
        return;
    }
    match HeaderValue::from_maybe_shared(Bytes::from_static(value.as_bytes())) {
        Ok(value) => drop(headers.insert(name, value)),
        Err(_) => insert(headers, name, Some(value)),
    }
}

/// Adds a header. Characters that are not valid in a header are escaped, as in `\u{e9}`.
pub(crate) fn insert(headers: &mut HeaderMap, name: HeaderName, value: Option<&str>) {
    let Some(value) = value else { return };
    let value = HeaderValue::try_from(value)
        .or_else(|_| HeaderValue::try_from(value.escape_default().to_string()));
    if let Ok(value) = value {
        headers.insert(name, value);
    }
}

/// Whether the client wants an error instead of parameters without effect.
pub(crate) fn is_strict(headers: &HeaderMap) -> bool {
    headers.get(STRICT).is_some_and(|value| value == "true")
}

/// The client's request id if it is valid, or else a new one.
pub(crate) fn request_id(headers: &HeaderMap) -> HeaderValue {
    headers
        .get(REQUEST_ID)
        .filter(|id| is_valid_id(id))
        .cloned()
        .unwrap_or_else(|| {
            let id = HeaderValue::try_from(random_id("req_"));
            id.unwrap_or_else(|_| HeaderValue::from_static("req"))
        })
}

/// A random id with this prefix.
pub(crate) fn random_id(prefix: &str) -> String {
    let mut id = String::with_capacity(prefix.len() + 32);
    id.push_str(prefix);
    push_hex(&mut id, fastrand::u64(..), 16);
    push_hex(&mut id, fastrand::u64(..), 16);
    id
}

/// Adds the last `digits` hexadecimal digits of a number. `format!` takes ten times as long, and
/// every request has two ids.
pub(crate) fn push_hex(text: &mut String, number: u64, digits: u32) {
    for digit in (0..digits).rev() {
        let value = usize::try_from(number >> (4 * digit) & 0xf).unwrap_or_default();
        text.push(char::from(b"0123456789abcdef"[value]));
    }
}

fn is_valid_id(id: &HeaderValue) -> bool {
    let id = id.as_bytes();
    (1..=MAX_REQUEST_ID).contains(&id.len())
        && id
            .iter()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-_.:/+=".contains(byte))
}

const MAX_REQUEST_ID: usize = 128;
/// In bytes. Many clients and proxies reject a response with a head of more than a few KiB.
const MAX_DROPPED_PARAMS: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_in_hexadecimal_equals_that_of_the_formatter() {
        for number in [0, 9, 0xabc_def0, u64::MAX] {
            let mut text = String::new();
            push_hex(&mut text, number, 16);
            assert_eq!(text, format!("{number:016x}"));
        }
    }

    #[test]
    fn characters_that_are_not_valid_in_a_header_are_escaped() {
        let mut headers = HeaderMap::new();
        for (value, expected) in [("a/b:c#2", "a/b:c#2"), ("modèle\n", "mod\\u{e8}le\\n")] {
            insert(&mut headers, DEPLOYMENT, Some(value));
            assert_eq!(headers[DEPLOYMENT], expected);
        }
    }
}
