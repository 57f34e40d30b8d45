use serde::{Deserialize, Serialize};

use super::SummaryRow;
use crate::{Load, Run, Side};

/// The load that a run achieved, over all its requests, including warm-up and cool-down.
#[non_exhaustive]
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(default)]
pub struct Achieved {
    /// Mean requests in flight from the first dispatch to the last one, after which fewer requests
    /// than configured are left. If there are not more requests than slots, to the last end.
    pub in_flight: f64,
    /// Requests started per second in the same time.
    pub starts_per_second: f64,
    /// Requests per second by the schedule of an open loop.
    pub scheduled_per_second: Option<f64>,
    /// The share of time, 0 to 1, in which slots of a closed loop waited for a prompt.
    pub slot_time_lost: f64,
}

impl Achieved {
    /// Computes the load from the times of the requests; `None` if they are not known.
    pub(super) fn of(run: &Run, rows: &[SummaryRow]) -> Option<Self> {
        let spans: Vec<(f64, f64)> = rows
            .iter()
            .filter_map(|row| row.started.zip(row.ended))
            .collect();
        let first = spans.iter().map(|(from, _)| *from).reduce(f64::min)?;
        let last = spans.iter().map(|(from, _)| *from).reduce(f64::max)?;
        let end = spans.iter().map(|(_, to)| *to).reduce(f64::max)?;
        let slots = match run.load {
            Load::Concurrency { concurrency } => concurrency as usize,
            _ => 0,
        };
        let until = if spans.len() > slots { last } else { end };
        let per_second = |amount: f64, time: f64| if time > 0.0 { amount / time } else { 0.0 };
        let busy = spans
            .iter()
            .map(|(from, to)| (to.min(until) - from).max(0.0));
        let busy: f64 = busy.sum();
        // The second request of a pair starts when the first one ends.
        let subjects = || rows.iter().filter(|row| row.side == Side::Subject);
        let starts = subjects().filter(|row| row.started.is_some()).count();
        let starts = starts.saturating_sub(1) as f64;
        let scheduled: Vec<f64> = subjects().filter_map(|row| row.scheduled).collect();
        let due = |of: fn(f64, f64) -> f64| scheduled.iter().copied().reduce(of);
        let schedule = due(f64::min).zip(due(f64::max)).map(|(from, to)| to - from);
        let offered = slots as f64 * (until - first) * 1e9;
        Some(Self {
            in_flight: per_second(busy, until - first),
            starts_per_second: per_second(starts, until - first),
            scheduled_per_second: schedule
                .filter(|time| *time > 0.0)
                .map(|time| per_second(scheduled.len().saturating_sub(1) as f64, time)),
            slot_time_lost: per_second(run.client.lost_slot_ns as f64, offered).min(1.0),
        })
    }
}
