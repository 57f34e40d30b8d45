//! Replicate's errors: HTTP responses with problem+json, and failed predictions.

use std::borrow::Cow;

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use llm_provider::text::excerpt;
use llm_provider::{Error, ErrorKind};
use serde_json::Value;

use crate::client::NAME;

/// The error of an HTTP response.
///
/// The body is RFC 9457 in Replicate's form: it may contain only `detail`.
pub(crate) fn from_response(status: StatusCode, headers: &HeaderMap, body: Bytes) -> Error {
    let problem: Value = serde_json::from_slice(&body).unwrap_or_default();
    let title = problem["title"].as_str().unwrap_or_default();
    let detail = problem["detail"].as_str().unwrap_or_default().trim();
    let invalid = problem["invalid_fields"]
        .as_array()
        .map_or(&[][..], Vec::as_slice);
    let fields: Vec<String> = invalid.iter().filter_map(invalid_field).collect();
    let message = if !fields.is_empty() {
        shorten(&fields.join("; "))
    } else if let Some(text) = [detail, title].into_iter().find(|text| !text.is_empty()) {
        shorten(text)
    } else {
        return Error::from_response(status, headers, body);
    };
    let kind = match title {
        // A 422 that is not about the input: the version does not exist, or the account has no
        // permission.
        "Invalid version or not permitted" => ErrorKind::NotFound,
        _ => ErrorKind::from_status(status),
    };
    // `input.temperature` is the caller's `temperature`.
    let param = |field: &Value| {
        field["field"]
            .as_str()?
            .strip_prefix("input.")
            .map(str::to_owned)
    };
    Error::new(kind, message)
        .with_param(invalid.iter().find_map(param))
        .with_response(status, headers, body)
}

/// The error of a response that cannot be read.
pub(crate) fn unexpected(message: impl Into<Cow<'static, str>>) -> Error {
    Error::new(ErrorKind::UnexpectedBody, message).with_provider(NAME)
}

/// The error of an invalid name or id. The request was not sent.
pub(crate) fn invalid_name(name: &str) -> Error {
    let name = excerpt(name);
    let message = format!("\"{name}\" is not a valid owner/name or Replicate id");
    Error::new(ErrorKind::InvalidRequest, message).with_provider(NAME)
}

/// The error of a prediction that ended with this status, or with this reason in an event stream.
pub(crate) fn from_status(status: &str, error: &Value) -> Error {
    let cancelled = |message| Error::new(ErrorKind::Cancelled, message);
    let error = match (status, error) {
        ("aborted", _) => cancelled("the prediction was aborted before it started"),
        ("canceled", _) => cancelled("the prediction was cancelled"),
        (_, Value::Null) => from_reason("Replicate reported no reason"),
        (_, Value::String(reason)) => from_reason(reason),
        (_, other) => from_reason(&other.to_string()),
    };
    error.with_provider(NAME)
}

/// The error of a failed prediction, from Replicate's message.
fn from_reason(reason: &str) -> Error {
    let code = code(reason);
    let kind = match code.as_deref() {
        // Faults of Replicate. Its messages ask for a retry.
        Some("E1000" | "E9828" | "PA") => ErrorKind::UpstreamFailed,
        Some("E6716") => ErrorKind::Overloaded,
        Some("E005") => ErrorKind::ContentFilter,
        // Older messages have no code.
        _ if reason.contains("flagged as sensitive") => ErrorKind::ContentFilter,
        _ if reason.contains("Service is temporarily unavailable") => ErrorKind::Overloaded,
        // E1001, out of memory, and errors of the model itself.
        _ => ErrorKind::ModelFailed,
    };
    let should_retry = matches!(kind, ErrorKind::Overloaded | ErrorKind::UpstreamFailed);
    let message = match reason.trim() {
        "" => "the prediction failed, and Replicate gives no reason".to_owned(),
        _ => format!("the prediction failed: {}", shorten(reason)),
    };
    Error::new(kind, message)
        .with_code(code)
        .with_should_retry(should_retry)
}

