//! When a failing deployment gets no calls, and when it is probed.

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use llm_provider::{Error, ErrorKind};

use crate::average::PerMinute;
use crate::clock::{Nanos, between, nanos};
use crate::shared::SharedCooldown;

/// When a deployment is cooled down, and for how long.
///
/// | failure | cooled down |
/// |---|---|
/// | rejected key, no credit, model not found | immediately |
/// | rate limit, overload with `Retry-After` | immediately, for the time that the upstream names |
/// | rate limit and overload without it, timeout, lost connection, other 5xx, unreadable reply | after `allowed_fails` failures in a row, or when more than half of ten or more calls in a minute failed |
/// | all others | never: the request is at fault, or the model |
///
/// After the cooldown, one call probes the deployment. If the probe succeeds, the deployment is used
/// as before; if it fails, the next cooldown is twice as long, up to `max_time`. This holds for the
/// only deployment of a group, too: its callers get an error immediately instead of waiting for
/// a timeout each.
///
/// A deployment with a `*` in its model serves many models, of which one may be overloaded or broken.
/// Only a rejected key, missing credit and lost connections cool it down, which concern all of them.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Cooldown {
    /// The failures in a row after which a deployment is cooled down; 3 by default.
    pub allowed_fails: u32,
    /// The first cooldown; 5 s by default.
    pub time: Duration,
    /// The longest cooldown that the upstream did not ask for; 60 s by default.
    pub max_time: Duration,
    /// Whether deployments are cooled down at all; `true` by default.
    pub is_enabled: bool,
}

impl Default for Cooldown {
    fn default() -> Self {
        Self {
            allowed_fails: 3,
            time: Duration::from_secs(5),
            max_time: Duration::from_secs(60),
            is_enabled: true,
        }
    }
}

impl Cooldown {
    /// Sets the failures in a row after which a deployment is cooled down; 0 counts as 1.
    #[must_use]
    pub fn with_allowed_fails(mut self, fails: u32) -> Self {
        self.allowed_fails = fails;
        self
    }

    /// Sets the first cooldown; the longest is at least as long.
    #[must_use]
    pub fn with_time(mut self, time: Duration) -> Self {
        self.time = time;
        self.max_time = self.max_time.max(time);
        self
    }

    /// Sets the longest cooldown that the upstream did not ask for.
    #[must_use]
    pub fn with_max_time(mut self, time: Duration) -> Self {
        self.max_time = time;
        self
    }

    /// Disables cooldowns.
    #[must_use]
    pub fn disabled() -> Self {
        Self {
            is_enabled: false,
            ..Self::default()
        }
    }
}

/// The health of one deployment.
#[derive(Debug, Default)]
pub(crate) struct Breaker {
    /// The end of the cooldown; 0 if the deployment is healthy.
    until: AtomicU64,
    is_probed: AtomicBool,
    /// The failures in a row.
    streak: AtomicU32,
    /// The cooldowns in a row.
    cooldowns: AtomicU32,
    cause: AtomicU8,
    calls: PerMinute,
    fails: PerMinute,
}

/// What a failure says about the deployment.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Verdict {
    /// It is healthy.
    Ignore,
    /// It may be unhealthy.
    Count,
    /// It cannot serve calls, for the time that the upstream names, if it names one.
    Trip(Option<Duration>),
}

impl Breaker {
    /// The earliest time at which a call may be sent; 0 for at once, `None` while a probe is under
    /// way.
    pub(crate) fn ready_at(&self, now: Nanos) -> Option<Nanos> {
        match self.until.load(Relaxed) {
            0 => Some(0),
            until if until > now => Some(until),
            _ => (!self.is_probed.load(Relaxed)).then_some(0),
        }
    }

    /// Admits a call: `Some(true)` if it is a probe.
    pub(crate) fn enter(&self, now: Nanos) -> Option<bool> {
        match self.until.load(Relaxed) {
            0 => Some(false),
            until if until > now => None,
            _ => (!self.is_probed.swap(true, Relaxed)).then_some(true),
        }
    }

    /// Counts a call as the probe that is under way.
    pub(crate) fn begin_probe(&self) {
        self.is_probed.store(true, Relaxed);
    }

    /// Takes over the cooldown that the shared state knows, if any.
    pub(crate) fn adopt(&self, cooldown: Option<SharedCooldown>, now: Nanos) {
        let Some(cooldown) = cooldown else {
            if self.until.load(Relaxed) != 0 {
                self.until.store(0, Relaxed);
                self.cooldowns.store(0, Relaxed);
                self.is_probed.store(false, Relaxed);
            }
            return;
        };
        let until = now.saturating_add(cooldown.left.saturating_mul(1000));
        self.until.store(until.max(1), Relaxed);
        self.cooldowns.store(cooldown.count, Relaxed);
        self.cause.store(cooldown.cause, Relaxed);
        self.is_probed.store(false, Relaxed);
    }

