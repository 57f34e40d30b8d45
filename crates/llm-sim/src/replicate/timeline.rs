//! The timeline of a prediction: computed when it is created, and evaluated on each request. No
//! task runs meanwhile, so none can be left running.

use std::fmt;
use std::time::Duration;

use tokio::time::Instant;

use crate::clock::later;

/// The status of a prediction.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum SimStatus {
    /// The deadline passed before it started.
    Aborted,
    /// It was cancelled, or the deadline passed while it ran.
    Canceled,
    /// It ended with an error.
    Failed,
    /// It runs.
    Processing,
    /// It waits in the queue, or for its model to boot.
    Starting,
    /// It ended with its output.
    Succeeded,
}

impl SimStatus {
    /// The API's spelling.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Aborted => "aborted",
            Self::Canceled => "canceled",
            Self::Failed => "failed",
            Self::Processing => "processing",
            Self::Starting => "starting",
            Self::Succeeded => "succeeded",
        }
    }

    /// Whether this status is final.
    pub fn is_terminal(self) -> bool {
        !matches!(self, Self::Processing | Self::Starting)
    }
}

impl fmt::Display for SimStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The events that happen unless it is cancelled.
#[derive(Clone, Debug)]
pub(crate) struct Timeline {
    pub(crate) created: Instant,
    /// When the model starts; `None` if it fails before.
    pub(crate) started: Option<Instant>,
    pub(crate) first_token: Duration,
    pub(crate) token: Duration,
    pub(crate) tokens_per_event: usize,
    /// The number of tokens at the end.
    pub(crate) tokens: usize,
    pub(crate) ends: Instant,
    pub(crate) fails: bool,
    pub(crate) deadline: Option<Instant>,
}

/// The state at one point in time.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Moment {
    pub(crate) status: SimStatus,
    /// The number of output tokens so far.
    pub(crate) tokens: usize,
    pub(crate) started: Option<Instant>,
    /// Only for terminal statuses.
    pub(crate) completed: Option<Instant>,
}

impl Timeline {
    pub(crate) fn at(&self, now: Instant, cancelled: Option<Instant>) -> Moment {
        let (end, status) = self.end(cancelled);
        let until = now.min(end);
        let started = self.started.filter(|started| *started <= until);
        // A prediction that ended before its start never started.
        let started = started.filter(|started| *started < end || end == self.ends);
        let status = match started {
            _ if now >= end => status,
            Some(_) => SimStatus::Processing,
            None => SimStatus::Starting,
        };
        Moment {
            status,
            tokens: started.map_or(0, |started| self.tokens_by(started, until)),
            started,
            completed: status.is_terminal().then_some(end),
        }
    }

    /// When the output is complete, or can no longer be completed.
    pub(crate) fn end(&self, cancelled: Option<Instant>) -> (Instant, SimStatus) {
        let mut end = (
            self.ends,
            if self.fails {
                SimStatus::Failed
            } else {
                SimStatus::Succeeded
            },
        );
        if let Some(deadline) = self.deadline.filter(|deadline| *deadline < end.0) {
            let running = self.started.is_some_and(|started| started < deadline);
            end = (
                deadline,
                if running {
                    SimStatus::Canceled
                } else {
                    SimStatus::Aborted
                },
            );
        }
        if let Some(cancelled) = cancelled.filter(|cancelled| *cancelled < end.0) {
            end = (cancelled, SimStatus::Canceled);
        }
        end
    }

    /// The next time after `now` at which anything changes.
    pub(crate) fn next_change(&self, now: Instant, cancelled: Option<Instant>) -> Option<Instant> {
        let (end, _) = self.end(cancelled);
        let token = self
            .started
            .filter(|started| *started <= now)
            .and_then(|started| {
                let next = self.tokens_by(started, now) + 1;
                (next <= self.tokens).then(|| self.token_at(started, next))
            });
        [self.started, token, Some(end)]
            .into_iter()
            .flatten()
            .filter(|at| *at > now && *at <= end)
            .min()
    }

