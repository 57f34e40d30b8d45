//! The holders of rate limits, and what is left of their limits.

use std::sync::Arc;
use std::time::Duration;

use crate::clock::{Nanos, between};
use crate::limits::{Gcra, Rate};

/// A caller with rate limits, such as a key. Without a value, there is no limit.
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
pub(super) struct Holder {
    pub(super) key: Arc<str>,
    pub(super) rpm: Option<u64>,
    pub(super) tpm: Option<u64>,
    pub(super) requests: Option<Gcra>,
    pub(super) tokens: Option<Gcra>,
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

impl Holder {
    /// A holder whose limits have changed.
    pub(super) fn new(holder: &RateHolder, before: Option<&Self>) -> Self {
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

    pub(super) fn owes(&self, now: Nanos) -> bool {
        let limits = [&self.requests, &self.tokens];
        limits.into_iter().flatten().any(|gcra| gcra.owes(now))
    }
}

/// Why `states` do not admit a call now, or if `is_final`, ever.
pub(super) fn refusal(
    states: &[Arc<Holder>],
    tokens: u64,
    now: Nanos,
    is_final: bool,
) -> Option<RateRefusal> {
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

impl RatesLeft {
    pub(super) fn of<'a>(holders: impl Iterator<Item = &'a Holder>, now: Nanos) -> Self {
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
pub(super) const SOON: Duration = Duration::from_millis(1);
