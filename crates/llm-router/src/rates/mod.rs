//! Rate limits of callers, such as the keys of a gateway.

mod claim;
mod holder;
mod permit;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::clock::Clock;
use crate::shared::SharedState;

use self::holder::{Holder, refusal};

pub(crate) use self::claim::denied;

pub use self::claim::RateClaim;
pub use self::holder::{RateHolder, RateLeft, RateRefusal, RatesLeft};
pub use self::permit::RatePermit;

/// Keeps the rate limits of many holders. A limit may be used up at once, and it is refilled within a
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
        let (states, mut permit) = self.prepare(holders, tokens)?;
        if let Some(shared) = shared.filter(|_| !states.is_empty())
            && let Some(admitted) = permit.take_shared(shared, &states).await
        {
            return admitted.map(|()| permit);
        }
        permit.take_all_alone(&states)?;
        Ok(permit)
    }

    /// Prepares a call of `holders` that a router charges when it chooses a deployment.
    ///
    /// # Errors
    /// The first limit that never admits the call, because it needs more than the limit.
    pub fn claim(&self, holders: &[RateHolder], tokens: u64) -> Result<RateClaim, RateRefusal> {
        let (states, permit) = self.prepare(holders, tokens)?;
        Ok(RateClaim::new(states, permit))
    }

    fn prepare(
        &self,
        holders: &[RateHolder],
        tokens: u64,
    ) -> Result<(Vec<Arc<Holder>>, RatePermit), RateRefusal> {
        let states: Vec<_> = holders.iter().map(|holder| self.holder(holder)).collect();
        if let Some(refusal) = refusal(&states, tokens, self.clock.now(), true) {
            return Err(refusal);
        }
        let permit = RatePermit {
            clock: self.clock,
            shared: None,
            charges: Vec::with_capacity(states.len()),
            tokens,
        };
        Ok((states, permit))
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

/// Above this number, the holders that owe nothing are dropped.
const MOST_HOLDERS: usize = 10_000;

#[cfg(test)]
mod tests {
    use std::time::Duration;

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
