//! Authentication by the master key.

use std::hint::black_box;

use http::StatusCode;
use http::header::{AUTHORIZATION, HeaderMap};
use llm_provider::ApiKey;

use crate::error::ApiError;

/// Rejects a request without `key`.
pub(crate) fn check(key: &ApiKey, headers: &HeaderMap) -> Result<(), ApiError> {
    match bearer(headers) {
        Some(given) if is_equal(given, key.expose().as_bytes()) => Ok(()),
        Some(_) => Err(unauthorized("the API key is not the gateway's")),
        None => Err(unauthorized(
            "no API key: send the header `Authorization: Bearer KEY`",
        )),
    }
}

fn unauthorized(message: &'static str) -> ApiError {
    ApiError::new(StatusCode::UNAUTHORIZED, "invalid_request_error", message)
        .with_code("invalid_api_key")
}

fn bearer(headers: &HeaderMap) -> Option<&[u8]> {
    let value = headers.get(AUTHORIZATION)?.as_bytes();
    let (scheme, key) = value.split_at_checked(SCHEME.len())?;
    scheme
        .eq_ignore_ascii_case(SCHEME)
        .then(|| key.trim_ascii())
}

/// Compares in a time that does not depend on the position of the first difference.
fn is_equal(given: &[u8], expected: &[u8]) -> bool {
    let difference = given
        .iter()
        .zip(expected)
        .fold(0, |sum, (a, b)| black_box(sum | (a ^ b)));
    given.len() == expected.len() && difference == 0
}

const SCHEME: &[u8] = b"Bearer ";
