//! Rate limits of those who send calls, such as the keys of a gateway.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::clock::{Clock, Nanos, between};
use crate::limits::{Charge, Gcra, Rate};
use crate::shared::{Begin, Choice, End, Level, Settlement, SharedState, Subject};

/// Keeps the rate limits of many holders. All of a limit may come at once, and it is refilled within a
/// minute, evenly: in the long run no more is admitted than the limit, but a minute that begins with a
/// burst can hold up to twice as much. (The limits of deployments,
/// [`RateLimits`](crate::RateLimits), hold in every minute.)
///
/// With a [`SharedState`], the limits hold for all processes that share it. While it is unavailable,
/// each process keeps them by itself, so that `n` processes admit at most `n` times a limit.
///
/// A holder that has not been used for a minute takes no memory in the long run.
///
/// ```
/// use llm_router::{RateHolder, RateLimiter};
///
/// # async fn example() {
/// let limiter = RateLimiter::default();
/// let holder = RateHolder::new("key-1").with_rpm(60);
/// let mut permit = limiter.take(None, &[holder], 500).await.unwrap();
/// // … the call …
/// permit.settle(342);
/// # }
/// ```
#[derive(Debug)]
pub struct RateLimiter {
    clock: Clock,
    holders: Mutex<HashMap<String, Arc<Holder>>>,
}

/// Who has rate limits, and which. Without a value, there is no limit.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct RateHolder {
    /// Identifies the holder, in all processes.
    pub name: String,
    /// Requests per minute.
    pub rpm: Option<u64>,
    /// Tokens per minute.
    pub tpm: Option<u64>,
}

/// What a call was charged. Dropping it lets the charge stand.
#[derive(Debug)]
pub struct RatePermit {
    clock: Clock,
    shared: Option<SharedState>,
    charges: Vec<Charged>,
    tokens: u64,
}

/// A limit that does not admit a call.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct RateRefusal {
    /// The index of the holder.
    pub holder: usize,
    /// Whether the limit is that of tokens, and not that of requests.
    pub is_tokens: bool,
    /// The limit, per minute.
    pub limit: u64,
    /// When the call would be admitted; `None` if it needs more than the limit.
    pub retry_after: Option<Duration>,
}

/// The tightest limits of several holders; `None` without a limit.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct RatesLeft {
    /// Requests per minute.
    pub requests: Option<RateLeft>,
    /// Tokens per minute.
    pub tokens: Option<RateLeft>,
}

/// A limit per minute.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct RateLeft {
    /// The limit.
    pub limit: u64,
    /// What is left of it.
    pub left: u64,
}

/// The state of a holder.
#[derive(Debug)]
struct Holder {
    key: Arc<str>,
    rpm: Option<u64>,
    tpm: Option<u64>,
    requests: Option<Gcra>,
    tokens: Option<Gcra>,
}

#[derive(Debug)]
struct Charged {
    holder: Arc<Holder>,
    requests: Option<Charge>,
    tokens: Option<Charge>,
    /// What the shared state charged.
    level: Option<Level>,
}

impl RateHolder {
    /// Creates a holder without limits.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            rpm: None,
            tpm: None,
        }
    }

    /// Sets the requests per minute.
    #[must_use]
    pub fn with_rpm(mut self, rpm: impl Into<Option<u64>>) -> Self {
        self.rpm = rpm.into();
        self
    }

    /// Sets the tokens per minute.
    #[must_use]
    pub fn with_tpm(mut self, tpm: impl Into<Option<u64>>) -> Self {
        self.tpm = tpm.into();
        self
    }
}

impl Default for RateLimiter {
    fn default() -> Self {
        Self {
            clock: Clock::new(),
            holders: Mutex::default(),
        }
    }
}

