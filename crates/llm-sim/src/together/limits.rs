//! Rate limits per key and model, reported in headers per second, as documented.

use tokio::time::Instant;

use crate::http::{Answer, set};
use crate::limit::{BucketState, Limiter};
use crate::log::fingerprint;
use crate::options;
use crate::together::error::Refusal;

#[derive(Debug)]
pub(crate) struct Limits {
    requests: Option<Limiter>,
    tokens: Option<Limiter>,
}

/// The cost of a request.
pub(crate) struct Charge<'a> {
    pub(crate) key: &'a str,
    pub(crate) model: &'a str,
    /// Of prompt and reply.
    pub(crate) tokens: usize,
}

/// The state of a client's limits after a request, accepted or rejected.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Allowance {
    requests: Option<BucketState>,
    tokens: Option<BucketState>,
}

impl Limits {
    pub(crate) fn new(options: &options::SimLimits) -> Self {
        Self {
            requests: options.together_requests.map(Limiter::new),
            tokens: options.together_tokens.map(Limiter::new),
        }
    }

    /// Charges one request, or rejects it.
    pub(crate) fn charge(&self, charge: &Charge<'_>, now: Instant) -> Result<Allowance, Refusal> {
        let mut allowance = Allowance::default();
        if self.requests.is_none() && self.tokens.is_none() {
            return Ok(allowance);
        }
        let user = format!("{} {}", fingerprint(charge.key), charge.model);
        if let Some(requests) = &self.requests {
            let state = requests.take(&user, 1, now);
            allowance.requests = Some(state.unwrap_or_else(|refused| refused));
            if state.is_err() {
                return Err(Refusal::too_many_requests(charge.model, allowance));
            }
        }
        if let Some(tokens) = &self.tokens {
            let state = tokens.take(&user, charge.tokens as u64, now);
            allowance.tokens = Some(state.unwrap_or_else(|refused| refused));
            if state.is_err() {
                return Err(Refusal::too_many_tokens(charge.model, allowance));
            }
        }
        Ok(allowance)
    }
}

impl Allowance {
    pub(crate) fn set_headers(&self, answer: &mut Answer) {
        for (state, [limit, remaining, limit_dynamic, remaining_dynamic]) in
            [(self.requests, REQUESTS), (self.tokens, TOKENS)]
        {
            let Some(state) = state else { continue };
            let rate = state.rate.per_second().to_string();
            let left = state.remaining.to_string();
            set(answer, limit, &rate);
            set(answer, remaining, &left);
            // The dynamic rate is the current one; here it does not change.
            set(answer, limit_dynamic, &rate);
            set(answer, remaining_dynamic, &left);
        }
        let waits = [self.requests, self.tokens].into_iter().flatten();
        if let Some(wait) = waits.map(|state| state.wait).max() {
            // Rounded up to seconds, so that no client retries too early.
            let seconds = wait.as_secs_f64().ceil().max(1.0);
            set(answer, "x-ratelimit-reset", &seconds.to_string());
        }
    }
}

const REQUESTS: [&str; 4] = [
    "x-ratelimit-limit",
    "x-ratelimit-remaining",
    "x-ratelimit-limit-dynamic",
    "x-ratelimit-remaining-dynamic",
];

const TOKENS: [&str; 4] = [
    "x-tokenlimit-limit",
    "x-tokenlimit-remaining",
    "x-tokenlimit-limit-dynamic",
    "x-tokenlimit-remaining-dynamic",
];
