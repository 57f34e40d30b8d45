//! The rate limits of keys, users and teams, in this process.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use gateway_store::Access;
use http::StatusCode;
use tokio::time::Instant;

use super::rates::{Rate, Rates};
use crate::error::ApiError;

/// Counts the requests and tokens of the last minute, and the calls at the same time, of every key,
/// user and team that has limits.
///
/// The last minute is a sliding window: the part of the previous minute that it covers is estimated
/// from that minute's count.
#[derive(Debug)]
pub(crate) struct Limits {
    epoch: Instant,
    counters: Mutex<HashMap<Holder, Arc<Counter>>>,
}

/// Who has a limit.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
enum Holder {
    Key(String),
    User(String),
    Team(String),
}

impl Holder {
    fn name(&self) -> &'static str {
        match self {
            Self::Key(_) => "API key",
            Self::User(_) => "user",
            Self::Team(_) => "team",
        }
    }
}

#[derive(Debug, Default)]
struct Counter(Mutex<Counts>);

#[derive(Debug, Default)]
struct Counts {
    /// The number of the current minute.
    minute: u64,
    requests: Window,
    tokens: Window,
    parallel: u64,
}

/// The counts of the current and the previous minute.
#[derive(Clone, Copy, Debug, Default)]
struct Window {
    current: u64,
    previous: u64,
}

/// The limits of one holder; `None` is unlimited.
#[derive(Clone, Copy, Debug)]
struct Limit {
    requests: Option<u64>,
    tokens: Option<u64>,
    parallel: Option<u64>,
}

/// What a call holds of the limits. Dropping it ends the call.
#[derive(Debug, Default)]
pub(crate) struct Permits {
    held: Vec<Permit>,
    rates: Rates,
}

#[derive(Debug)]
struct Permit {
    counter: Arc<Counter>,
    epoch: Instant,
    minute: u64,
    tokens: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            epoch: Instant::now(),
            counters: Mutex::default(),
        }
    }
}

impl Limits {
    /// Reserves a request and its estimated tokens of all limits of a key, or of none.
    ///
    /// # Errors
    /// 429 with the time after which the call would be admitted.
    pub(super) fn take(&self, access: &Access, tokens: u64) -> Result<Permits, ApiError> {
        let mut permits = Permits::default();
        let key = &access.key;
        let limit = Limit {
            requests: key.settings.rpm_limit,
            tokens: key.settings.tpm_limit,
            parallel: key.settings.max_parallel_requests,
        };
        self.take_of(&mut permits, limit, tokens, || Holder::Key(key.id.clone()))?;
        let owners = [
            (access.user(), Holder::User as fn(String) -> Holder),
            (access.team(), Holder::Team),
        ];
        for (owner, holder) in owners {
            let Some(owner) = owner else { continue };
            let limit = Limit {
                requests: owner.settings.rpm_limit,
                tokens: owner.settings.tpm_limit,
                parallel: owner.settings.max_parallel_requests,
            };
            self.take_of(&mut permits, limit, tokens, || holder(owner.id.clone()))?;
        }
        Ok(permits)
    }

    fn take_of(
        &self,
        permits: &mut Permits,
        limit: Limit,
        tokens: u64,
        holder: impl FnOnce() -> Holder,
    ) -> Result<(), ApiError> {
        if limit.is_unlimited() {
            return Ok(());
        }
        let holder = holder();
        let counter = self.counter(&holder);
        let now = self.epoch.elapsed();
        let mut counts = counter.lock();
        counts.advance(now);
        let taken = counts.take(&limit, tokens, now, &holder);
        permits.rates.add(&limit, &counts, now);
        let minute = counts.minute;
        drop(counts);
        if let Err(error) = taken {
            // The call is not sent, so the others do not count it.
            permits.cancel();
            return Err(error.with_rates(permits.rates));
        }
        permits.held.push(Permit {
            counter,
            epoch: self.epoch,
            minute,
            tokens,
        });
        Ok(())
    }

    fn counter(&self, holder: &Holder) -> Arc<Counter> {
        let mut counters = self.counters.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(counter) = counters.get(holder) {
            return Arc::clone(counter);
        }
        if counters.len() >= MOST_COUNTERS {
            let minute = self.epoch.elapsed().as_secs() / MINUTE;
            counters.retain(|_, counter| Arc::strong_count(counter) > 1 || counter.is_used(minute));
        }
        Arc::clone(counters.entry(holder.clone()).or_default())
    }
}

