//! Reads an upstream's retry advice, in all forms that upstreams are known to send.

use std::time::{Duration, SystemTime};

use http::HeaderMap;
use http::header::RETRY_AFTER;
use serde_json::Value;

/// The wait that an error response requests before a retry. The first of these that can be read counts:
///
/// - the headers `retry-after-ms`, `retry-after` (seconds or a date, RFC 9110 section 10.2.3),
///   `x-ratelimit-reset` (Together) and `ratelimit-reset` (Replicate), both in seconds or as a
///   Unix time;
/// - `retry_after` in the body, in seconds, at the top or in `error`;
/// - `resets in ~30s` in the body's `detail` or message (Replicate).
pub fn advice(headers: &HeaderMap, body: &[u8]) -> Option<Duration> {
    from_headers(headers).or_else(|| from_body(body))
}

/// Whether the upstream recommends a retry, in `x-should-retry`.
pub fn should_retry(headers: &HeaderMap) -> Option<bool> {
    text(headers, "x-should-retry")?.parse().ok()
}

fn from_headers(headers: &HeaderMap) -> Option<Duration> {
    let number = |name| text(headers, name).and_then(|value| value.parse().ok());
    let advice = number("retry-after-ms").and_then(|value: f64| seconds(value / 1000.0));
    advice
        .or_else(|| number(RETRY_AFTER.as_str()).and_then(seconds))
        .or_else(|| {
            let date = httpdate::parse_http_date(text(headers, RETRY_AFTER.as_str())?).ok()?;
            Some(until(date))
        })
        .or_else(|| number("x-ratelimit-reset").and_then(reset))
        .or_else(|| number("ratelimit-reset").and_then(reset))
}

fn from_body(body: &[u8]) -> Option<Duration> {
    let body: Value = serde_json::from_slice(body).ok()?;
    let error = &body["error"];
    let number = [&body, error]
        .into_iter()
        .find_map(|place| place["retry_after"].as_f64());
    let texts = [
        &body["detail"],
        &body["message"],
        error,
        &error["message"],
        &error["detail"],
    ];
    let from_text = || texts.into_iter().find_map(|text| resets_in(text.as_str()?));
    number.or_else(from_text).and_then(seconds)
}

/// 30 in "Your rate limit resets in ~30s."
fn resets_in(text: &str) -> Option<f64> {
    let (_, rest) = text.split_once("resets in ~")?;
    rest.split_once('s')?.0.parse().ok()
}

/// Reads a number of seconds, or a Unix time.
fn reset(value: f64) -> Option<Duration> {
    if value < MIN_UNIX_TIME {
        return seconds(value);
    }
    Some(until(SystemTime::UNIX_EPOCH.checked_add(seconds(value)?)?))
}

fn until(time: SystemTime) -> Duration {
    time.duration_since(SystemTime::now()).unwrap_or_default()
}

fn seconds(value: f64) -> Option<Duration> {
    Duration::try_from_secs_f64(value).ok()
}

fn text<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    headers.get(name)?.to_str().ok().map(str::trim)
}

/// September 2001. A smaller number is a number of seconds: no wait is 31 years.
const MIN_UNIX_TIME: f64 = 1e9;

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};

    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let pairs = pairs.iter().map(|(name, value)| {
            let value = HeaderValue::from_str(value).unwrap();
            (HeaderName::from_static(name), value)
        });
        pairs.collect()
    }

    #[track_caller]
    fn check(pairs: &[(&'static str, &str)], body: &str, expected: Option<u64>) {
        let expected = expected.map(Duration::from_millis);
        assert_eq!(advice(&headers(pairs), body.as_bytes()), expected);
    }

    #[test]
    fn every_header_is_read() {
        check(&[("retry-after", "3")], "", Some(3000));
        check(&[("retry-after", " 0.5 ")], "", Some(500));
        check(&[("retry-after-ms", "250")], "", Some(250));
        let past = "Sun, 06 Nov 1994 08:49:37 GMT";
        check(&[("retry-after", past)], "", Some(0));
        check(&[("x-ratelimit-reset", "1")], "", Some(1000));
        check(&[("ratelimit-reset", "2")], "", Some(2000));
        check(&[("x-ratelimit-reset", "1500000000")], "", Some(0));
        for nonsense in ["-1", "NaN", "inf", "soon", "1e300", ""] {
            check(&[("retry-after", nonsense)], "", None);
            check(&[("x-ratelimit-reset", nonsense)], "", None);
        }
    }

    #[test]
    fn a_future_date_is_a_wait() {
        let date = httpdate::fmt_http_date(SystemTime::now() + Duration::from_secs(90));
        let wait = advice(&headers(&[("retry-after", &date)]), b"").unwrap();
        assert!(wait > Duration::from_secs(80) && wait <= Duration::from_secs(90));
    }

    #[test]
    fn every_place_in_the_body_is_read() {
        let detail = "Request was throttled. Your rate limit resets in ~30s.";
        check(&[], &format!(r#"{{"detail":"{detail}"}}"#), Some(30_000));
        check(&[], &format!(r#"{{"error":"{detail}"}}"#), Some(30_000));
        let nested = format!(r#"{{"error":{{"message":"{detail}"}}}}"#);
        check(&[], &nested, Some(30_000));
        let both = format!(r#"{{"detail":"{detail}","retry_after":10}}"#);
        check(&[], &both, Some(10_000));
        check(&[], r#"{"error":{"retry_after":1.5}}"#, Some(1500));
        for nonsense in ["", "[]", "null", r#"{"detail":"resets in ~soon"}"#] {
            check(&[], nonsense, None);
        }
    }

    #[test]
    fn the_first_readable_form_counts() {
        let pairs = [
            ("x-ratelimit-reset", "9"),
            ("retry-after", "3"),
            ("retry-after-ms", "2500"),
        ];
        check(&pairs, r#"{"retry_after":10}"#, Some(2500));
        check(&pairs[..2], r#"{"retry_after":10}"#, Some(3000));
        check(&pairs[..1], r#"{"retry_after":10}"#, Some(9000));
    }

    #[test]
    fn x_should_retry_is_read() {
        assert_eq!(
            should_retry(&headers(&[("x-should-retry", "true")])),
            Some(true)
        );
        assert_eq!(
            should_retry(&headers(&[("x-should-retry", "false")])),
            Some(false)
        );
        assert_eq!(should_retry(&headers(&[("x-should-retry", "maybe")])), None);
    }
}