impl RateLimiter {
    /// Charges a request and its tokens to all limits of `holders`, or to none.
    ///
    /// # Errors
    /// The first limit that does not admit the call.
    pub async fn take(
        &self,
        shared: Option<&SharedState>,
        holders: &[RateHolder],
        tokens: u64,
    ) -> Result<RatePermit, RateRefusal> {
        let states: Vec<_> = holders.iter().map(|holder| self.holder(holder)).collect();
        let mut permit = RatePermit {
            clock: self.clock,
            shared: None,
            charges: Vec::with_capacity(states.len()),
            tokens,
        };
        if let Some(refusal) = refusal(&states, tokens, self.clock.now(), true) {
            return Err(refusal);
        }
        if let Some(shared) = shared.filter(|_| !states.is_empty())
            && let Some(admitted) = permit.take_shared(shared, &states).await
        {
            return admitted.map(|()| permit);
        }
        for (index, state) in states.iter().enumerate() {
            if let Err(refusal) = permit.take_alone(index, state) {
                permit.cancel();
                return Err(refusal);
            }
        }
        Ok(permit)
    }

    /// The tightest limits of requests and of tokens of `holders`, and what is left of them now.
    ///
    /// With a shared state, this is what its last answer said.
    pub fn left(&self, holders: &[RateHolder]) -> RatesLeft {
        let states: Vec<_> = holders.iter().map(|holder| self.holder(holder)).collect();
        RatesLeft::of(states.iter().map(|state| &**state), self.clock.now())
    }