impl Limit {
    fn is_unlimited(&self) -> bool {
        self.requests.is_none() && self.tokens.is_none() && self.parallel.is_none()
    }
}

impl Counter {
    fn lock(&self) -> MutexGuard<'_, Counts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_used(&self, minute: u64) -> bool {
        let counts = self.lock();
        counts.parallel > 0 || counts.minute + 1 >= minute
    }
}

impl Counts {
    /// Begins a new minute.
    fn advance(&mut self, now: Duration) {
        let minute = now.as_secs() / MINUTE;
        match minute.saturating_sub(self.minute) {
            0 => return,
            1 => {
                self.requests.shift();
                self.tokens.shift();
            }
            _ => {
                self.requests = Window::default();
                self.tokens = Window::default();
            }
        }
        self.minute = minute;
    }

    fn take(
        &mut self,
        limit: &Limit,
        tokens: u64,
        now: Duration,
        holder: &Holder,
    ) -> Result<(), ApiError> {
        if let Some(most) = limit.parallel
            && self.parallel >= most
        {
            return Err(refused(
                holder,
                "parallel requests",
                most,
                Duration::from_secs(1),
            ));
        }
        for (window, cost, most, what) in [
            (&self.requests, 1, limit.requests, "requests per minute"),
            (&self.tokens, tokens, limit.tokens, "tokens per minute"),
        ] {
            let Some(most) = most else { continue };
            if cost > most {
                return Err(too_large(holder, cost, most));
            }
            if window.used(now).saturating_add(cost) > most {
                return Err(refused(holder, what, most, window.wait(cost, most, now)));
            }
        }
        self.requests.current += 1;
        self.tokens.current = self.tokens.current.saturating_add(tokens);
        self.parallel += 1;
        Ok(())
    }
}

impl Window {
    fn shift(&mut self) {
        self.previous = std::mem::take(&mut self.current);
    }

    /// The count of the last 60 s.
    fn used(&self, now: Duration) -> u64 {
        let left = MINUTE_MS - into_minute(now);
        let previous = u128::from(self.previous) * u128::from(left);
        let previous = previous.div_ceil(u128::from(MINUTE_MS));
        let previous = u64::try_from(previous).unwrap_or(u64::MAX);
        self.current.saturating_add(previous)
    }

    /// The time until `cost` is within the limit, if nothing else is counted.
    fn wait(&self, cost: u64, most: u64, now: Duration) -> Duration {
        let elapsed = into_minute(now);
        let until_next = MINUTE_MS - elapsed;
        // The time at which `count`, which fades out during a minute, is at most `room`.
        let faded = |count: u64, room: u64| {
            let kept = u128::from(room) * u128::from(MINUTE_MS) / u128::from(count.max(1));
            MINUTE_MS.saturating_sub(u64::try_from(kept).unwrap_or(u64::MAX))
        };
        let millis = match most.checked_sub(self.current.saturating_add(cost)) {
            Some(room) => faded(self.previous, room).saturating_sub(elapsed),
            // Not before the current minute fades out, too.
            None => until_next + faded(self.current, most.saturating_sub(cost)),
        };
        Duration::from_millis(millis.max(1))
    }

    /// The state of a limit.
    fn rate(&self, limit: u64, now: Duration) -> Rate {
        let until_next = MINUTE_MS - into_minute(now);
        let reset = match (self.current, self.previous) {
            (0, 0) => 0,
            (0, _) => until_next,
            _ => until_next + MINUTE_MS,
        };
        Rate {
            limit,
            left: limit.saturating_sub(self.used(now)),
            reset: Duration::from_millis(reset),
        }
    }

    /// Corrects a count of the minute `ago` minutes before the current one.
    fn correct(&mut self, ago: u64, from: u64, to: u64) {
        let count = match ago {
            0 => &mut self.current,
            1 => &mut self.previous,
            _ => return,
        };
        *count = count.saturating_sub(from).saturating_add(to);
    }
}

impl Permits {
    /// Corrects the reserved tokens to those that were used, and ends the call.
    pub(super) fn settle(&mut self, tokens: u64) {
        for permit in &self.held {
            permit.correct(1, tokens);
        }
        self.held.clear();
    }

    /// Returns everything, for a call that is not sent.
    pub(super) fn cancel(&mut self) {
        for permit in &self.held {
            permit.correct(0, 0);
        }
        self.held.clear();
    }

