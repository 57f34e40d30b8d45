//! Totals of each minute of the last day, for charts.

use std::collections::VecDeque;

use serde::Serialize;

use super::RecentRequest;

/// The minutes with calls, the newest last.
#[derive(Default)]
pub(super) struct Minutes(VecDeque<(u64, Totals)>);

/// The calls that ended within a time.
#[derive(Clone, Default)]
struct Totals {
    requests: u64,
    failed: u64,
    input_tokens: u64,
    cached_tokens: u64,
    output_tokens: u64,
    /// In US dollars.
    cost: f64,
    duration: Times,
    first_output: Times,
}

/// One point of a chart.
#[derive(Debug, Serialize)]
pub(crate) struct Point {
    /// The start, in seconds of Unix time.
    at: u64,
    requests: u64,
    failed: u64,
    input_tokens: u64,
    cached_tokens: u64,
    output_tokens: u64,
    cost: f64,
    /// Half of the calls took at most this long, in milliseconds; exact to a fifth.
    p50_ms: Option<f64>,
    p95_ms: Option<f64>,
    first_output_p50_ms: Option<f64>,
}

impl Minutes {
    pub(super) fn add(&mut self, minute: u64, request: &RecentRequest) {
        // The clock may go back; such a call is counted in the newest minute.
        let is_new = self.0.back().is_none_or(|(newest, _)| *newest < minute);
        if is_new {
            if self.0.len() >= MINUTES {
                self.0.pop_front();
            }
            self.0.push_back((minute, Totals::default()));
        }
        if let Some((_, totals)) = self.0.back_mut() {
            totals.add(request);
        }
    }

    /// The totals of the `minutes` up to `now`, in at most `points` steps.
    pub(super) fn points(&self, now: u64, minutes: u64, points: u64) -> Vec<Point> {
        let minutes = minutes.clamp(1, MINUTES as u64);
        let step = minutes.div_ceil(points.max(1));
        let first = (now + 1).saturating_sub(minutes);
        let mut found = self.0.iter().skip_while(|(at, _)| *at < first).peekable();
        let mut result = Vec::new();
        let mut begin = first;
        while begin <= now {
            let mut sum = Totals::default();
            while let Some((_, totals)) = found.next_if(|(at, _)| *at < begin + step) {
                sum.merge(totals);
            }
            result.push(sum.point(begin * 60));
            begin += step;
        }
        result
    }
}

/// Adds counts that an upstream reported: they may be absurd.
fn add(sum: &mut u64, count: u64) {
    *sum = sum.saturating_add(count);
}

impl Totals {
    fn add(&mut self, request: &RecentRequest) {
        self.requests += 1;
        self.failed += u64::from(request.has_failed());
        add(&mut self.input_tokens, request.input_tokens);
        add(&mut self.cached_tokens, request.cached_tokens);
        add(&mut self.output_tokens, request.output_tokens);
        self.cost += request.cost;
        self.duration.add(request.duration_ms);
        if let Some(first_output) = request.first_output_ms {
            self.first_output.add(first_output);
        }
    }

    fn merge(&mut self, other: &Self) {
        self.requests += other.requests;
        self.failed += other.failed;
        add(&mut self.input_tokens, other.input_tokens);
        add(&mut self.cached_tokens, other.cached_tokens);
        add(&mut self.output_tokens, other.output_tokens);
        self.cost += other.cost;
        self.duration.merge(&other.duration);
        self.first_output.merge(&other.first_output);
    }

    fn point(&self, at: u64) -> Point {
        Point {
            at,
            requests: self.requests,
            failed: self.failed,
            input_tokens: self.input_tokens,
            cached_tokens: self.cached_tokens,
            output_tokens: self.output_tokens,
            cost: self.cost,
            p50_ms: self.duration.quantile(50),
            p95_ms: self.duration.quantile(95),
            first_output_p50_ms: self.first_output.quantile(50),
        }
    }
}

/// How often each time occurred. Bucket `n` has the times from `2^(n/2)` milliseconds on.
#[derive(Clone)]
struct Times([u32; BUCKETS]);

impl Default for Times {
    fn default() -> Self {
        Self([0; BUCKETS])
    }
}

impl Times {
    fn add(&mut self, millis: f64) {
        let at = 2.0 * millis.max(1.0).log2();
        // A conversion to an integer saturates.
        let at = (at as usize).min(BUCKETS - 1);
        if let Some(count) = self.0.get_mut(at) {
            *count = count.saturating_add(1);
        }
    }

    fn merge(&mut self, other: &Self) {
        for (count, more) in self.0.iter_mut().zip(&other.0) {
            *count = count.saturating_add(*more);
        }
    }

    /// The middle of the bucket with the time that `percent` of all do not exceed.
    fn quantile(&self, percent: u64) -> Option<f64> {
        let total: u64 = self.0.iter().map(|count| u64::from(*count)).sum();
        let rank = (total * percent).div_ceil(100).max(1);
        let mut before = 0;
        let bucket = self.0.iter().position(|count| {
            before += u64::from(*count);
            before >= rank
        })?;
        let exponent = f64::from(u32::try_from(bucket).unwrap_or(u32::MAX));
        Some(((exponent + 0.5) / 2.0).exp2().round())
    }
}

/// A day.
const MINUTES: usize = 24 * 60;
/// Up to 17 minutes.
const BUCKETS: usize = 40;

#[cfg(test)]
mod tests {
    use super::*;

    fn request(duration_ms: f64) -> RecentRequest {
        RecentRequest::finished(duration_ms, 0.5, 3)
    }

    #[test]
    fn minutes_are_joined_into_points_without_gaps() {
        let mut minutes = Minutes::default();
        for (minute, duration) in [(100, 10.0), (100, 10.0), (103, 1000.0), (109, 10.0)] {
            minutes.add(minute, &request(duration));
        }
        let points = minutes.points(109, 10, 5);
        let requests: Vec<u64> = points.iter().map(|point| point.requests).collect();
        assert_eq!(requests, [2, 1, 0, 0, 1]);
        let begins: Vec<u64> = points.iter().map(|point| point.at / 60).collect();
        assert_eq!(begins, [100, 102, 104, 106, 108]);
        assert_eq!((points[0].cost, points[0].output_tokens), (1.0, 6));
        assert_eq!(points[2].p50_ms, None);
        assert!((points[1].p95_ms.unwrap() - 1000.0).abs() < 200.0);
        assert_eq!(minutes.points(109, 1, 5).len(), 1);
    }

    #[test]
    fn only_a_day_is_kept_and_a_clock_that_goes_back_loses_nothing() {
        let mut minutes = Minutes::default();
        for minute in 0..5000 {
            minutes.add(minute, &request(1.0));
        }
        minutes.add(10, &request(1.0));
        assert_eq!(minutes.0.len(), MINUTES);
        let points = minutes.points(4999, 1, 1);
        assert_eq!(points[0].requests, 2);
    }

    #[test]
    fn quantiles_are_exact_to_a_fifth() {
        let mut times = Times::default();
        assert_eq!(times.quantile(50), None);
        for millis in [0.0, 40.0, 40.0, 40.0, 1e12] {
            times.add(millis);
        }
        assert!((times.quantile(50).unwrap() - 40.0).abs() <= 8.0);
        assert!(times.quantile(95).unwrap() > 600_000.0);
    }
}
