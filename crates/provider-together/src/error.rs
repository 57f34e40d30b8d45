use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use llm_provider::{Error, ErrorKind};
use llm_types::ErrorResponse;
use provider_openai::read_error;
use serde_json::Value;

/// Reads an error response of Together.
///
/// The envelope is OpenAI's with an `id` beside it, except for `GET /models`, whose error has only a
/// message, and for Cloudflare's pages. A context overflow is a 400 with the param `max_tokens`, or
/// a 403 of type `invalid_request_error` without a code: Together documents no other reason for that
/// 403. Any other 403, such as a firewall's page, is `Permission`. The `error_type`, inside the error
/// or beside it, names the rate limit that was exceeded.
pub(crate) fn read(status: StatusCode, headers: &HeaderMap, body: Bytes) -> Error {
    let error = read_error(status, headers, body);
    let overflow = match status.as_u16() {
        400 => error.param() == Some("max_tokens"),
        403 => error.code().is_none() && error.body().is_some_and(|body| is_invalid_request(body)),
        _ => false,
    };
    if overflow {
        return error.with_kind(ErrorKind::ContextWindow);
    }
    if status == StatusCode::TOO_MANY_REQUESTS && error.code().is_none() {
        let code = error.body().and_then(|body| error_type(body));
        return error.with_code(code);
    }
    error
}

fn is_invalid_request(body: &[u8]) -> bool {
    let envelope = ErrorResponse::parse(body);
    envelope.is_some_and(|envelope| envelope.error.type_.as_str() == Some("invalid_request_error"))
}

fn error_type(body: &[u8]) -> Option<String> {
    let envelope = ErrorResponse::parse(body)?;
    let found = envelope.error.extra.get("error_type");
    let found = found.or_else(|| envelope.extra.get("error_type"));
    found.and_then(Value::as_str).map(str::to_owned)
}
