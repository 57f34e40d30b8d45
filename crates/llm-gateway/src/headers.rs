//! The response headers that describe a call.

use http::header::{HeaderMap, HeaderName, HeaderValue};
use llm_provider::Metadata;

pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
pub(crate) const DEPLOYMENT: HeaderName = HeaderName::from_static("x-polyllm-deployment");
pub(crate) const PROVIDER: HeaderName = HeaderName::from_static("x-polyllm-provider");
pub(crate) const SIMULATED: HeaderName = HeaderName::from_static("x-polyllm-simulated");
const ATTEMPTS: HeaderName = HeaderName::from_static("x-polyllm-attempts");
const DROPPED_PARAMS: HeaderName = HeaderName::from_static("x-polyllm-dropped-params");

/// Adds the metadata of a call.
pub(crate) fn describe(headers: &mut HeaderMap, metadata: &Metadata) {
    insert(
        headers,
        PROVIDER,
        Some(metadata.provider).filter(|name| !name.is_empty()),
    );
    insert(headers, DEPLOYMENT, metadata.deployment.as_deref());
    if metadata.attempts > 0 {
        headers.insert(ATTEMPTS, HeaderValue::from(metadata.attempts));
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

/// Adds a header. Characters that are not valid in a header are escaped, as in `\u{e9}`.
pub(crate) fn insert(headers: &mut HeaderMap, name: HeaderName, value: Option<&str>) {
    let Some(value) = value else { return };
    let value = HeaderValue::try_from(value)
        .or_else(|_| HeaderValue::try_from(value.escape_default().to_string()));
    if let Ok(value) = value {
        headers.insert(name, value);
    }
}

/// The client's request id if it is valid, or else a new one.
pub(crate) fn request_id(headers: &HeaderMap) -> HeaderValue {
    headers
        .get(REQUEST_ID)
        .filter(|id| is_valid_id(id))
        .cloned()
        .unwrap_or_else(|| {
            let random = fastrand::u128(..).to_le_bytes();
            let digits = random.iter().flat_map(|byte| [byte >> 4, byte & 15]);
            let digits = digits.map(|digit| b"0123456789abcdef"[usize::from(digit)]);
            let id: Vec<u8> = b"req_".iter().copied().chain(digits).collect();
            HeaderValue::try_from(id).unwrap_or_else(|_| HeaderValue::from_static("req"))
        })
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
    fn characters_that_are_not_valid_in_a_header_are_escaped() {
        let mut headers = HeaderMap::new();
        for (value, expected) in [("a/b:c#2", "a/b:c#2"), ("modèle\n", "mod\\u{e8}le\\n")] {
            insert(&mut headers, DEPLOYMENT, Some(value));
            assert_eq!(headers[DEPLOYMENT], expected);
        }
    }
}