    fn holder(&self, holder: &RateHolder) -> Arc<Holder> {
        let mut holders = self.lock();
        let known = holders.get(&holder.name);
        if let Some(known) = known
            && (known.rpm, known.tpm) == (holder.rpm, holder.tpm)
        {
            return Arc::clone(known);
        }
        let state = Arc::new(Holder::new(holder, known.map(|known| &**known)));
        if holders.len() >= MOST_HOLDERS {
            let now = self.clock.now();
            holders.retain(|_, state| Arc::strong_count(state) > 1 || state.owes(now));
        }
        holders.insert(holder.name.clone(), Arc::clone(&state));
        state
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Arc<Holder>>> {
        self.holders.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Why `states` do not admit a call now, or if `is_final`, ever.
fn refusal(states: &[Arc<Holder>], tokens: u64, now: Nanos, is_final: bool) -> Option<RateRefusal> {
    let mut limits = states.iter().enumerate().flat_map(|(holder, state)| {
        let costs = [
            (false, state.rpm, &state.requests, 1),
            (true, state.tpm, &state.tokens, tokens),
        ];
        costs.map(|limit| (holder, limit))
    });
    limits.find_map(|(holder, (is_tokens, limit, gcra, cost))| {
        let ready = gcra.as_ref()?.ready_at(cost);
        let refusal = RateRefusal {
            holder,
            is_tokens,
            limit: limit?,
            retry_after: ready.map(|at| between(now, at).max(SOON)),
        };
        let is_refused = ready.is_none_or(|at| !is_final && at > now);
        is_refused.then_some(refusal)
    })
}

impl Holder {
    /// A holder whose limits were other ones before.
    fn new(holder: &RateHolder, before: Option<&Self>) -> Self {
        let limit = |limit: Option<u64>, before: Option<&Gcra>| {
            let rate = Rate::at_once(limit?);
            Some(before.map_or_else(|| Gcra::new(rate), |gcra| gcra.with_rate(rate)))
        };
        Self {
            key: format!("polyllm:limit:{}", holder.name).into(),
            rpm: holder.rpm,
            tpm: holder.tpm,
            requests: limit(
                holder.rpm,
                before.and_then(|before| before.requests.as_ref()),
            ),
            tokens: limit(holder.tpm, before.and_then(|before| before.tokens.as_ref())),
        }
    }

    fn owes(&self, now: Nanos) -> bool {
        let limits = [&self.requests, &self.tokens];
        limits.into_iter().flatten().any(|gcra| gcra.owes(now))
    }
}

impl RatePermit {
    async fn take_shared(
        &mut self,
        shared: &SharedState,
        states: &[Arc<Holder>],
    ) -> Option<Result<(), RateRefusal>> {
        let subjects = states.iter().map(|state| Subject {
            key: Arc::clone(&state.key),
            rpm: state.rpm.map(Rate::at_once),
            tpm: state.tpm.map(Rate::at_once),
            tokens: self.tokens,
        });
        let begin = Begin {
            choices: vec![Choice {
                is_full: false,
                subjects: subjects.collect(),
            }],
            ..Begin::default()
        };
        let begun = shared.begin(begin).await?;
        let now = self.clock.now();
        let charges = states.iter().zip(begun.levels).map(|(state, level)| {
            let adopt = |gcra: &Option<Gcra>, owed: u64, cost| {
                let owed = owed.saturating_mul(1000);
                gcra.as_ref().map(|gcra| gcra.adopt(owed, cost, now))
            };
            Charged {
                requests: adopt(&state.requests, level.requests_owed, 1),
                tokens: adopt(&state.tokens, level.tokens_owed, self.tokens),
                holder: Arc::clone(state),
                level: Some(level),
            }
        });
        let charges: Vec<_> = charges.collect();
        if begun.chosen.is_some() {
            self.charges = charges;
            self.shared = Some(shared.clone());
            return Some(Ok(()));
        }
        let refusal = refusal(states, self.tokens, now, false);
        // The time between the two clocks: it would be admitted now.
        Some(Err(refusal.unwrap_or_else(|| RateRefusal {
            holder: 0,
            is_tokens: false,
            limit: states.first().and_then(|state| state.rpm).unwrap_or(0),
            retry_after: Some(SOON),
        })))
    }

    fn take_alone(&mut self, index: usize, holder: &Arc<Holder>) -> Result<(), RateRefusal> {
        let now = self.clock.now();
        let mut charges = [None, None];
        let costs = [
            (false, holder.rpm, &holder.requests, 1),
            (true, holder.tpm, &holder.tokens, self.tokens),
        ];
        let mut refusal = None;
        for ((is_tokens, limit, gcra, cost), charge) in costs.into_iter().zip(&mut charges) {
            let Some(gcra) = gcra else { continue };
            *charge = gcra.take(cost, now);
            if charge.is_none() {
                refusal = Some(RateRefusal {
                    holder: index,
                    is_tokens,
                    limit: limit.unwrap_or(0),
                    retry_after: gcra.ready_at(cost).map(|at| between(now, at).max(SOON)),
                });
                break;
            }
        }
        let [requests, tokens] = charges;
        self.charges.push(Charged {
            holder: Arc::clone(holder),
            requests,
            tokens,
            level: None,
        });
        refusal.map_or(Ok(()), Err)
    }

    /// Corrects the tokens to those that were used. Only the first call has an effect.
    pub fn settle(&mut self, tokens: u64) {
        self.correct(1, tokens);
    }

    /// Returns everything, for a call that is not sent.
    pub fn cancel(&mut self) {
        self.correct(0, 0);
    }

    fn correct(&mut self, requests: u64, tokens: u64) {
        let now = self.clock.now();
        for charged in self.charges.drain(..) {
            let holder = &charged.holder;
            for (gcra, charge, used) in [
                (&holder.requests, charged.requests, requests),
                (&holder.tokens, charged.tokens, tokens),
            ] {
                if let (Some(gcra), Some(charge)) = (gcra, charge) {
                    gcra.settle(charge, used, now);
                }
            }
            if let (Some(shared), Some(level)) = (&self.shared, charged.level) {
                let mut end = End::new(&holder.key);
                end.requests = holder
                    .rpm
                    .filter(|_| requests == 0)
                    .map(|limit| Settlement {
                        rate: Rate::at_once(limit),
                        cost: 1,
                        paid: level.requests_paid,
                        used: requests,
                    });
                end.tokens = holder.tpm.map(|limit| Settlement {
                    rate: Rate::at_once(limit),
                    cost: self.tokens,
                    paid: level.tokens_paid,
                    used: tokens,
                });
                if !end.is_empty() {
                    shared.end(end);
                }
            }
        }
    }

    /// The tightest limits of requests and of tokens of the holders, and what is left of them now.
    pub fn left(&self) -> RatesLeft {
        let holders = self.charges.iter().map(|charged| &*charged.holder);
        RatesLeft::of(holders, self.clock.now())
    }
}

impl RatesLeft {
    fn of<'a>(holders: impl Iterator<Item = &'a Holder>, now: Nanos) -> Self {
        let tighter = |known: Option<RateLeft>, limit: Option<u64>, gcra: &Option<Gcra>| {
            let left = gcra.as_ref().zip(limit).map(|(gcra, limit)| RateLeft {
                limit,
                left: gcra.left(now),
            });
            let all = [known, left].into_iter().flatten();
            all.min_by_key(|rate| rate.left)
        };
        holders.fold(Self::default(), |known, holder| Self {
            requests: tighter(known.requests, holder.rpm, &holder.requests),
            tokens: tighter(known.tokens, holder.tpm, &holder.tokens),
        })
    }
}

/// The shortest time after which a refused call is told to come back.
const SOON: Duration = Duration::from_millis(1);
/// Above this number, the holders that owe nothing are dropped.
const MOST_HOLDERS: usize = 10_000;

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;
    use tokio::time::advance;

    use super::*;

    fn holders() -> [RateHolder; 2] {
        [
            RateHolder::new("key").with_rpm(50).with_tpm(1000),
            RateHolder::new("team").with_rpm(25),
        ]
    }

    #[tokio::test(start_paused = true)]
    async fn a_refused_call_is_charged_to_nobody_and_admitted_when_it_was_told() {
        for shared in [None, Some(SharedState::memory())] {
            let limiter = RateLimiter::default();
            let take = |holders: &[RateHolder]| {
                let taken = limiter.take(shared.as_ref(), holders, 10);
                taken.now_or_never().unwrap()
            };
            let [key, team] = holders();
            for left in (0..25).rev() {
                let permit = take(&[key.clone(), team.clone()]).unwrap();
                assert_eq!(permit.left().requests, Some(RateLeft { limit: 25, left }));
            }
            let refusal = take(&[key.clone(), team.clone()]).unwrap_err();
            assert_eq!(
                (refusal.holder, refusal.is_tokens, refusal.limit),
                (1, false, 25)
            );
            // The key has not paid for the refused call.
            let mut permit = take(std::slice::from_ref(&key)).unwrap();
            let left = RateLeft {
                limit: 50,
                left: 24,
            };
            assert_eq!(permit.left().requests, Some(left));
            assert_eq!(
                limiter
                    .left(std::slice::from_ref(&team))
                    .requests
                    .map(|rate| rate.left),
                Some(0)
            );
            permit.cancel();
            let wait = refusal.retry_after.unwrap();
            advance(wait - Duration::from_millis(2)).await;
            assert!(take(std::slice::from_ref(&team)).is_err());
            advance(Duration::from_millis(2)).await;
            assert!(take(std::slice::from_ref(&team)).is_ok());
            let refusal = limiter
                .take(shared.as_ref(), &[key], 1001)
                .await
                .unwrap_err();
            assert_eq!((refusal.is_tokens, refusal.retry_after), (true, None));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn tokens_that_were_not_used_are_given_back() {
        for shared in [None, Some(SharedState::memory())] {
            let limiter = RateLimiter::default();
            let holder = [RateHolder::new("key").with_tpm(1000)];
            for _ in 0..20 {
                let mut permit = limiter.take(shared.as_ref(), &holder, 100).await.unwrap();
                permit.settle(5);
            }
            assert!(limiter.take(shared.as_ref(), &holder, 901).await.is_err());
            assert!(limiter.take(shared.as_ref(), &holder, 900).await.is_ok());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_limit_that_changes_keeps_what_was_admitted() {
        let limiter = RateLimiter::default();
        let holder = |rpm| [RateHolder::new("key").with_rpm(rpm)];
        for _ in 0..90 {
            limiter.take(None, &holder(100), 1).await.unwrap();
        }
        assert!(limiter.take(None, &holder(5), 1).await.is_err());
        assert!(limiter.take(None, &holder(1000), 1).await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn holders_that_owe_nothing_are_dropped() {
        let limiter = RateLimiter::default();
        for number in 0..3 * MOST_HOLDERS {
            let holder = RateHolder::new(number.to_string()).with_rpm(10);
            limiter.take(None, &[holder], 1).await.unwrap();
            if number % MOST_HOLDERS == 0 {
                advance(Duration::from_secs(60)).await;
            }
        }
        assert!(limiter.lock().len() <= MOST_HOLDERS + 1);
    }
}
