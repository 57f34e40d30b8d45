//! Errors from the responses of upstreams.

use std::borrow::Cow;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, StatusCode};
use llm_types::ErrorResponse;
use serde::de::IgnoredAny;

use super::{Error, ErrorKind};

impl Error {
    /// Creates the error for a response whose body contains no error message, such as a proxy's page.
    ///
    /// The kind comes from the status. The message states the status and the type of the body, such
    /// as `a body that is not JSON (text/html)`. It never quotes the body, which
    /// [`body`](Self::body) returns.
    pub fn from_response(status: StatusCode, headers: &HeaderMap, body: Bytes) -> Self {
        let what = if body.trim_ascii().is_empty() {
            "no body".to_owned()
        } else if serde_json::from_slice::<IgnoredAny>(&body).is_ok() {
            "JSON without an error message".to_owned()
        } else {
            match content_type(headers) {
                Some(type_) => format!("a body that is not JSON ({type_})"),
                None => "a body that is not JSON".to_owned(),
            }
        };
        let status_code = status.as_u16();
        let message = format!("the upstream answered with HTTP {status_code} and {what}");
        Self::new(ErrorKind::from_status(status), message).with_response(status, headers, body)
    }
}

impl Error {
    /// Creates the error that an upstream sends in a successful stream, in place of a chunk.
    pub fn in_stream(data: &Bytes) -> Self {
        let message = "the upstream failed in the middle of its reply";
        let error = Self::new(ErrorKind::UpstreamFailed, message).with_body(data.clone());
        error.with_envelope(data)
    }

    /// Adds the message, code and parameter of a body in OpenAI's envelope. The code may set the kind;
    /// the words of the message never do. Any other body changes nothing.
    #[must_use]
    pub fn with_envelope(self, body: &[u8]) -> Self {
        let Some(envelope) = ErrorResponse::parse(body) else {
            return self;
        };
        let code = envelope.error.code().map(Cow::into_owned);
        let kind = match code.as_deref() {
            Some("context_length_exceeded") => ErrorKind::ContextWindow,
            Some("content_filter" | "content_policy_violation") => ErrorKind::ContentFilter,
            _ => self.kind(),
        };
        let param = envelope.error.param().map(Cow::into_owned);
        let error = self.with_kind(kind).with_code(code).with_param(param);
        if envelope.error.message.trim().is_empty() {
            error
        } else {
            error.with_message(envelope.error.message)
        }
    }
}

/// The content type without its parameters, if it is well-formed.
fn content_type(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(CONTENT_TYPE)?.to_str().ok()?;
    let type_ = value.split(';').next().unwrap_or_default().trim();
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$&^_.+-/".contains(&byte);
    let looks_right = type_.contains('/') && type_.len() <= 100 && type_.bytes().all(is_token);
    looks_right.then_some(type_)
}

/// The upstream's own id of a request: `x-request-id`, or else Cloudflare's `cf-ray`.
pub fn upstream_id(headers: &HeaderMap) -> Option<String> {
    let mut ids = ["x-request-id", "cf-ray"]
        .into_iter()
        .filter_map(|name| headers.get(name)?.to_str().ok());
    ids.next().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn an_error_without_a_message_states_status_and_type_but_never_the_body() {
        for (type_, body, what) in [
            (
                "text/html; charset=utf-8",
                "<p>prompt",
                "a body that is not JSON (text/html)",
            ),
            ("a prompt", "prompt", "a body that is not JSON"),
            ("text/prompt\u{9}x", "prompt", "a body that is not JSON"),
            (
                "application/json",
                "{\"prompt\":1}",
                "JSON without an error message",
            ),
            (
                "application/json",
                "[\"prompt\"]",
                "JSON without an error message",
            ),
            ("text/html", " \r\n", "no body"),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(CONTENT_TYPE, HeaderValue::from_str(type_).unwrap());
            let error = Error::from_response(StatusCode::BAD_GATEWAY, &headers, body.into());
            assert_eq!(error.kind(), ErrorKind::UpstreamFailed);
            let expected = format!("the upstream answered with HTTP 502 and {what}");
            assert_eq!(error.message(), expected);
            // The status is in the message already.
            assert_eq!(error.to_string(), expected);
            assert_eq!(error.body().unwrap(), body);
        }
    }
}