    /// The cooldown that began now, for the shared state.
    pub(crate) fn shared(&self, time: Duration) -> SharedCooldown {
        SharedCooldown {
            left: nanos(time) / 1000,
            count: self.cooldowns.load(Relaxed),
            cause: self.cause.load(Relaxed),
        }
    }

    /// Ends a probe without a result.
    pub(crate) fn abandon_probe(&self) {
        self.is_probed.store(false, Relaxed);
    }

    /// Records that the deployment answered; `true` if that ended its cooldown.
    pub(crate) fn succeeded(&self, is_probe: bool, now: Nanos) -> bool {
        self.calls.add(1, now);
        if self.streak.load(Relaxed) != 0 {
            self.streak.store(0, Relaxed);
        }
        if is_probe {
            self.cooldowns.store(0, Relaxed);
            self.until.store(0, Relaxed);
            self.is_probed.store(false, Relaxed);
        }
        is_probe
    }

    /// Records a failure; returns the cooldown that it starts.
    pub(crate) fn failed(
        &self,
        error: &Error,
        is_probe: bool,
        now: Nanos,
        options: &Cooldown,
    ) -> Option<Duration> {
        let verdict = verdict(error);
        if verdict == Verdict::Ignore {
            self.succeeded(is_probe, now);
            return None;
        }
        self.calls.add(1, now);
        self.fails.add(1, now);
        let streak = self.streak.fetch_add(1, Relaxed).saturating_add(1);
        let is_healthy = self.until.load(Relaxed) == 0;
        let trips = match verdict {
            Verdict::Trip(_) => true,
            _ => is_probe || streak >= options.allowed_fails.max(1) || self.mostly_fails(now),
        };
        // Calls that began before the cooldown do not prolong it.
        let cools = options.is_enabled && trips && (is_healthy || is_probe);
        let time = cools.then(|| self.cool(verdict, error.kind(), now, options));
        if is_probe {
            self.is_probed.store(false, Relaxed);
        }
        time
    }

    fn cool(&self, verdict: Verdict, cause: ErrorKind, now: Nanos, options: &Cooldown) -> Duration {
        let before = self.cooldowns.fetch_add(1, Relaxed).min(16);
        let grown = options.time.saturating_mul(1 << before);
        let own = grown.min(options.max_time);
        let time = match verdict {
            Verdict::Trip(Some(advice)) => advice.min(MAX_ADVICE),
            _ => own,
        };
        self.cause.store(code(cause), Relaxed);
        self.streak.store(0, Relaxed);
        self.until
            .store(now.saturating_add(nanos(time).max(1)), Relaxed);
        time
    }

    fn mostly_fails(&self, now: Nanos) -> bool {
        let (calls, fails) = (self.calls.get(now), self.fails.get(now));
        calls >= 10 && fails > calls / 2
    }

    /// The cause of the cooldown and the time that is left, zero if a probe is due; `None` if the
    /// deployment is healthy.
    pub(crate) fn cooldown(&self, now: Nanos) -> Option<(ErrorKind, Duration)> {
        match self.until.load(Relaxed) {
            0 => None,
            until => Some((kind(self.cause.load(Relaxed)), between(now, until))),
        }
    }
}

/// Whether a failure says that the deployment may be unhealthy.
pub(crate) fn is_fault(error: &Error) -> bool {
    verdict(error) != Verdict::Ignore
}

/// Whether a failure may concern only one of the models of an upstream.
pub(crate) fn is_of_model(kind: ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::NotFound
            | ErrorKind::RateLimited
            | ErrorKind::Overloaded
            | ErrorKind::Timeout
            | ErrorKind::UnexpectedBody
            | ErrorKind::UpstreamFailed
    )
}

fn verdict(error: &Error) -> Verdict {
    match error.kind() {
        ErrorKind::Auth | ErrorKind::InsufficientCredit | ErrorKind::NotFound => {
            Verdict::Trip(None)
        }
        ErrorKind::RateLimited | ErrorKind::Overloaded => match error.retry_after() {
            None => Verdict::Count,
            advice => Verdict::Trip(advice),
        },
        ErrorKind::Timeout
        | ErrorKind::Transport
        | ErrorKind::UnexpectedBody
        | ErrorKind::UpstreamFailed => Verdict::Count,
        _ => Verdict::Ignore,
    }
}

/// The kinds that can start a cooldown; their index is what the atomic holds.
const CAUSES: [ErrorKind; 9] = [
    ErrorKind::UpstreamFailed,
    ErrorKind::Auth,
    ErrorKind::InsufficientCredit,
    ErrorKind::NotFound,
    ErrorKind::RateLimited,
    ErrorKind::Overloaded,
    ErrorKind::Timeout,
    ErrorKind::Transport,
    ErrorKind::UnexpectedBody,
];

