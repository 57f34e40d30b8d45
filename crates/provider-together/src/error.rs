use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use llm_provider::{Error, ErrorKind, openai};

/// Reads an error answer of Together's.
///
/// The envelope is OpenAI's with an `id` beside it, but for `GET /models`, whose error has a
/// message only, and for Cloudflare's pages. A context that overflows comes as 400 or 403, with
/// `max_tokens` as the parameter to blame.
pub(crate) fn read(status: StatusCode, headers: &HeaderMap, body: Bytes) -> Error {
    let error = openai::read_error(status, headers, body);
    let overflow = matches!(status.as_u16(), 400 | 403) && error.param() == Some("max_tokens");
    if overflow {
        error.with_kind(ErrorKind::ContextWindow)
    } else {
        error
    }
}
