//! Replicate's failures: HTTP answers in problem+json, and predictions that failed.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use llm_provider::{Error, ErrorKind, retry};
use serde::Deserialize;
use serde_json::Value;

use crate::wire::{Prediction, Status};

/// The error that an HTTP answer stands for.
pub(crate) fn from_response(status: StatusCode, headers: &HeaderMap, body: Bytes) -> Error {
    let problem: Problem = serde_json::from_slice(&body).unwrap_or_default();
    let kind = match problem.title.as_deref() {
        // The one 422 that is not about the input: no such version, or not for this account.
        Some("Invalid version or not permitted") => ErrorKind::NotFound,
        _ => ErrorKind::from_status(status),
    };
    let retry_after = retry::retry_after(headers).or_else(|| problem.retry_after());
    Error::new(kind, problem.message(status))
        .with_status(status)
        .with_retry_after(retry_after)
        .with_param(problem.param())
        .with_body(body)
}

/// The error that a prediction which ended without success stands for.
pub(crate) fn from_prediction(prediction: &Prediction) -> Error {
    let reason = match &prediction.error {
        Some(Value::String(text)) => Some(text.clone()),
        Some(other) => Some(other.to_string()),
        None => None,
    };
    let stopped = |what: &str| match &reason {
        Some(reason) => format!("the prediction was {what}: {}", shorten(reason)),
        None => format!("the prediction was {what}"),
    };
    match &prediction.status {
        Status::Aborted => Error::new(ErrorKind::Cancelled, stopped("aborted before it started")),
        Status::Canceled => Error::new(ErrorKind::Cancelled, stopped("cancelled")),
        _ => from_reason(reason.as_deref().unwrap_or(NO_REASON)),
    }
}

/// The error that Replicate's words for a failed prediction stand for.
pub(crate) fn from_reason(reason: &str) -> Error {
    let code = code(reason);
    let kind = match code.as_deref() {
        // Replicate's own faults, for which it asks to try again (E1000, E9828, PA), and a model
        // that did not get to start in time.
        Some("E6716") => ErrorKind::Overloaded,
        Some("E1000" | "E9828" | "PA") => ErrorKind::UpstreamFailed,
        Some("E005") => ErrorKind::ContentFilter,
        // Out of memory: the same input runs out of it again.
        Some("E1001") => ErrorKind::InvalidRequest,
        // Before there were codes, there were only these words.
        _ if reason.contains("flagged as sensitive") => ErrorKind::ContentFilter,
        _ if reason.contains("Service is temporarily unavailable") => ErrorKind::Overloaded,
        _ => ErrorKind::UpstreamFailed,
    };
    Error::new(kind, format!("the prediction failed: {}", shorten(reason))).with_code(code)
}

/// The error of an answer that is not there any more.
pub(crate) fn data_removed() -> Error {
    let message = "Replicate has removed the prediction's output already";
    Error::new(ErrorKind::UnexpectedBody, message)
}

/// RFC 9457 as Replicate writes it: `detail` may be all there is.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Problem {
    title: Option<String>,
    detail: Option<Value>,
    retry_after: Option<f64>,
    invalid_fields: Option<Vec<InvalidField>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct InvalidField {
    field: Option<String>,
    description: Option<String>,
}

impl Problem {
    fn message(&self, status: StatusCode) -> String {
        let fields = self
            .invalid_fields
            .iter()
            .flatten()
            .filter_map(InvalidField::message);
        let fields = fields.collect::<Vec<_>>().join("; ");
        let detail = match &self.detail {
            Some(Value::String(text)) => text.trim(),
            _ => "",
        };
        let title = self.title.as_deref().unwrap_or_default();
        match (fields.as_str(), detail, title) {
            ("", "", "") => {
                let reason = status.canonical_reason().unwrap_or("an error");
                format!("Replicate answered with {reason}")
            }
            ("", "", title) => title.to_owned(),
            ("", detail, _) => shorten(detail),
            (fields, _, _) => shorten(fields),
        }
    }

    /// The first field to blame that is a parameter: `input.temperature` is the caller's
    /// `temperature`.
    fn param(&self) -> Option<String> {
        self.invalid_fields
            .iter()
            .flatten()
            .filter_map(|invalid| invalid.field.as_deref()?.strip_prefix("input."))
            .map(str::to_owned)
            .next()
    }

    fn retry_after(&self) -> Option<Duration> {
        let advice = || {
            let (_, rest) = self.detail.as_ref()?.as_str()?.split_once("resets in ~")?;
            rest.split_once('s')?.0.trim().parse().ok()
        };
        Duration::try_from_secs_f64(self.retry_after.or_else(advice)?).ok()
    }
}

impl InvalidField {
    fn message(&self) -> Option<String> {
        let description = self
            .description
            .as_deref()
            .filter(|text| !text.is_empty())?;
        match self
            .field
            .as_deref()
            .map(|field| field.strip_prefix("input.").unwrap_or(field))
        {
            None | Some("" | "input") => Some(description.to_owned()),
            Some(field) if description.contains(field) => Some(description.to_owned()),
            Some(field) => Some(format!("{field}: {description}")),
        }
    }
}

/// `E1001` in "CUDA out of memory (E1001)", `PA` in "please retry (code: PA)".
fn code(reason: &str) -> Option<String> {
    let is_e_number = |word: &&str| {
        word.strip_prefix('E').is_some_and(|digits| {
            matches!(digits.len(), 3 | 4) && digits.bytes().all(|byte| byte.is_ascii_digit())
        })
    };
    let named = reason
        .split_once("(code: ")
        .and_then(|(_, rest)| rest.split_once(')'));
    named
        .map(|(code, _)| code)
        .or_else(|| {
            reason
                .split(|c: char| !c.is_ascii_alphanumeric())
                .find(is_e_number)
        })
        .map(str::to_owned)
}

/// The beginning of a text that may be a whole traceback.
fn shorten(text: &str) -> String {
    match text.char_indices().nth(MAX_CHARS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

pub(crate) const NO_REASON: &str = "Replicate gives no reason";
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
    fn problems_are_told_in_words() {
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
            "Replicate answered with Service Unavailable",
        );
        check(
            500,
            "[]",
            ErrorKind::UpstreamFailed,
            "Replicate answered with Internal Server Error",
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
    fn advice_to_wait_is_found_in_every_place() {
        let text = r#"{"detail":"Request was throttled. Your rate limit resets in ~30s."}"#;
        let number = r#"{"detail":"Your rate limit resets in ~30s.","retry_after":10}"#;
        let mut headers = HeaderMap::new();
        let advice = |headers: &HeaderMap, body: &'static str| {
            let body = Bytes::from_static(body.as_bytes());
            from_response(StatusCode::TOO_MANY_REQUESTS, headers, body).retry_after()
        };
        assert_eq!(advice(&headers, text), Some(Duration::from_secs(30)));
        assert_eq!(advice(&headers, number), Some(Duration::from_secs(10)));
        headers.insert("retry-after", http::HeaderValue::from_static("2"));
        assert_eq!(advice(&headers, number), Some(Duration::from_secs(2)));
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
                ErrorKind::InvalidRequest,
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
            ("ValueError: Ex123", ErrorKind::UpstreamFailed, None),
        ] {
            let error = from_reason(reason);
            assert_eq!((error.kind(), error.code()), (kind, code), "{reason}");
        }
    }
}
