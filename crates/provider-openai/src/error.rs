use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use llm_provider::Error;

/// Reads an error answer in OpenAI's envelope: kind from status and code, advice from headers.
///
/// Without a message in it, the error is that of [`Error::from_answer`].
pub fn read_error(status: StatusCode, headers: &HeaderMap, body: Bytes) -> Error {
    Error::from_answer(status, headers, body.clone()).with_envelope(&body)
}