    /// When the token with this number, counted from 1, is sent: with the last one of its event.
    pub(crate) fn token_at(&self, started: Instant, number: usize) -> Instant {
        let size = self.tokens_per_event.max(1);
        let last = number.div_ceil(size).saturating_mul(size).min(self.tokens);
        let gaps = u32::try_from(last.saturating_sub(1)).unwrap_or(u32::MAX);
        later(
            started,
            self.first_token
                .saturating_add(self.token.saturating_mul(gaps)),
        )
    }

    fn tokens_by(&self, started: Instant, until: Instant) -> usize {
        let Some(since_first) = until.checked_duration_since(later(started, self.first_token))
        else {
            return 0;
        };
        if self.token.is_zero() {
            return self.tokens;
        }
        let gaps = since_first.as_nanos() / self.token.as_nanos();
        let out = usize::try_from(gaps)
            .unwrap_or(usize::MAX)
            .saturating_add(1);
        if out >= self.tokens {
            return self.tokens;
        }
        out - out % self.tokens_per_event.max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn timeline() -> Timeline {
        let created = Instant::now();
        let started = created + Duration::from_secs(10);
        Timeline {
            created,
            started: Some(started),
            first_token: Duration::from_secs(2),
            token: Duration::from_secs(1),
            tokens_per_event: 1,
            tokens: 5,
            ends: started + Duration::from_secs(6),
            fails: false,
            deadline: None,
        }
    }

    fn look(timeline: &Timeline, seconds: u64, cancelled: Option<u64>) -> (SimStatus, usize) {
        let at = |seconds| timeline.created + Duration::from_secs(seconds);
        let moment = timeline.at(at(seconds), cancelled.map(at));
        (moment.status, moment.tokens)
    }

    #[tokio::test]
    async fn a_prediction_passes_through_its_states() {
        let life = timeline();
        let course: Vec<_> = [0, 9, 10, 12, 14, 15, 16, 99]
            .map(|t| look(&life, t, None))
            .into();
        use SimStatus::{Processing, Starting, Succeeded};
        assert_eq!(
            course,
            [
                (Starting, 0),
                (Starting, 0),
                (Processing, 0),
                (Processing, 1),
                (Processing, 3),
                (Processing, 4),
                (Succeeded, 5),
                (Succeeded, 5),
            ]
        );
        let mut at = life.created;
        let mut changes = Vec::new();
        while let Some(next) = life.next_change(at, None) {
            changes.push((next - life.created).as_secs());
            at = next;
        }
        assert_eq!(changes, [10, 12, 13, 14, 15, 16]);
    }

    #[tokio::test]
    async fn cancellation_and_deadlines_end_a_prediction_early() {
        let mut life = timeline();
        assert_eq!(look(&life, 20, Some(5)), (SimStatus::Canceled, 0));
        assert_eq!(life.at(life.ends, Some(life.created)).started, None);
        assert_eq!(look(&life, 20, Some(13)), (SimStatus::Canceled, 2));
        assert_eq!(look(&life, 20, Some(18)), (SimStatus::Succeeded, 5));
        life.deadline = Some(life.created + Duration::from_secs(5));
        assert_eq!(look(&life, 20, None), (SimStatus::Aborted, 0));
        life.deadline = Some(life.created + Duration::from_secs(14));
        assert_eq!(look(&life, 20, None), (SimStatus::Canceled, 3));
    }

    #[tokio::test]
    async fn tokens_are_grouped() {
        let life = Timeline {
            tokens_per_event: 2,
            ..timeline()
        };
        let course: Vec<_> = [12, 13, 14, 15, 16].map(|t| look(&life, t, None).1).into();
        assert_eq!(course, [0, 2, 2, 4, 5]);
        let started = life.started.unwrap();
        assert_eq!(life.token_at(started, 1), life.token_at(started, 2));
    }
}
