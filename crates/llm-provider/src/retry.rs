//! When to try again.

use std::time::{Duration, SystemTime};

use http::HeaderMap;
use http::header::RETRY_AFTER;

/// How long to wait before trying again: exponential, with full jitter.
///
/// Full jitter (a random time between nothing and the ceiling) spreads clients that failed
/// together better than a jittered fixed delay does.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Backoff {
    /// The ceiling of the first wait.
    pub base: Duration,
    /// The ceiling of every wait, and the longest `retry-after` that is honoured.
    pub cap: Duration,
}

impl Backoff {
    /// Waits that grow from `base` to `cap`.
    pub fn new(base: Duration, cap: Duration) -> Self {
        Self { base, cap }
    }

    /// The wait before attempt `attempt`, counted from 0; at least what the upstream asked for.
    pub fn delay(&self, attempt: u32, retry_after: Option<Duration>) -> Duration {
        let ceiling = self.base.saturating_mul(1 << attempt.min(16)).min(self.cap);
        let jittered = ceiling.mul_f64(fastrand::f64());
        retry_after.map_or(jittered, |asked| asked.min(self.cap) + jittered)
    }
}

impl Default for Backoff {
    /// From half a second to eight seconds, as OpenAI's clients wait.
    fn default() -> Self {
        Self::new(Duration::from_millis(500), Duration::from_secs(8))
    }
}

/// How long the headers ask to wait: `retry-after-ms`, `retry-after` (seconds or a date, RFC
/// 9110 section 10.2.3), or `x-ratelimit-reset` (seconds, Together).
pub fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let number = |name: &str| text(name).and_then(|value| value.trim().parse::<f64>().ok());
    let seconds = |value: f64| Duration::try_from_secs_f64(value).ok();
    number("retry-after-ms")
        .and_then(|milliseconds| seconds(milliseconds / 1000.0))
        .or_else(|| number(RETRY_AFTER.as_str()).and_then(seconds))
        .or_else(|| {
            let date = httpdate::parse_http_date(text(RETRY_AFTER.as_str())?).ok()?;
            Some(date.duration_since(SystemTime::now()).unwrap_or_default())
        })
        .or_else(|| number("x-ratelimit-reset").and_then(seconds))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[track_caller]
    fn check(name: &'static str, value: &str, expected: Option<Duration>) {
        let mut headers = HeaderMap::new();
        headers.insert(name, HeaderValue::from_str(value).unwrap());
        assert_eq!(retry_after(&headers), expected);
    }

    #[test]
    fn every_form_of_advice_is_read() {
        check("retry-after", "3", Some(Duration::from_secs(3)));
        check("retry-after-ms", "250", Some(Duration::from_millis(250)));
        check(
            "retry-after",
            "Sun, 06 Nov 1994 08:49:37 GMT",
            Some(Duration::ZERO),
        );
        check("x-ratelimit-reset", "1", Some(Duration::from_secs(1)));
        for nonsense in ["-1", "NaN", "soon", "1e300"] {
            check("retry-after", nonsense, None);
        }
    }

    #[test]
    fn the_delay_stays_between_the_advice_and_the_cap() {
        let backoff = Backoff::default();
        for attempt in 0..40 {
            assert!(backoff.delay(attempt, None) <= backoff.cap);
            let asked = Duration::from_secs(2);
            assert!(backoff.delay(attempt, Some(asked)) >= asked);
        }
    }
}
