use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::SummaryRow;
use crate::{FailureKind, Outcome};

/// The number of requests per outcome. Each request has exactly one.
#[non_exhaustive]
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(default)]
pub struct Outcomes {
    /// Completed.
    pub ok: u64,
    /// Rejected with status 429. Not part of `failed`.
    pub rate_limited: u64,
    /// Failed otherwise, by kind.
    pub failed: BTreeMap<FailureKind, u64>,
    /// Cancelled, because the run had to end. They are not errors and not part of rates.
    pub cancelled: u64,
    /// Those of the cancelled that were due, and never sent.
    pub unsent: u64,
}

impl Outcomes {
    /// Counts the outcomes of rows.
    pub fn of<'a>(rows: impl Iterator<Item = &'a SummaryRow>) -> Self {
        let mut outcomes = Self::default();
        for row in rows {
            match row.outcome {
                RowOutcome::Cancelled => {
                    outcomes.cancelled += 1;
                    outcomes.unsent += u64::from(row.scheduled.is_some() && row.started.is_none());
                }
                RowOutcome::Failed(FailureKind::RateLimited) => outcomes.rate_limited += 1,
                RowOutcome::Failed(kind) => *outcomes.failed.entry(kind).or_default() += 1,
                RowOutcome::Ok => outcomes.ok += 1,
            }
        }
        outcomes
    }

    /// The number of failures, including 429s.
    pub fn errors(&self) -> u64 {
        self.rate_limited + self.failed.values().sum::<u64>()
    }
}

/// The outcome of a request.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RowOutcome {
    /// Cancelled, because the run had to end.
    Cancelled,
    /// Failed.
    Failed(FailureKind),
    /// Completed.
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

    /// Whether it is an error.
    pub fn is_error(self) -> bool {
        matches!(self, Self::Failed(_))
    }

    /// The name: `ok`, `cancelled`, or the kind of failure.
    pub fn name(self) -> &'static str {
        match self {
            Self::Cancelled => "cancelled",
            Self::Failed(kind) => kind_name(kind),
            Self::Ok => "ok",
        }
    }
}

/// The name of a kind of failure in files.
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
