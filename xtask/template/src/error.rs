use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use llm_provider::{Error, ErrorKind};
use provider_openai::read_error;

/// Reads an error answer of Acme's: OpenAI's envelope, with codes of its own.
pub(crate) fn read(status: StatusCode, headers: &HeaderMap, body: Bytes) -> Error {
    let error = read_error(status, headers, body);
    // The kind comes from the status and from JSON fields, never from words in a message.
    match error.code() {
        Some("out_of_credit") => error.with_kind(ErrorKind::InsufficientCredit),
        _ => error,
    }
}