fn code(kind: ErrorKind) -> u8 {
    let index = CAUSES.iter().position(|cause| *cause == kind);
    index
        .and_then(|index| u8::try_from(index).ok())
        .unwrap_or(0)
}

fn kind(code: u8) -> ErrorKind {
    let cause = CAUSES.get(usize::from(code));
    cause.copied().unwrap_or(ErrorKind::UpstreamFailed)
}

/// The longest cooldown that an upstream can ask for.
const MAX_ADVICE: Duration = Duration::from_secs(3600);

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Nanos = 1_000_000_000;
    const NOW: Nanos = 1 << 50;

    fn error(kind: ErrorKind, retry_after: Option<u64>) -> Error {
        let wait = retry_after.map(Duration::from_secs);
        Error::new(kind, "failed").with_retry_after(wait)
    }

    #[test]
    fn a_cooldown_starts_by_cause() {
        use ErrorKind::*;
        for (kind, advice, expected) in [
            (Auth, None, Some((1, 5))),
            (InsufficientCredit, None, Some((1, 5))),
            (NotFound, None, Some((1, 5))),
            (RateLimited, Some(17), Some((1, 17))),
            (RateLimited, Some(90_000), Some((1, 3600))),
            (Overloaded, Some(2), Some((1, 2))),
            (RateLimited, None, Some((3, 5))),
            (Timeout, None, Some((3, 5))),
            (Transport, None, Some((3, 5))),
            (UpstreamFailed, None, Some((3, 5))),
            (UnexpectedBody, None, Some((3, 5))),
            (InvalidRequest, None, None),
            (ContextWindow, None, None),
            (ContentFilter, None, None),
            (Permission, None, None),
            (ModelFailed, None, None),
            (Unsupported, None, None),
            (Cancelled, None, None),
        ] {
            let breaker = Breaker::default();
            let mut cooled = None;
            for attempt in 1..=100 {
                let time = breaker.failed(&error(kind, advice), false, NOW, &Cooldown::default());
                if let Some(time) = time {
                    cooled = Some((attempt, time.as_secs()));
                    break;
                }
            }
            assert_eq!(cooled, expected, "{kind:?} {advice:?}");
            let cause = breaker.cooldown(NOW).map(|(cause, _)| cause);
            assert_eq!(cause, expected.map(|_| kind));
        }
    }

    #[test]
    fn one_probe_at_a_time_decides_and_cooldowns_double() {
        let (breaker, options) = (Breaker::default(), Cooldown::default());
        let failure = error(ErrorKind::Auth, None);
        let mut now = NOW;
        breaker.failed(&failure, false, now, &options);
        for expected in [5, 10, 20, 40, 60, 60] {
            let (_, left) = breaker.cooldown(now).unwrap();
            assert_eq!(left.as_secs(), expected);
            assert_eq!(breaker.enter(now + expected * SECOND - 1), None);
            now += expected * SECOND;
            assert_eq!(breaker.enter(now), Some(true));
            assert_eq!(breaker.enter(now), None, "a second probe");
            breaker.failed(&failure, true, now, &options);
        }
        now += 60 * SECOND;
        assert_eq!(breaker.enter(now), Some(true));
        breaker.abandon_probe();
        assert_eq!(breaker.enter(now), Some(true));
        assert!(breaker.succeeded(true, now));
        assert_eq!(breaker.enter(now), Some(false));
        assert_eq!(breaker.cooldown(now), None);
    }

    #[test]
    fn a_rejected_request_shows_that_the_upstream_is_there() {
        let (breaker, options) = (Breaker::default(), Cooldown::default());
        breaker.failed(&error(ErrorKind::Auth, None), false, NOW, &options);
        let later = NOW + 6 * SECOND;
        assert_eq!(breaker.enter(later), Some(true));
        breaker.failed(
            &error(ErrorKind::InvalidRequest, None),
            true,
            later,
            &options,
        );
        assert_eq!(breaker.cooldown(later), None);
    }

    #[test]
    fn failures_that_are_not_in_a_row_count_by_their_share() {
        let (breaker, options) = (Breaker::default(), Cooldown::default());
        let failure = error(ErrorKind::Timeout, None);
        for _ in 0..3 {
            breaker.succeeded(false, NOW);
        }
        let mut cooled = 0;
        for _ in 0..4 {
            for _ in 0..2 {
                cooled += usize::from(breaker.failed(&failure, false, NOW, &options).is_some());
            }
            breaker.succeeded(false, NOW);
        }
        assert_eq!(cooled, 1);
    }

    #[test]
    fn without_cooldowns_a_deployment_stays_in_use() {
        let breaker = Breaker::default();
        let options = Cooldown::disabled();
        for _ in 0..100 {
            breaker.failed(&error(ErrorKind::Auth, None), false, NOW, &options);
        }
        assert_eq!(breaker.enter(NOW), Some(false));
    }
}
