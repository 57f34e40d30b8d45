//! Rate limits.

use std::collections::HashMap;
use std::error::Error as StdError;
use std::fmt;
use std::str::FromStr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::duration;

/// A number of requests or tokens per time. Unused amounts accumulate up to one such number.
///
/// ```
/// use std::time::Duration;
/// use llm_sim::Rate;
///
/// assert_eq!("10/s".parse(), Ok(Rate::new(10, Duration::from_secs(1))));
/// assert_eq!("600/m".parse(), Ok(Rate::new(600, Duration::from_secs(60))));
/// assert_eq!("5/100ms".parse(), Ok(Rate::new(5, Duration::from_millis(100))));
/// ```
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Rate {
    amount: u64,
    per: Duration,
}

impl Rate {
    /// This amount in this time; the minimum is one, and one nanosecond.
    pub fn new(amount: u64, per: Duration) -> Self {
        Self {
            amount: amount.max(1),
            per: per.max(Duration::from_nanos(1)),
        }
    }

    /// The maximum that can accumulate.
    pub fn amount(self) -> u64 {
        self.amount
    }

    /// The time in which that maximum is refilled.
    pub fn per(self) -> Duration {
        self.per
    }

    pub(crate) fn per_second(self) -> f64 {
        self.amount as f64 / self.per.as_secs_f64()
    }
}

impl FromStr for Rate {
    type Err = ParseRateError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let read = || {
            let (amount, per) = text.split_once('/')?;
            let amount = amount.trim().parse().ok().filter(|amount| *amount > 0)?;
            // `10/s` is `10/1s`.
            let per = match per.trim() {
                unit if unit.starts_with(char::is_alphabetic) => format!("1{unit}"),
                per => per.to_owned(),
            };
            let per = duration::parse(&per).filter(|per| !per.is_zero())?;
            Some(Self::new(amount, per))
        };
        read().ok_or_else(|| ParseRateError {
            text: text.to_owned(),
        })
    }
}

/// An invalid rate.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ParseRateError {
    text: String,
}

impl fmt::Display for ParseRateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = &self.text;
        write!(
            f,
            "invalid rate {text:?}: expected a form such as 10/s, 600/m or 5/100ms"
        )
    }
}

impl StdError for ParseRateError {}

/// Applies a [`Rate`] to each of many users, with token buckets that are refilled continuously.
#[derive(Debug)]
pub(crate) struct Limiter {
    rate: Rate,
    buckets: Mutex<HashMap<String, Bucket>>,
}

/// The state of a user's bucket after an attempt.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct BucketState {
    pub(crate) rate: Rate,
    pub(crate) remaining: u64,
    /// The time until the cost is available; zero if it was.
    pub(crate) wait: Duration,
}

#[derive(Debug)]
struct Bucket {
    level: f64,
    at: Instant,
}

impl Limiter {
    pub(crate) fn new(rate: Rate) -> Self {
        Self {
            rate,
            buckets: Mutex::default(),
        }
    }

    /// Takes `cost`, or nothing if less is available.
    ///
    /// A cost above the maximum is allowed if the bucket is full, and later requests then wait
    /// longer.
    pub(crate) fn take(
        &self,
        user: &str,
        cost: u64,
        now: Instant,
    ) -> Result<BucketState, BucketState> {
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        if buckets.len() >= MAX_USERS {
            buckets.retain(|_, bucket| bucket.level_at(self.rate, now) < self.rate.amount as f64);
        }
        let bucket = buckets.entry(user.to_owned()).or_insert(Bucket {
            level: self.rate.amount as f64,
            at: now,
        });
        bucket.level = bucket.level_at(self.rate, now);
        bucket.at = now;
        let wanted = cost.min(self.rate.amount) as f64;
        // The tolerance is half a nanosecond's refill: after a wait of exactly the given time, the
        // cost must be available in spite of rounding.
        let missing = wanted - bucket.level - self.rate.per_second() * 0.5e-9;
        let mut state = BucketState {
            rate: self.rate,
            remaining: 0,
            wait: Duration::ZERO,
        };
        if missing > 0.0 {
            let wait = (wanted - bucket.level) / self.rate.per_second();
            state.wait = Duration::try_from_secs_f64(wait).unwrap_or(Duration::MAX);
            state.remaining = bucket.level.max(0.0) as u64;
            return Err(state);
        }
        bucket.level -= cost as f64;
        state.remaining = bucket.level.max(0.0) as u64;
        Ok(state)
    }
}

impl Bucket {
    fn level_at(&self, rate: Rate, now: Instant) -> f64 {
        let since = now.saturating_duration_since(self.at).as_secs_f64();
        (self.level + since * rate.per_second()).min(rate.amount as f64)
    }
}

/// Above this number, users with a full bucket are forgotten.
const MAX_USERS: usize = 10_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_refills_at_its_rate() {
        let limiter = Limiter::new(Rate::new(10, Duration::from_secs(60)));
        let start = Instant::now();
        let take = |cost, seconds| {
            let took = limiter.take("me", cost, start + Duration::from_secs(seconds));
            took.map(|state| state.remaining)
                .map_err(|state| state.wait.as_secs_f64().round())
        };
        assert_eq!(take(9, 0), Ok(1));
        assert_eq!(take(2, 0), Err(6.0));
        assert_eq!(take(2, 6), Ok(0));
        assert_eq!(take(1, 11), Err(1.0));
        assert_eq!(take(1, 12), Ok(0));
        // Another user has another bucket, and no bucket exceeds the maximum.
        assert!(limiter.take("you", 10, start).is_ok());
        assert_eq!(take(10, 10_000), Ok(0));
        assert_eq!(take(1, 10_000), Err(6.0));
    }

    #[test]
    fn a_request_larger_than_the_bucket_is_charged_later() {
        let limiter = Limiter::new(Rate::new(10, Duration::from_secs(1)));
        let start = Instant::now();
        let take = |cost, seconds| limiter.take("me", cost, start + Duration::from_secs(seconds));
        assert!(take(30, 0).is_ok());
        assert_eq!(take(10, 0).unwrap_err().wait, Duration::from_secs(3));
        assert!(take(10, 2).is_err());
        assert!(take(10, 3).is_ok());
    }

    #[test]
    fn users_with_full_buckets_are_removed() {
        let limiter = Limiter::new(Rate::new(1, Duration::from_secs(1)));
        let start = Instant::now();
        for user in 0..MAX_USERS {
            assert!(limiter.take(&user.to_string(), 1, start).is_ok());
        }
        let later = start + Duration::from_secs(2);
        assert!(limiter.take("me", 1, later).is_ok());
        assert_eq!(limiter.buckets.lock().unwrap().len(), 1);
    }

    #[test]
    fn invalid_rates_are_rejected() {
        for bad in ["", "10", "0/s", "-1/s", "10/", "10/0s", "x/s", "1/year"] {
            let error = bad.parse::<Rate>().unwrap_err();
            assert!(error.to_string().contains("600/m"), "{error}");
        }
    }
}
