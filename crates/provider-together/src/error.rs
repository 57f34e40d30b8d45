use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use llm_provider::{Error, ErrorKind};
use llm_types::ErrorResponse;
use provider_openai::{is_context_overflow, read_error};
use serde_json::Value;

/// Reads an error response of Together.
///
/// The envelope is OpenAI's with an `id` beside it, except for `GET /models`, whose error has only a
/// message, and for Cloudflare's pages. A context overflow is a 400 or a 403 with the words of one of the
/// engines, or of the documentation. The `error_type`, inside the error or beside it, names the rate
/// limit that was exceeded.
pub(crate) fn read(status: StatusCode, headers: &HeaderMap, body: Bytes) -> Error {
    let error = read_error(status, headers, body);
    if matches!(status.as_u16(), 400 | 403) && is_overflow(&error) {
        return error.with_kind(ErrorKind::ContextWindow);
    }
    if status == StatusCode::TOO_MANY_REQUESTS && error.code().is_none() {
        let code = error.body().and_then(|body| error_type(body));
        return error.with_code(code);
    }
    error
}

/// Whether the message is that of a context overflow. Together's errors have no code for it, and their
/// type and parameter are the same for a `max_tokens` that is out of range, which no model with a longer
/// context accepts.
fn is_overflow(error: &Error) -> bool {
    let message = error.message();
    is_context_overflow(message) || message.contains(OVERFLOW)
}

fn error_type(body: &[u8]) -> Option<String> {
    let envelope = ErrorResponse::parse(body)?;
    let found = envelope.error.extra.get("error_type");
    let found = found.or_else(|| envelope.extra.get("error_type"));
    found.and_then(Value::as_str).map(str::to_owned)
}

/// The words of the 403 in Together's documentation.
const OVERFLOW: &str = "must be less than the context length";
