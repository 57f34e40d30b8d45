//! A rate limit in one atomic number.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::clock::Nanos;

/// A limit per minute, by the generic cell rate algorithm.
///
/// In no window of 60 s is more admitted than the limit. To guarantee that, a fifth of the limit may
/// come at once, and the rest is spread over the minute: a burst and a full minute's refill in the
/// same window together are the limit.
#[derive(Debug)]
pub(crate) struct Gcra {
    limit: u64,
    burst: u64,
    /// The time that one unit costs.
    interval: Nanos,
    /// The theoretical arrival time: when all that was admitted has been paid for, at one unit per
    /// `interval`.
    paid: AtomicU64,
}

/// What one call was charged.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Charge {
    cost: u64,
    /// The limit's `paid` after the charge.
    paid: Nanos,
}

impl Gcra {
    /// A limit of 0 admits nothing.
    pub(crate) fn per_minute(limit: u64) -> Self {
        let burst = limit.div_ceil(5);
        Self {
            limit,
            burst,
            // Rounded up: the limit is never exceeded. The window is half open, hence the 1.
            interval: MINUTE.div_ceil(limit - burst + 1),
            paid: AtomicU64::new(0),
        }
    }

    /// The earliest time at which `cost` is admitted; `None` if it exceeds the limit.
    pub(crate) fn ready_at(&self, cost: u64) -> Option<Nanos> {
        self.ready_from(self.paid.load(Relaxed), cost)
    }

    /// A cost above the burst needs a time before it in which nothing was admitted.
    fn ready_from(&self, paid: Nanos, cost: u64) -> Option<Nanos> {
        (cost <= self.limit).then(|| {
            paid.saturating_add(self.time(cost))
                .saturating_sub(self.time(self.burst))
        })
    }

    /// Charges `cost` if it is admitted now.
    pub(crate) fn take(&self, cost: u64, now: Nanos) -> Option<Charge> {
        let charge = |paid| {
            let ready = self.ready_from(paid, cost)?;
            (ready <= now).then(|| paid.max(now).saturating_add(self.time(cost)))
        };
        let before = self.paid.fetch_update(Relaxed, Relaxed, charge).ok()?;
        Some(Charge {
            cost,
            paid: before.max(now).saturating_add(self.time(cost)),
        })
    }

    /// Corrects a charge to what was used.
    ///
    /// Of a charge that was too high, only the part that time has not paid for is given back:
    /// giving back more would be a credit for a later burst.
    pub(crate) fn settle(&self, charge: Charge, used: u64, now: Nanos) {
        if used > charge.cost {
            let missing = self.time(used - charge.cost);
            let add = |paid: Nanos| Some(paid.max(now).saturating_add(missing));
            let _ = self.paid.fetch_update(Relaxed, Relaxed, add);
        } else {
            let unpaid = charge.paid.saturating_sub(now);
            let refund = self.time(charge.cost - used).min(unpaid);
            let give = |paid: Nanos| Some(paid.saturating_sub(refund));
            let _ = self.paid.fetch_update(Relaxed, Relaxed, give);
        }
    }

    /// How much would be admitted at once now.
    pub(crate) fn left(&self, now: Nanos) -> u64 {
        let owed = self.paid.load(Relaxed).saturating_sub(now);
        let free = self.time(self.burst).saturating_sub(owed);
        free / self.interval.max(1)
    }

    fn time(&self, cost: u64) -> Nanos {
        cost.saturating_mul(self.interval)
    }
}

const MINUTE: Nanos = 60_000_000_000;

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    const START: Nanos = 1 << 50;

    /// The most that any half-open window of a minute holds.
    fn fullest_window(admitted: &[(Nanos, u64)]) -> u64 {
        let from = |begin: Nanos| {
            let inside = admitted
                .iter()
                .filter(|(at, _)| (begin..begin + MINUTE).contains(at));
            inside.map(|(_, cost)| cost).sum()
        };
        admitted.iter().map(|(at, _)| from(*at)).max().unwrap_or(0)
    }

    proptest! {
        #[test]
        fn no_window_of_a_minute_exceeds_the_limit(
            limit in prop_oneof![1..5_u64, 1..200_u64, 1..1_000_000_u64],
            steps in vec((0..20_000_u64, 1..100_u64), 1..300),
        ) {
            let gcra = Gcra::per_minute(limit);
            let (mut now, mut admitted) = (START, Vec::new());
            for (wait, share) in steps {
                now += wait * 1_000_000;
                let cost = (limit * share / 100).max(1);
                if gcra.take(cost, now).is_some() {
                    admitted.push((now, cost));
                }
            }
            prop_assert!(fullest_window(&admitted) <= limit);
        }

        #[test]
        fn what_was_used_stays_within_the_limit_when_charges_are_corrected(
            limit in 10..100_000_u64,
            steps in vec((0..10_000_u64, 1..100_u64, 0..100_u64, 0..20_000_u64), 1..200),
        ) {
            let gcra = Gcra::per_minute(limit);
            let mut now = START;
            // Corrections that are due later, and what was used, by the time of the charge.
            let (mut open, mut used) = (Vec::new(), Vec::new());
            for (wait, share, part, later) in steps {
                now += wait * 1_000_000;
                open.retain(|(due, charge, part)| {
                    let is_due = *due <= now;
                    if is_due {
                        gcra.settle(*charge, *part, *due);
                    }
                    !is_due
                });
                let cost = (limit * share / 100).max(1);
                if let Some(charge) = gcra.take(cost, now) {
                    let actual = cost * part / 100;
                    open.push((now + later * 1_000_000, charge, actual));
                    used.push((now, actual));
                }
            }
            prop_assert!(fullest_window(&used) <= limit);
        }

        #[test]
        fn a_cost_is_admitted_at_the_predicted_time_and_not_before(
            limit in 1..10_000_u64,
            taken in vec(1..10_000_u64, 0..20),
            cost in 1..10_000_u64,
        ) {
            let gcra = Gcra::per_minute(limit);
            for cost in taken {
                let _ = gcra.take(cost, START);
            }
            match gcra.ready_at(cost) {
                None => prop_assert!(cost > limit),
                Some(at) => {
                    if at > START {
                        prop_assert!(gcra.take(cost, at - 1).is_none());
                    }
                    prop_assert!(gcra.take(cost, at.max(START)).is_some());
                }
            }
        }
    }

    #[test]
    fn a_limit_is_reached_by_steady_traffic_to_four_fifths() {
        for limit in [1, 7, 60, 10_000] {
            let gcra = Gcra::per_minute(limit);
            let mut admitted = 0;
            for step in 0..600_000 {
                let now = START + step * 1_000_000; // 1 ms, for 10 minutes
                admitted += u64::from(gcra.take(1, now).is_some());
            }
            assert!(admitted >= 8 * limit, "{admitted} of {limit} per minute");
        }
    }

    #[test]
    fn a_limit_of_zero_admits_nothing() {
        assert!(Gcra::per_minute(0).take(1, START).is_none());
    }
}
