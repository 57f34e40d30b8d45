use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use llm_provider::{Error, ErrorKind, openai};

/// Reads an error answer of Together's.
///
/// The envelope is OpenAI's with an `id` beside it, but for `GET /models`, whose error has a
/// message only, and for Cloudflare's pages. A context that overflows comes as 400 that blames
/// `max_tokens`, or as 403, for which Together's table of errors knows no other reason.
pub(crate) fn read(status: StatusCode, headers: &HeaderMap, body: Bytes) -> Error {
    let error = openai::read_error(status, headers, body);
    let overflow = match status.as_u16() {
        400 => error.param() == Some("max_tokens"),
        403 => error.code().is_none(),
        _ => false,
    };
    if overflow {
        error.with_kind(ErrorKind::ContextWindow)
    } else {
        error
    }
}
