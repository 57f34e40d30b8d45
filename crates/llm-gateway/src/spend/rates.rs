//! [`Rates`]: the state of the rate limits, for the headers of a response.

use std::time::{Duration, SystemTime};

use http::header::{HeaderMap, HeaderName, HeaderValue};
use llm_router::{RateLeft, RatesLeft};

use crate::api::Api;
use crate::headers;

/// The tightest limits of a call.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Rates {
    requests: Option<Rate>,
    tokens: Option<Rate>,
}

/// One limit per minute.
#[derive(Clone, Copy, Debug)]
struct Rate {
    limit: u64,
    /// What is left of it.
    left: u64,
    /// The time after which all of it is left, if nothing else is counted.
    reset: Duration,
}

impl From<RatesLeft> for Rates {
    fn from(left: RatesLeft) -> Self {
        Self {
            requests: left.requests.map(Rate::from),
            tokens: left.tokens.map(Rate::from),
        }
    }
}

/// A limit is refilled within a minute.
impl From<RateLeft> for Rate {
    fn from(RateLeft { limit, left, .. }: RateLeft) -> Self {
        let used = limit.saturating_sub(left);
        let millis = MINUTE_MS * u128::from(used) / u128::from(limit.max(1));
        let reset = Duration::from_millis(u64::try_from(millis).unwrap_or(u64::MAX));
        Self { limit, left, reset }
    }
}

impl Rates {
    /// Adds the headers of the client's API.
    pub(crate) fn describe(&self, api: Api, headers: &mut HeaderMap) {
        for (rate, of) in [(self.requests, &REQUESTS), (self.tokens, &TOKENS)] {
            let Some(rate) = rate else { continue };
            let names = match api {
                Api::Anthropic => &of.anthropic,
                Api::OpenAi => &of.openai,
            };
            let reset = match api {
                Api::Anthropic => {
                    let at = SystemTime::now() + rate.reset;
                    humantime::format_rfc3339_seconds(at).to_string()
                }
                Api::OpenAi => duration(rate.reset),
            };
            let [limit, remaining, reset_at] = names.clone();
            headers.insert(limit, HeaderValue::from(rate.limit));
            headers.insert(remaining, HeaderValue::from(rate.left));
            headers::insert(headers, reset_at, Some(&reset));
        }
    }
}

/// A duration as in OpenAI's headers: `12ms`, `1.5s` or `1m30s`.
fn duration(time: Duration) -> String {
    let millis = time.as_millis();
    match (millis / 60_000, millis % 60_000) {
        (0, millis @ 0..1000) => format!("{millis}ms"),
        (0, millis) if millis % 1000 == 0 => format!("{}s", millis / 1000),
        (0, millis) => format!("{}.{:03}s", millis / 1000, millis % 1000),
        (minutes, millis) => format!("{minutes}m{}s", millis.div_ceil(1000)),
    }
}

const MINUTE_MS: u128 = 60_000;

/// The headers of one rate: the limit, what is left, and the reset.
struct Names {
    openai: [HeaderName; 3],
    anthropic: [HeaderName; 3],
}

const REQUESTS: Names = Names {
    openai: [
        HeaderName::from_static("x-ratelimit-limit-requests"),
        HeaderName::from_static("x-ratelimit-remaining-requests"),
        HeaderName::from_static("x-ratelimit-reset-requests"),
    ],
    anthropic: [
        HeaderName::from_static("anthropic-ratelimit-requests-limit"),
        HeaderName::from_static("anthropic-ratelimit-requests-remaining"),
        HeaderName::from_static("anthropic-ratelimit-requests-reset"),
    ],
};

const TOKENS: Names = Names {
    openai: [
        HeaderName::from_static("x-ratelimit-limit-tokens"),
        HeaderName::from_static("x-ratelimit-remaining-tokens"),
        HeaderName::from_static("x-ratelimit-reset-tokens"),
    ],
    anthropic: [
        HeaderName::from_static("anthropic-ratelimit-tokens-limit"),
        HeaderName::from_static("anthropic-ratelimit-tokens-remaining"),
        HeaderName::from_static("anthropic-ratelimit-tokens-reset"),
    ],
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_openais_form() {
        for (millis, text) in [
            (0, "0ms"),
            (999, "999ms"),
            (1000, "1s"),
            (1500, "1.500s"),
            (59_999, "59.999s"),
            (60_000, "1m0s"),
            (90_001, "1m31s"),
        ] {
            assert_eq!(duration(Duration::from_millis(millis)), text);
        }
    }
}
