//! Rate limits per key, and the forms of the retry advice.

use std::time::Duration;

use hyper::Method;
use tokio::time::Instant;

use crate::clock::{Clock, later};
use crate::http::{Answer, set};
use crate::limit::{BucketState, Limiter};
use crate::log::fingerprint;
use crate::options::{self, RetryAdvice};
use crate::replicate::problem::Problem;

#[derive(Debug)]
pub(crate) struct Limits {
    creates: Option<Limiter>,
    gets: Option<Limiter>,
    others: Option<Limiter>,
    advice: RetryAdvice,
}

/// The category of a request.
#[derive(Clone, Copy, Debug)]
enum Kind {
    Create,
    Get,
    Other,
}

/// The state of a client after a request, as reported in `ratelimit-…`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Allowance {
    remaining: u64,
    /// Seconds until the limit is fully available again.
    reset: u64,
}

impl Limits {
    pub(crate) fn new(options: &options::SimLimits) -> Self {
        Self {
            creates: options.replicate_creates.map(Limiter::new),
            gets: options.replicate_gets.map(Limiter::new),
            others: options.replicate_others.map(Limiter::new),
            advice: options.replicate_advice,
        }
    }

    /// Charges one request, or rejects it.
    pub(crate) fn charge(
        &self,
        key: &str,
        method: &Method,
        path: &[&str],
        clock: &Clock,
    ) -> Result<Allowance, Problem> {
        let kind = Kind::of(method, path);
        let limiter = match kind {
            Kind::Create => &self.creates,
            Kind::Get => &self.gets,
            Kind::Other => &self.others,
        };
        let Some(limiter) = limiter else {
            return Ok(kind.without_limit());
        };
        match limiter.take(&fingerprint(key), 1, Instant::now()) {
            Ok(state) => Ok(Allowance::of(state)),
            Err(state) => {
                let scope = match kind {
                    Kind::Create if state.rate.amount() == 1 => low_credit(&state),
                    _ => String::new(),
                };
                Err(self.refusal(&scope, state.wait, clock))
            }
        }
    }

    /// A 429 that is independent of these limits.
    pub(crate) fn throttled(&self, clock: &Clock) -> Problem {
        self.refusal("", WAIT, clock)
    }

    fn refusal(&self, scope: &str, wait: Duration, clock: &Clock) -> Problem {
        let seconds = (wait.as_nanos().div_ceil(1_000_000_000) as u64).max(1);
        let detail =
            format!("Request was throttled.{scope} Your rate limit resets in ~{seconds}s.");
        let problem = Problem::throttled(detail, seconds);
        match self.advice {
            RetryAdvice::Field => problem.with("retry_after", seconds.into()),
            RetryAdvice::Header => problem.with_retry_after(seconds.to_string()),
            RetryAdvice::Date => {
                let at = later(Instant::now(), Duration::from_secs(seconds));
                problem.with_retry_after(clock.http_date(at))
            }
            RetryAdvice::Words => problem.without("status"),
        }
    }
}

impl Kind {
    fn of(method: &Method, path: &[&str]) -> Self {
        match (method, path) {
            (&Method::POST, [.., "predictions"]) => Self::Create,
            (&Method::GET, ["v1", "predictions", _]) => Self::Get,
            _ => Self::Other,
        }
    }

    /// The state of a client without a limit: as recorded after a single request.
    fn without_limit(self) -> Allowance {
        let remaining = match self {
            Self::Create => 599,
            Self::Get => 59_999,
            Self::Other => 2999,
        };
        Allowance {
            remaining,
            reset: 1,
        }
    }
}

impl Allowance {
    fn of(state: BucketState) -> Self {
        let used = state.rate.amount().saturating_sub(state.remaining);
        Self {
            remaining: state.remaining,
            reset: (used as f64 / state.rate.per_second()).ceil() as u64,
        }
    }

    pub(crate) fn set_headers(self, answer: &mut Answer) {
        set(answer, "ratelimit-remaining", &self.remaining.to_string());
        set(answer, "ratelimit-reset", &self.reset.to_string());
    }
}

fn low_credit(state: &BucketState) -> String {
    let per_minute = (state.rate.per_second() * 60.0).round();
    format!(
        " Your rate limit for creating predictions is reduced to {per_minute} requests per minute \
         with a burst of 1 requests while you have less than $5.0 in credit."
    )
}

const WAIT: Duration = Duration::from_secs(10);
