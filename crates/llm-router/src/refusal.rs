//! Why no deployment of a group can serve a call now, as an error with an accurate `Retry-After`.

use std::sync::Arc;
use std::time::Duration;

use llm_provider::text::excerpt;
use llm_provider::{Error, ErrorKind};

use crate::clock::{Nanos, between};
use crate::deployment::{Demand, Readiness, State};

/// What keeps the deployments of a group from serving a call.
#[derive(Debug, Default)]
pub(crate) struct Refusal {
    /// The earliest time at which a rate limit admits the call.
    limited: Option<Nanos>,
    /// The expected time until a call of a busy deployment ends.
    busy: Option<Duration>,
    /// The deployment whose cooldown ends first: the end and the cause.
    cooling: Option<(Nanos, ErrorKind)>,
    is_overflow: bool,
    is_too_large: bool,
    is_untagged: bool,
}

impl Refusal {
    pub(crate) fn of<'a>(
        states: impl Iterator<Item = &'a Arc<State>>,
        demand: &Demand,
        now: Nanos,
    ) -> Self {
        let mut refusal = Self::default();
        for state in states {
            refusal.add(state, demand, now);
        }
        refusal
    }

    fn add(&mut self, state: &State, demand: &Demand, now: Nanos) {
        match state.readiness(demand, now) {
            // It was busy when it was chosen; another call has ended since.
            Readiness::Ready => self.limited = Some(earliest(self.limited, now + SOON)),
            Readiness::At(at) => self.limited = Some(earliest(self.limited, at)),
            Readiness::Busy => {
                let latency = Duration::from_nanos(whole(state.mean_latency(now)));
                let before = self.busy.unwrap_or(Duration::MAX);
                self.busy = Some(before.min(latency));
            }
            Readiness::Cooling(at) => {
                // A probe is under way, which ends at an unknown time.
                let at = if at == 0 { now + PROBE } else { at };
                let cause = state.breaker.cooldown(now).map(|(cause, _)| cause);
                let cause = cause.unwrap_or(ErrorKind::Overloaded);
                if self.cooling.is_none_or(|(earliest, _)| at < earliest) {
                    self.cooling = Some((at, cause));
                }
            }
            Readiness::TooLarge => self.is_too_large = true,
            Readiness::Overflow => self.is_overflow = true,
            // The error of the broken stream is returned.
            Readiness::CannotContinue => {}
            Readiness::Untagged => self.is_untagged = true,
        }
    }

    /// Whether waiting can help.
    pub(crate) fn is_temporary(&self) -> bool {
        self.limited.is_some() || self.busy.is_some()
    }

    /// Whether only time can help, and not the end of another call.
    pub(crate) fn is_only_limited(&self) -> bool {
        self.busy.is_none()
    }

    /// The earliest time at which a deployment is known to have room; `None` if that depends on
    /// other calls.
    pub(crate) fn ready_at(&self) -> Option<Nanos> {
        let cooling = self.cooling.map(|(at, _)| at);
        [self.limited, cooling].into_iter().flatten().min()
    }

    /// The error for the caller.
    pub(crate) fn into_error(self, group: &str, now: Nanos) -> Error {
        let group = excerpt(group);
        if self.is_temporary() {
            let until = self.limited.map(|at| between(now, at));
            let wait = [until, self.busy].into_iter().flatten().min();
            return refuse(
                ErrorKind::RateLimited,
                format!("every deployment of the model \"{group}\" is at its limits"),
                wait,
            )
            .with_code("deployment_limits_reached".to_owned());
        }
        if let Some((at, cause)) = self.cooling {
            let message = format!(
                "every deployment of the model \"{group}\" is cooling down after failures; the \
                 cause is {}",
                describe(cause)
            );
            return refuse(public_kind(cause), message, Some(between(now, at)))
                .with_code("deployments_cooling_down".to_owned());
        }
        if self.is_overflow {
            let message = format!(
                "the prompt is longer than the context window of every deployment of the model \
                 \"{group}\""
            );
            return Error::new(ErrorKind::ContextWindow, message)
                .with_code("context_length_exceeded".to_owned());
        }
        if self.is_too_large {
            let message = format!(
                "the call needs more tokens than any deployment of the model \"{group}\" may use \
                 in a minute"
            );
            return Error::new(ErrorKind::InvalidRequest, message)
                .with_code("tokens_per_minute_exceeded".to_owned());
        }
        if self.is_untagged {
            let message = format!("no deployment of the model \"{group}\" has a tag of the call");
            return Error::new(ErrorKind::NotFound, message)
                .with_code("no_deployment_with_tag".to_owned());
        }
        Error::new(ErrorKind::NotFound, "the model group has no deployments")
    }
}

fn refuse(kind: ErrorKind, message: String, wait: Option<Duration>) -> Error {
    // Clients that come back too early are refused again: round up to a millisecond.
    let wait = wait.map(|wait| wait.max(Duration::from_millis(1)));
    Error::new(kind, message)
        .with_retry_after(wait)
        .with_unsent()
}

/// The kind of the error: that of the cause if the operator has to act on it.
fn public_kind(cause: ErrorKind) -> ErrorKind {
    match cause {
        ErrorKind::Auth
        | ErrorKind::InsufficientCredit
        | ErrorKind::NotFound
        | ErrorKind::RateLimited => cause,
        _ => ErrorKind::Overloaded,
    }
}

fn describe(cause: ErrorKind) -> &'static str {
    match cause {
        ErrorKind::Auth => "a rejected key",
        ErrorKind::InsufficientCredit => "an account without credit",
        ErrorKind::NotFound => "a model that the upstream does not know",
        ErrorKind::RateLimited => "a rate limit of the upstream",
        ErrorKind::Overloaded => "an overloaded upstream",
        ErrorKind::Timeout => "timeouts",
        ErrorKind::Transport => "failed connections",
        ErrorKind::UnexpectedBody => "unreadable replies",
        _ => "failures of the upstream",
    }
}

/// When to try again if another call has just ended.
const SOON: Nanos = 1_000_000;
/// The assumed duration of a probe.
const PROBE: Nanos = 1_000_000_000;

fn earliest(before: Option<Nanos>, at: Nanos) -> Nanos {
    before.map_or(at, |before| before.min(at))
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a cast saturates, and latencies are not negative"
)]
fn whole(nanos: f64) -> u64 {
    nanos as u64
}
