use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use llm_provider::{Error, ErrorKind};
use provider_openai::read_error;

/// Reads an error response of Acme's: OpenAI's envelope, with Acme's codes.
pub(crate) fn read(status: StatusCode, headers: &HeaderMap, body: Bytes) -> Error {
    let error = read_error(status, headers, body);
    // The kind comes from the status and from JSON fields, never from the words of a message.
    match error.code() {
        Some("out_of_credit") => error.with_kind(ErrorKind::InsufficientCredit),
        _ => error,
    }
}
