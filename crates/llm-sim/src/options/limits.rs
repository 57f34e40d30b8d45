use std::time::Duration;

use crate::limit::Rate;

/// The rate limits per key; those that are not set do not apply.
///
/// The simulated Together applies its limits to each key and model, reports the state in the
/// headers `x-ratelimit-*` and `x-tokenlimit-*`, and returns 429 beyond them. The simulated
/// Replicate applies its limits to each key, and reports the state in `ratelimit-remaining` and
/// `ratelimit-reset`.
#[non_exhaustive]
#[derive(Clone, Debug, Default)]
pub struct SimLimits {
    /// Requests to Together for one model.
    pub together_requests: Option<Rate>,
    /// Tokens of Together's prompts and replies together, for one model.
    pub together_tokens: Option<Rate>,
    /// Predictions created on Replicate.
    pub replicate_creates: Option<Rate>,
    /// Reads of single predictions of Replicate.
    pub replicate_gets: Option<Rate>,
    /// All other requests to Replicate; event streams do not count.
    pub replicate_others: Option<Rate>,
    /// The form of the retry advice in Replicate's 429.
    pub replicate_advice: RetryAdvice,
}

impl SimLimits {
    /// Limits the requests to Together for each model.
    #[must_use]
    pub fn with_together_requests(mut self, rate: Rate) -> Self {
        self.together_requests = Some(rate);
        self
    }

    /// Limits the tokens on Together for each model.
    #[must_use]
    pub fn with_together_tokens(mut self, rate: Rate) -> Self {
        self.together_tokens = Some(rate);
        self
    }

    /// Sets the limits of the real Replicate: per minute 600 predictions created and 3,000 other
    /// requests, as documented, and 60,000 reads of predictions, as recorded.
    #[must_use]
    pub fn with_replicate_defaults(mut self) -> Self {
        let minute = |amount| Some(Rate::new(amount, Duration::from_secs(60)));
        self.replicate_creates = minute(600);
        self.replicate_gets = minute(60_000);
        self.replicate_others = minute(3000);
        self
    }

    /// Limits the predictions created on Replicate. An account with little credit may create one at
    /// a time, and the 429 then says so.
    #[must_use]
    pub fn with_replicate_creates(mut self, rate: Rate) -> Self {
        self.replicate_creates = Some(rate);
        self
    }

    /// Limits the reads of single predictions of Replicate.
    #[must_use]
    pub fn with_replicate_gets(mut self, rate: Rate) -> Self {
        self.replicate_gets = Some(rate);
        self
    }

    /// Limits the other requests to Replicate.
    #[must_use]
    pub fn with_replicate_others(mut self, rate: Rate) -> Self {
        self.replicate_others = Some(rate);
        self
    }

    /// Sets the form of the retry advice.
    #[must_use]
    pub fn with_replicate_advice(mut self, advice: RetryAdvice) -> Self {
        self.replicate_advice = advice;
        self
    }
}

/// The form of the retry advice in Replicate's 429; all of them also contain it as text.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum RetryAdvice {
    /// The header `Retry-After` with a date.
    Date,
    /// The body's `retry_after`, in seconds, as in newer responses.
    #[default]
    Field,
    /// The header `Retry-After` with seconds.
    Header,
    /// Text only: `Your rate limit resets in ~30s.`
    Words,
}
