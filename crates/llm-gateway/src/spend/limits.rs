//! The rate limits of keys, users and teams, and their calls at the same time.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use gateway_store::{Access, LimitSettings};
use http::StatusCode;
use llm_router::{RateClaim, RateHolder, RateLimiter, RateRefusal, SharedState};

use super::rates::Rates;
use crate::error::ApiError;

/// Limits the requests and tokens per minute, and the calls at the same time, of every key, user and
/// team that has limits. The calls at the same time are those of this process.
#[derive(Debug, Default)]
pub(crate) struct Limits {
    rates: RateLimiter,
    running: Mutex<HashMap<String, Arc<AtomicU64>>>,
}

/// The limits of a key, a user or a team; `None` is unlimited.
struct Holder {
    kind: &'static str,
    rates: RateHolder,
    parallel: Option<u64>,
}

/// What a call holds of the limits. Dropping it ends the call.
#[derive(Debug, Default)]
pub(crate) struct Permits {
    rates: RatesOfCall,
    running: Vec<Running>,
}

/// The rate limits of a call. Clones are those of the same call.
#[derive(Clone, Debug, Default)]
pub(crate) struct RatesOfCall {
    claim: Option<RateClaim>,
    /// What the holders are.
    kinds: Vec<&'static str>,
    tokens: u64,
}

/// A call that is running.
#[derive(Debug)]
struct Running(Arc<AtomicU64>);

impl Limits {
    /// Counts a call of a key, and prepares the charge of a request and its estimated tokens to all
    /// limits of the key, or to none.
    ///
    /// # Errors
    /// 429 if the limits do not admit the call, as far as is known without other gateways.
    pub(super) fn begin(&self, access: &Access, tokens: u64) -> Result<Permits, ApiError> {
        let holders = holders(access);
        let mut permits = Permits::default();
        for holder in &holders {
            if let Some(most) = holder.parallel {
                permits.running.push(self.enter(holder, most)?);
            }
        }
        let limited: Vec<&Holder> = holders.iter().filter(|holder| holder.has_rates()).collect();
        if limited.is_empty() {
            return Ok(permits);
        }
        let rates: Vec<RateHolder> = limited.iter().map(|holder| holder.rates.clone()).collect();
        permits.rates.kinds = limited.iter().map(|holder| holder.kind).collect();
        permits.rates.tokens = tokens;
        let claim = self.rates.claim(&rates, tokens).map_err(|refusal| {
            let error = permits.rates.refused(&refusal);
            error.with_rates(self.rates.left(&rates).into())
        })?;
        permits.rates.claim = Some(claim);
        Ok(permits)
    }

    /// Counts a call that begins.
    fn enter(&self, holder: &Holder, most: u64) -> Result<Running, ApiError> {
        let count = {
            let mut running = self.lock();
            if running.len() >= MOST_COUNTERS {
                running.retain(|_, count| count.load(Relaxed) > 0);
            }
            Arc::clone(running.entry(holder.rates.name.clone()).or_default())
        };
        let add = |calls: u64| (calls < most).then_some(calls + 1);
        match count.fetch_update(Relaxed, Relaxed, add) {
            Ok(_) => Ok(Running(count)),
            Err(_) => {
                let what = "parallel requests";
                Err(exceeded(holder.kind, most, what).with_retry_after(Duration::from_secs(1)))
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Arc<AtomicU64>>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Who has limits that a call with this access is subject to.
fn holders(access: &Access) -> Vec<Holder> {
    let key = &access.key;
    let of_key = Holder::new("API key", "key", &key.id, &key.settings.limits);
    let owners = [("user", access.user()), ("team", access.team())];
    let of_owners = owners.into_iter().filter_map(|(kind, owner)| {
        let owner = owner?;
        Holder::new(kind, kind, &owner.id, &owner.settings.limits)
    });
    of_key.into_iter().chain(of_owners).collect()
}

impl Holder {
    /// `None` without limits, as for most calls.
    fn new(
        kind: &'static str,
        prefix: &'static str,
        id: impl std::fmt::Display,
        limits: &LimitSettings,
    ) -> Option<Self> {
        let LimitSettings {
            rpm_limit,
            tpm_limit,
            max_parallel_requests: parallel,
            ..
        } = *limits;
        (rpm_limit.or(tpm_limit).or(parallel).is_some()).then(|| Self {
            kind,
            rates: RateHolder::new(format!("{prefix}:{id}"))
                .with_rpm(rpm_limit)
                .with_tpm(tpm_limit),
            parallel,
        })
    }

    fn has_rates(&self) -> bool {
        self.rates.rpm.is_some() || self.rates.tpm.is_some()
    }
}

impl Permits {
    /// Charges the rate limits now. With a shared state, they hold for all gateways.
    ///
    /// # Errors
    /// 429 with the time after which the call would be admitted.
    pub(super) async fn take(&self, shared: Option<&SharedState>) -> Result<(), ApiError> {
        if let Some(claim) = &self.rates.claim {
            // The reason is that of the claim.
            let _ = claim.take(shared).await;
        }
        self.rates.refusal().map_or(Ok(()), Err)
    }

    /// Corrects the reserved tokens to those that were used, and ends the call.
    pub(super) fn settle(&mut self, tokens: u64) {
        if let Some(claim) = &self.rates.claim {
            claim.settle(tokens);
        }
        self.running.clear();
    }

    /// Returns everything, for a call that is not sent.
    pub(super) fn cancel(&mut self) {
        if let Some(claim) = &self.rates.claim {
            claim.cancel();
        }
        self.running.clear();
    }

    pub(super) fn rates(&self) -> &RatesOfCall {
        &self.rates
    }
}

impl RatesOfCall {
    pub(super) fn has_any(&self) -> bool {
        self.claim.is_some()
    }

    /// What the router charges with the choice of a deployment.
    pub(super) fn claim(&self) -> Option<RateClaim> {
        self.claim.clone()
    }

    /// What was left of the limits when the call was admitted.
    pub(super) fn left(&self) -> Rates {
        let claim = self.claim.as_ref();
        claim.map_or_else(Rates::default, |claim| claim.left().into())
    }

    /// The error of a call that the limits do not admit.
    pub(super) fn refusal(&self) -> Option<ApiError> {
        let refusal = self.claim.as_ref()?.refusal()?;
        Some(self.refused(&refusal).with_rates(self.left()))
    }

    fn refused(&self, refusal: &RateRefusal) -> ApiError {
        let kind = self.kinds.get(refusal.holder).copied();
        refused(kind.unwrap_or("API key"), refusal, self.tokens)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

fn refused(holder: &str, refusal: &RateRefusal, tokens: u64) -> ApiError {
    let limit = refusal.limit;
    let Some(wait) = refusal.retry_after else {
        let message = format!(
            "rate limit exceeded: the call may use {tokens} tokens, and the {holder} is limited to \
             {limit} tokens per minute; set a lower `max_tokens`"
        );
        return too_many(message).with_no_retry();
    };
    let what = match refusal.is_tokens {
        true => "tokens per minute",
        false => "requests per minute",
    };
    exceeded(holder, limit, what).with_retry_after(wait)
}

fn exceeded(holder: &str, most: u64, what: &str) -> ApiError {
    too_many(format!(
        "rate limit exceeded: the {holder} is limited to {most} {what}"
    ))
}

fn too_many(message: String) -> ApiError {
    ApiError::new(StatusCode::TOO_MANY_REQUESTS, "rate_limit_error", message)
        .with_code("rate_limit_exceeded")
}

/// Above this number, the counters that are not in use are dropped.
const MOST_COUNTERS: usize = 10_000;
