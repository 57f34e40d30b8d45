use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::SummaryRow;
use crate::{FailureKind, Outcome};

/// How many requests ended in which way. Each request is in one of them.
#[non_exhaustive]
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(default)]
pub struct Outcomes {
    /// The answer came whole.
    pub ok: u64,
    /// Refused with status 429: too many requests. Not among `failed`.
    pub rate_limited: u64,
    /// Failed in any other way, by kind.
    pub failed: BTreeMap<FailureKind, u64>,
    /// Still running when the run had to end. They are no errors, and in no rate.
    pub cancelled: u64,
}

impl Outcomes {
    /// Counts rows.
    pub fn of<'a>(rows: impl Iterator<Item = &'a SummaryRow>) -> Self {
        let mut outcomes = Self::default();
        for row in rows {
            match row.outcome {
                RowOutcome::Cancelled => outcomes.cancelled += 1,
                RowOutcome::Failed(FailureKind::RateLimited) => outcomes.rate_limited += 1,
                RowOutcome::Failed(kind) => *outcomes.failed.entry(kind).or_default() += 1,
                RowOutcome::Ok => outcomes.ok += 1,
            }
        }
        outcomes
    }

    /// Those that failed, 429s included.
    pub fn errors(&self) -> u64 {
        self.rate_limited + self.failed.values().sum::<u64>()
    }
}

/// How a request ended.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RowOutcome {
    /// It was given up when the run had to end.
    Cancelled,
    /// It failed.
    Failed(FailureKind),
    /// The answer came whole.
    #[default]
    Ok,
}

impl RowOutcome {
    pub(super) fn of(outcome: &Outcome) -> Self {
        match outcome {
            Outcome::Cancelled => Self::Cancelled,
            Outcome::Failed(failure) => Self::Failed(failure.kind),
            Outcome::Ok { .. } => Self::Ok,
        }
    }

    /// Whether it counts as an error.
    pub fn is_error(self) -> bool {
        matches!(self, Self::Failed(_))
    }

    /// Its name: `ok`, `cancelled`, or the kind of failure.
    pub fn name(self) -> &'static str {
        match self {
            Self::Cancelled => "cancelled",
            Self::Failed(kind) => kind_name(kind),
            Self::Ok => "ok",
        }
    }
}

/// A kind of failure by the name that files use.
fn kind_name(kind: FailureKind) -> &'static str {
    match kind {
        FailureKind::Connect => "connect",
        FailureKind::Disconnected => "disconnected",
        FailureKind::Dns => "dns",
        FailureKind::Empty => "empty",
        FailureKind::HttpStatus => "http_status",
        FailureKind::InStream => "in_stream",
        FailureKind::Protocol => "protocol",
        FailureKind::RateLimited => "rate_limited",
        FailureKind::Timeout => "timeout",
        FailureKind::Tls => "tls",
    }
}
