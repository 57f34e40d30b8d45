use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use llm_provider::{Error, ErrorKind};
use serde::Deserialize;

use crate::wire::Failure;

/// Reads an error response of Acme's. The kind comes from the status and from JSON fields, never
/// from the words of a message.
pub(crate) fn read(status: StatusCode, headers: &HeaderMap, body: Bytes) -> Error {
    let error = Error::from_response(status, headers, body.clone());
    let Ok(Envelope { error: failure }) = serde_json::from_slice(&body) else {
        return error;
    };
    let error = match failure.code.as_deref() {
        Some("out_of_credit") => error.with_kind(ErrorKind::InsufficientCredit),
        Some("too_long") => error.with_kind(ErrorKind::ContextWindow),
        _ => error,
    };
    error.with_message(failure.reason).with_code(failure.code)
}

#[derive(Deserialize)]
struct Envelope {
    error: Failure,
}
