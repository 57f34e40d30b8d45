//! A rate limit in one atomic number.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::clock::Nanos;

/// A limit per minute, by the generic cell rate algorithm.
///
/// The state of a limit is one number, `paid`, the theoretical arrival time: when all that was
/// admitted has been paid for. Charges are whole microseconds, since that is what a shared state keeps
/// (`shared/redis/begin.lua` computes the same).
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Rate {
    pub(crate) limit: u64,
    /// The time that one unit costs.
    pub(crate) interval: Nanos,
    /// How far `paid` may be ahead of the time: the cost of a burst.
    pub(crate) slack: Nanos,
}

/// What one call was charged.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Charge {
    cost: u64,
    /// The limit's `paid` after the charge.
    paid: Nanos,
}

impl Charge {
    pub(crate) fn new(cost: u64, paid: Nanos) -> Self {
        Self { cost, paid }
    }
}

impl Rate {
    /// A limit that holds in every window of 60 s; 0 admits nothing. To guarantee that, a fifth of
    /// it is admitted at once, and the rest is spread over the minute: a burst and a minute's
    /// refill in the same window add up to the limit.
    pub(crate) fn per_minute(limit: u64) -> Self {
        let burst = limit.div_ceil(5);
        // The window is half open, hence the 1.
        Self::new(limit, burst, limit - burst + 1)
    }

    /// A limit that may be used up at once and is refilled within a minute; 0 admits nothing. A
    /// window that begins with a burst can contain up to twice the limit.
    pub(crate) fn at_once(limit: u64) -> Self {
        Self::new(limit, limit, limit.max(1))
    }

    fn new(limit: u64, burst: u64, refill: u64) -> Self {
        // Rounded up: the limit is never exceeded.
        let mut interval = MINUTE.div_ceil(refill);
        if interval >= MILLISECOND {
            // A burst of single units is then not shortened by the rounding of their charges.
            interval = interval.next_multiple_of(MICROSECOND);
        }
        Self {
            limit,
            interval,
            slack: burst.saturating_mul(interval) / MICROSECOND * MICROSECOND,
        }
    }

    /// The earliest time at which `cost` is admitted; `None` if it exceeds the limit.
    ///
    /// A cost above the burst needs a time before it in which nothing was admitted.
    pub(crate) fn ready_at(&self, paid: Nanos, cost: u64) -> Option<Nanos> {
        (cost <= self.limit).then(|| {
            paid.saturating_add(self.time(cost))
                .saturating_sub(self.slack)
        })
    }

    /// `paid` after a charge.
    pub(crate) fn charged(&self, paid: Nanos, cost: u64, now: Nanos) -> Nanos {
        paid.max(now).saturating_add(self.time(cost))
    }

    /// `paid` after a charge was corrected to what was used.
    ///
    /// Of a charge that was too high, only the part that time has not paid for is given back:
    /// giving back more would be a credit for a later burst.
    pub(crate) fn settled(&self, paid: Nanos, charge: Charge, used: u64, now: Nanos) -> Nanos {
        match used.checked_sub(charge.cost) {
            Some(0) => paid,
            Some(missing) => self.charged(paid, missing, now),
            None => {
                let unpaid = charge.paid.saturating_sub(now);
                paid.saturating_sub(self.time(charge.cost - used).min(unpaid))
            }
        }
    }

    fn time(&self, cost: u64) -> Nanos {
        let micros = cost.saturating_mul(self.interval).div_ceil(MICROSECOND);
        micros.saturating_mul(MICROSECOND)
    }
}

/// A limit and its state.
#[derive(Debug)]
pub(crate) struct Gcra {
    rate: Rate,
    paid: AtomicU64,
}

impl Gcra {
    pub(crate) fn new(rate: Rate) -> Self {
        Self {
            rate,
            paid: AtomicU64::new(0),
        }
    }

