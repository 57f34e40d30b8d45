use http::{HeaderMap, StatusCode, header, response};
use serde_json::Value;

use crate::record::{Failure, FailureKind, RateLimit};

/// The head of a response, and the body of an error.
#[derive(Debug, Default)]
pub(crate) struct ResponseHead {
    pub(crate) status: Option<StatusCode>,
    pub(crate) rate_limit: Option<RateLimit>,
    pub(crate) is_event_stream: bool,
    pub(crate) bytes: u64,
    error_body: Vec<u8>,
}

impl ResponseHead {
    pub(crate) fn read(&mut self, head: &response::Parts) {
        self.status = Some(head.status);
        self.rate_limit = rate_limit(&head.headers);
        // Simple servers send events as plain text.
        self.is_event_stream = head
            .headers
            .get(header::CONTENT_TYPE)
            .and_then(|value| value.to_str().ok())
            .map(|value| value.trim_start().to_ascii_lowercase())
            .is_some_and(|value| EVENT_STREAMS.iter().any(|type_| value.starts_with(type_)));
    }

    /// Counts bytes and keeps those of an error. Returns whether they are part of a successful
    /// response.
    pub(crate) fn body(&mut self, data: &[u8]) -> bool {
        self.bytes += data.len() as u64;
        if !self.is_within_limit() {
            return false;
        }
        if self.is_success() {
            return true;
        }
        let room = MAX_ERROR_BODY.saturating_sub(self.error_body.len());
        self.error_body
            .extend_from_slice(&data[..data.len().min(room)]);
        false
    }

    /// Whether the body is within its limit.
    pub(crate) fn is_within_limit(&self) -> bool {
        self.bytes <= MAX_BODY
    }

    pub(crate) fn is_success(&self) -> bool {
        self.status.is_some_and(|status| status.is_success())
    }

    /// The failure that the status or the length implies.
    pub(crate) fn failure(&self) -> Option<Failure> {
        if !self.is_within_limit() {
            return Some(Failure {
                kind: FailureKind::Protocol,
                message: format!("the response is longer than {} MiB", MAX_BODY >> 20),
            });
        }
        let status = self.status.filter(|status| !status.is_success())?;
        let kind = if status == StatusCode::TOO_MANY_REQUESTS {
            FailureKind::RateLimited
        } else {
            FailureKind::HttpStatus
        };
        let text = error_message(&self.error_body);
        let message = match text.as_deref() {
            None | Some("") => status.to_string(),
            Some(text) => format!("{status}: {text}"),
        };
        Some(Failure { kind, message })
    }
}

/// The message of an error body: OpenAI's `error.message`, Replicate's `detail`, or the text.
fn error_message(body: &[u8]) -> Option<String> {
    let Ok(value) = serde_json::from_slice::<Value>(body) else {
        return std::str::from_utf8(body).ok().map(str::to_owned);
    };
    message_in(&value)
}

/// The message in the JSON of an error.
pub(crate) fn message_in(value: &Value) -> Option<String> {
    let places = [
        "/error/message",
        "/error/error/message",
        "/error",
        "/detail",
        "/message",
        "/title",
    ];
    let found = places
        .iter()
        .find_map(|place| value.pointer(place)?.as_str());
    found.map(str::to_owned)
}

/// OpenAI's and Together's names, then Replicate's.
fn rate_limit(headers: &HeaderMap) -> Option<RateLimit> {
    let number = |names: &[&str]| {
        names.iter().find_map(|name| {
            let text = headers.get(*name)?.to_str().ok()?.trim();
            text.parse::<f64>().ok().or_else(|| seconds(text))
        })
    };
    let limits = RateLimit {
        limit: number(&[
            "x-ratelimit-limit-requests",
            "x-ratelimit-limit",
            "ratelimit-limit",
        ]),
        remaining: number(&[
            "x-ratelimit-remaining-requests",
            "x-ratelimit-remaining",
            "ratelimit-remaining",
        ]),
        limit_tokens: number(&["x-ratelimit-limit-tokens"]),
        remaining_tokens: number(&["x-ratelimit-remaining-tokens"]),
        reset_s: number(&[
            "x-ratelimit-reset-requests",
            "x-ratelimit-reset",
            "ratelimit-reset",
        ]),
        retry_after_s: number(&["retry-after"]),
    };
    (limits != RateLimit::default()).then_some(limits)
}

/// OpenAI writes durations such as `1s`, `6m0s` and `250ms`.
fn seconds(text: &str) -> Option<f64> {
    let mut total = 0.0;
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let value: f64 = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let unit_end = rest
            .find(|c: char| c.is_ascii_digit())
            .unwrap_or(rest.len());
        total += value
            * match &rest[..unit_end] {
                "ms" => 0.001,
                "s" => 1.0,
                "m" => 60.0,
                "h" => 3600.0,
                _ => return None,
            };
        rest = &rest[unit_end..];
    }
    (!text.is_empty()).then_some(total)
}

/// The longest response body in bytes. A million chunks and 1,000 embeddings are shorter.
const MAX_BODY: u64 = 256 << 20;
const EVENT_STREAMS: [&str; 2] = ["text/event-stream", "text/plain"];

/// The bytes of an error body that are kept.
const MAX_ERROR_BODY: usize = 16 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn error_messages_are_found_in_both_dialects() {
        let check = |body: &str, sentence: &str| {
            assert_eq!(
                error_message(body.as_bytes()).as_deref(),
                Some(sentence),
                "{body}"
            );
        };
        check(r#"{"error":{"message":"no such model"}}"#, "no such model");
        check(r#"{"error":"overloaded"}"#, "overloaded");
        check(
            r#"{"title":"Unauthenticated","detail":"no token"}"#,
            "no token",
        );
        check("<html>bad gateway", "<html>bad gateway");
        assert_eq!(error_message(b"\xff"), None);
    }

    #[test]
    fn rate_limits_are_read_in_both_dialects() {
        let limits = |pairs: &[(&'static str, &'static str)]| {
            let pairs = pairs.iter().map(|(name, value)| {
                let name = http::HeaderName::from_static(name);
                (name, http::HeaderValue::from_static(value))
            });
            rate_limit(&pairs.collect())
        };
        assert_eq!(limits(&[]), None);
        let found = limits(&[
            ("x-ratelimit-remaining", "7"),
            ("x-ratelimit-remaining-tokens", "900"),
            ("x-ratelimit-reset", "6m1.5s"),
        ]);
        let found = found.unwrap();
        assert_eq!(found.remaining_tokens, Some(900.0));
        assert_eq!((found.remaining, found.reset_s), (Some(7.0), Some(361.5)));
        let found = limits(&[("ratelimit-reset", "1"), ("retry-after", "2")]).unwrap();
        assert_eq!((found.reset_s, found.retry_after_s), (Some(1.0), Some(2.0)));
        assert_eq!(seconds("250ms"), Some(0.25));
        for text in ["", "s", "5", "5x", "..s"] {
            assert_eq!(seconds(text), None, "{text}");
        }
    }
}
