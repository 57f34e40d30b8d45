use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use llm_provider::Error;

/// Reads an error response with OpenAI's envelope. The kind comes from the status and the code, the
/// retry advice from the headers.
///
/// If the body has no message, the error is that of [`Error::from_response`].
pub fn read_error(status: StatusCode, headers: &HeaderMap, body: Bytes) -> Error {
    Error::from_response(status, headers, body.clone()).with_envelope(&body)
}