    /// The earliest time at which `cost` is admitted; `None` if it exceeds the limit.
    pub(crate) fn ready_at(&self, cost: u64) -> Option<Nanos> {
        self.rate.ready_at(self.paid.load(Relaxed), cost)
    }

    /// Charges `cost` if it is admitted now.
    pub(crate) fn take(&self, cost: u64, now: Nanos) -> Option<Charge> {
        let charge = |paid| {
            let ready = self.rate.ready_at(paid, cost)?;
            (ready <= now).then(|| self.rate.charged(paid, cost, now))
        };
        let before = self.paid.fetch_update(Relaxed, Relaxed, charge).ok()?;
        Some(Charge::new(cost, self.rate.charged(before, cost, now)))
    }

    /// Corrects a charge to what was used.
    pub(crate) fn settle(&self, charge: Charge, used: u64, now: Nanos) {
        let settle = |paid| Some(self.rate.settled(paid, charge, used, now));
        let _ = self.paid.fetch_update(Relaxed, Relaxed, settle);
    }

    /// Takes over the state of a limit that is kept elsewhere: the time that is owed. Returns what
    /// a charge of `cost` that it contains is.
    pub(crate) fn adopt(&self, owed: Nanos, cost: u64, now: Nanos) -> Charge {
        let paid = now.saturating_add(owed);
        self.paid.store(paid, Relaxed);
        Charge::new(cost, paid)
    }

    /// A limit that continues this one.
    pub(crate) fn with_rate(&self, rate: Rate) -> Self {
        Self {
            rate,
            paid: AtomicU64::new(self.paid.load(Relaxed)),
        }
    }

    /// Whether anything that was admitted has not been paid for.
    pub(crate) fn owes(&self, now: Nanos) -> bool {
        self.paid.load(Relaxed) > now
    }

    /// How much would be admitted at once now.
    pub(crate) fn left(&self, now: Nanos) -> u64 {
        let owed = self.paid.load(Relaxed).saturating_sub(now);
        let free = self.rate.slack.saturating_sub(owed);
        free / self.rate.interval.max(1)
    }
}

const MICROSECOND: Nanos = 1000;
const MILLISECOND: Nanos = 1_000_000;
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
            let gcra = Gcra::new(Rate::per_minute(limit));
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
            let gcra = Gcra::new(Rate::per_minute(limit));
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
            let gcra = Gcra::new(Rate::per_minute(limit));
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
            let gcra = Gcra::new(Rate::per_minute(limit));
            let mut admitted = 0;
            for step in 0..600_000 {
                let now = START + step * 1_000_000; // 1 ms, for 10 minutes
                admitted += u64::from(gcra.take(1, now).is_some());
            }
            assert!(admitted >= 8 * limit, "{admitted} of {limit} per minute");
        }
    }

    #[test]
    fn a_fifth_of_a_limit_may_come_at_once() {
        for limit in (1..1000).chain([5000, 50_000]) {
            let gcra = Gcra::new(Rate::per_minute(limit));
            let admitted = (0..limit).filter(|_| gcra.take(1, START).is_some());
            assert_eq!(admitted.count() as u64, limit.div_ceil(5), "{limit}");
        }
    }

    #[test]
    fn a_limit_that_may_come_at_once_is_refilled_within_a_minute() {
        for limit in (1..1000).chain([5000, 50_000]) {
            let gcra = Gcra::new(Rate::at_once(limit));
            for minute in 0..3 {
                let now = START + minute * (MINUTE + MILLISECOND * 100);
                assert_eq!(gcra.left(now), limit);
                for _ in 0..limit {
                    assert!(gcra.take(1, now).is_some(), "{limit}");
                }
                assert!(gcra.take(1, now).is_none(), "{limit}");
                assert_eq!(gcra.left(now), 0);
            }
        }
    }

    #[test]
    fn a_limit_of_zero_admits_nothing() {
        for rate in [Rate::per_minute(0), Rate::at_once(0)] {
            assert!(Gcra::new(rate).take(1, START).is_none());
        }
    }
}