    pub(super) fn rates(&self) -> Rates {
        self.rates
    }
}

impl Permit {
    fn correct(&self, requests: u64, tokens: u64) {
        let mut counts = self.counter.lock();
        counts.advance(self.epoch.elapsed());
        let ago = counts.minute.saturating_sub(self.minute);
        counts.requests.correct(ago, 1, requests);
        counts.tokens.correct(ago, self.tokens, tokens);
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut counts = self.counter.lock();
        counts.parallel = counts.parallel.saturating_sub(1);
    }
}

impl Rates {
    /// Adds the limits of another holder: the one with less left counts.
    fn add(&mut self, limit: &Limit, counts: &Counts, now: Duration) {
        let tighter = |known: Option<Rate>, most: Option<u64>, window: &Window| match most {
            None => known,
            Some(most) => Some(window.rate(most, now).tighter(known)),
        };
        self.requests = tighter(self.requests, limit.requests, &counts.requests);
        self.tokens = tighter(self.tokens, limit.tokens, &counts.tokens);
    }
}

fn refused(holder: &Holder, what: &str, most: u64, wait: Duration) -> ApiError {
    let holder = holder.name();
    let message = format!("rate limit exceeded: the {holder} is limited to {most} {what}");
    exceeded(message).with_retry_after(wait)
}

fn too_large(holder: &Holder, tokens: u64, most: u64) -> ApiError {
    let holder = holder.name();
    let message = format!(
        "rate limit exceeded: the call may use {tokens} tokens, and the {holder} is limited to \
         {most} tokens per minute; set a lower `max_tokens`"
    );
    exceeded(message).with_no_retry()
}

fn exceeded(message: String) -> ApiError {
    ApiError::new(StatusCode::TOO_MANY_REQUESTS, "rate_limit_error", message)
        .with_code("rate_limit_exceeded")
}

fn into_minute(now: Duration) -> u64 {
    u64::try_from(now.as_millis() % u128::from(MINUTE_MS)).unwrap_or(0)
}

const MINUTE: u64 = 60;
const MINUTE_MS: u64 = 60_000;

/// Above this number, the counters that are not in use are dropped.
const MOST_COUNTERS: usize = 10_000;

#[cfg(test)]
mod tests {
    use super::*;

    fn limit(requests: u64, tokens: u64) -> Limit {
        Limit {
            requests: Some(requests),
            tokens: Some(tokens),
            parallel: None,
        }
    }

    /// Whether a request of `tokens` is admitted at `second`.
    fn take(counts: &mut Counts, limit: &Limit, tokens: u64, second: u64) -> bool {
        let now = Duration::from_secs(second);
        counts.advance(now);
        let holder = Holder::Key(String::new());
        counts.take(limit, tokens, now, &holder).is_ok()
    }

    #[test]
    fn the_previous_minute_fades_out() {
        let (mut counts, limit) = (Counts::default(), limit(10, 1_000_000));
        let admitted = |counts: &mut Counts, second| {
            (0..100).filter(|_| take(counts, &limit, 1, second)).count()
        };
        assert_eq!(admitted(&mut counts, 0), 10);
        assert_eq!(admitted(&mut counts, 59), 0);
        // A half of the previous minute is left.
        assert_eq!(admitted(&mut counts, 90), 5);
        assert_eq!(admitted(&mut counts, 300), 10);
    }

    #[test]
    fn a_refused_request_is_admitted_after_the_time_that_it_was_told() {
        for (at, used) in [(0, 100), (30, 100), (59, 60), (30, 95)] {
            let (mut counts, limit) = (Counts::default(), limit(1000, 100));
            assert!(take(&mut counts, &limit, used, at));
            let now = Duration::from_secs(at);
            let wait = counts.tokens.wait(50, 100, now);
            let then = now + wait;
            let before = then - Duration::from_secs(1);
            counts.advance(before);
            assert!(
                counts.tokens.used(before) + 50 > 100,
                "{at} {used} {wait:?}"
            );
            counts.advance(then);
            assert!(counts.tokens.used(then) + 50 <= 100, "{at} {used} {wait:?}");
        }
    }

    #[test]
    fn corrections_reach_the_minute_of_the_request() {
        let mut window = Window {
            current: 10,
            previous: 100,
        };
        window.correct(1, 100, 30);
        window.correct(0, 10, 20);
        window.correct(2, 1, 1000);
        assert_eq!((window.current, window.previous), (20, 30));
    }
}