fn invalid_field(invalid: &Value) -> Option<String> {
    let description = invalid["description"]
        .as_str()
        .filter(|text| !text.is_empty())?;
    let field = invalid["field"].as_str().unwrap_or_default();
    let field = field
        .strip_prefix("input")
        .unwrap_or(field)
        .trim_start_matches('.');
    // The description may already name the field.
    Some(if description.contains(field) {
        description.to_owned()
    } else {
        format!("{field}: {description}")
    })
}

/// `E1001` in "CUDA out of memory (E1001)", `PA` in "please retry (code: PA)".
fn code(reason: &str) -> Option<String> {
    let is_code = |word: &&str| {
        let digits = word.strip_prefix('E').unwrap_or_default();
        matches!(digits.len(), 3 | 4) && digits.bytes().all(|byte| byte.is_ascii_digit())
    };
    let named = reason
        .split_once("(code: ")
        .and_then(|(_, rest)| rest.split_once(')'));
    let mut words = reason.split(|char: char| !char.is_ascii_alphanumeric());
    named
        .map(|(code, _)| code)
        .or_else(|| words.find(is_code))
        .map(str::to_owned)
}

/// The beginning of a text that may be a complete traceback.
fn shorten(text: &str) -> String {
    match text.char_indices().nth(MAX_CHARS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

const MAX_CHARS: usize = 500;

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(status: u16, body: &str, kind: ErrorKind, message: &str) -> Error {
        let status = StatusCode::from_u16(status).unwrap();
        let error = from_response(status, &HeaderMap::new(), body.to_owned().into());
        assert_eq!((error.kind(), error.message()), (kind, message));
        error
    }

    #[test]
    fn problems_become_readable_messages() {
        check(
            401,
            r#"{"title":"Unauthenticated","detail":"No token"}"#,
            ErrorKind::Auth,
            "No token",
        );
        check(
            404,
            r#"{"detail":"Not found."}"#,
            ErrorKind::NotFound,
            "Not found.",
        );
        check(
            503,
            "Service Unavailable",
            ErrorKind::Overloaded,
            "the upstream answered with HTTP 503 and a body that is not JSON",
        );
        check(
            500,
            "[]",
            ErrorKind::UpstreamFailed,
            "the upstream answered with HTTP 500 and JSON without an error message",
        );
        check(
            422,
            r#"{"title":"Invalid version or not permitted","detail":"No such version","status":422}"#,
            ErrorKind::NotFound,
            "No such version",
        );
        let error = check(
            422,
            r#"{"detail":"- …","invalid_fields":[
                {"type":"required","field":"input","description":"prompt is required"},
                {"type":"number_gte","field":"input.temperature","description":"Must be at least 0.01"}
            ]}"#,
            ErrorKind::InvalidRequest,
            "prompt is required; temperature: Must be at least 0.01",
        );
        assert_eq!(error.param(), Some("temperature"));
    }

    #[test]
    fn failed_predictions_have_kinds_and_codes() {
        for (reason, kind, code) in [
            (
                "Prediction interrupted; please retry (code: PA)",
                ErrorKind::UpstreamFailed,
                Some("PA"),
            ),
            (
                "Director: unexpected error (E9828)",
                ErrorKind::UpstreamFailed,
                Some("E9828"),
            ),
            (
                "E6716: Timeout starting prediction",
                ErrorKind::Overloaded,
                Some("E6716"),
            ),
            (
                "CUDA out of memory (E1001)",
                ErrorKind::ModelFailed,
                Some("E1001"),
            ),
            (
                "The input was flagged as sensitive. (E005)",
                ErrorKind::ContentFilter,
                Some("E005"),
            ),
            (
                "Service is temporarily unavailable",
                ErrorKind::Overloaded,
                None,
            ),
            ("ValueError: Ex123", ErrorKind::ModelFailed, None),
        ] {
            let error = from_reason(reason);
            assert_eq!((error.kind(), error.code()), (kind, code), "{reason}");
            let again = matches!(kind, ErrorKind::UpstreamFailed | ErrorKind::Overloaded);
            assert_eq!(error.is_retryable(), again, "{reason}");
            // A fallback must not get what a filter rejected.
            let elsewhere = kind != ErrorKind::ContentFilter;
            assert_eq!(error.is_retryable_elsewhere(), elsewhere, "{reason}");
        }
    }
}
