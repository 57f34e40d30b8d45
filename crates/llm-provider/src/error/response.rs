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
    /// Creates the error that an upstream sends in a successful response, in place of a chunk or a
    /// reply. Its code or type says the kind: a status, or the name of a limit.
    pub fn in_stream(data: &Bytes) -> Self {
        let message = "the upstream failed in the middle of its reply";
        let kind = kind_in_stream(data).unwrap_or(ErrorKind::UpstreamFailed);
        let error = Self::new(kind, message).with_body(data.clone());
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

/// The kind that the code or the type of an error names; `None` if neither does.
fn kind_in_stream(data: &[u8]) -> Option<ErrorKind> {
    let error = ErrorResponse::parse(data)?.error;
    let code = error.code();
    let status = code.as_deref().and_then(|code| code.parse::<u16>().ok());
    if let Some(status) = status.filter(|status| (400..600).contains(status)) {
        return Some(ErrorKind::from_status(StatusCode::from_u16(status).ok()?));
    }
    let names = [code.as_deref(), error.type_.as_str()];
    names.into_iter().flatten().find_map(|name| match name {
        "dynamic_request_limited"
        | "dynamic_token_limited"
        | "rate_limit_error"
        | "rate_limit_exceeded" => Some(ErrorKind::RateLimited),
        "overloaded_error" | "service_unavailable" => Some(ErrorKind::Overloaded),
        "insufficient_quota" => Some(ErrorKind::InsufficientCredit),
        "authentication_error" | "invalid_api_key" => Some(ErrorKind::Auth),
        "permission_error" => Some(ErrorKind::Permission),
        "timeout_error" => Some(ErrorKind::Timeout),
        _ => None,
    })
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

    #[test]
    fn an_error_in_a_stream_has_the_kind_of_its_code_or_type() {
        for (error, kind) in [
            (r#"{"message":"x"}"#, ErrorKind::UpstreamFailed),
            (r#"{"message":"x","code":429}"#, ErrorKind::RateLimited),
            (r#"{"message":"x","code":"503"}"#, ErrorKind::Overloaded),
            (r#"{"message":"x","code":400}"#, ErrorKind::InvalidRequest),
            (r#"{"message":"x","code":7}"#, ErrorKind::UpstreamFailed),
            (
                r#"{"message":"x","type":"dynamic_request_limited"}"#,
                ErrorKind::RateLimited,
            ),
            (
                r#"{"message":"x","type":"overloaded_error","code":null}"#,
                ErrorKind::Overloaded,
            ),
            (
                r#"{"message":"x","code":"insufficient_quota"}"#,
                ErrorKind::InsufficientCredit,
            ),
            (
                r#"{"message":"x","code":"context_length_exceeded"}"#,
                ErrorKind::ContextWindow,
            ),
        ] {
            let data = Bytes::from(format!(r#"{{"error":{error}}}"#));
            assert_eq!(Error::in_stream(&data).kind(), kind, "{error}");
        }
    }
}
