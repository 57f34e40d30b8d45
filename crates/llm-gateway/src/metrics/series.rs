//! Counters, gauges and histograms, and Prometheus's text format.
//!
//! The format is [version 0.0.4](https://prometheus.io/docs/instrumenting/exposition_formats/). The
//! crates that write it would add ten crates to the build.

use std::fmt::{self, Write};
use std::marker::PhantomData;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

/// The series of one metric, by the values of its labels.
pub(super) struct Family<S> {
    name: &'static str,
    help: &'static str,
    labels: &'static [&'static str],
    /// Sorted by the values, so that finding one does not need owned strings.
    series: RwLock<Vec<(Vec<String>, Arc<S>)>>,
}

/// The values of one series.
pub(super) trait Series: Default {
    /// The type in the text format.
    const TYPE: &'static str;

    /// Writes the lines of the series; `labels` is such as `a="b",c="d"`.
    fn write(&self, name: &str, labels: &str, text: &mut String) -> fmt::Result;
}

impl<S: Series> Family<S> {
    pub(super) fn new(
        name: &'static str,
        help: &'static str,
        labels: &'static [&'static str],
    ) -> Self {
        Self {
            name,
            help,
            labels,
            series: RwLock::default(),
        }
    }

    /// The series with these values of the labels.
    pub(super) fn of(&self, values: &[&str]) -> Arc<S> {
        let position = |series: &[(Vec<String>, Arc<S>)]| {
            series.binary_search_by(|(known, _)| {
                let known = known.iter().map(String::as_str);
                known.cmp(values.iter().copied())
            })
        };
        let series = self.series.read().unwrap_or_else(PoisonError::into_inner);
        if let Ok(at) = position(&series) {
            return Arc::clone(&series[at].1);
        }
        drop(series);
        let mut series = self.series.write().unwrap_or_else(PoisonError::into_inner);
        // Another thread may have added it meanwhile.
        let at = position(&series).unwrap_or_else(|at| {
            let values = values.iter().map(|value| (*value).to_owned());
            series.insert(at, (values.collect(), Arc::default()));
            at
        });
        Arc::clone(&series[at].1)
    }

    /// Removes all series.
    pub(super) fn clear(&self) {
        let mut series = self.series.write().unwrap_or_else(PoisonError::into_inner);
        series.clear();
    }

    pub(super) fn write(&self, text: &mut String) -> fmt::Result {
        let series = self.series.read().unwrap_or_else(PoisonError::into_inner);
        if series.is_empty() {
            return Ok(());
        }
        let name = self.name;
        writeln!(text, "# HELP {name} {}", self.help)?;
        writeln!(text, "# TYPE {name} {}", S::TYPE)?;
        for (values, series) in &*series {
            let pairs = self.labels.iter().zip(values);
            let pairs = pairs.map(|(label, value)| format!("{label}=\"{}\"", escaped(value)));
            series.write(name, &pairs.collect::<Vec<_>>().join(","), text)?;
        }
        Ok(())
    }
}

/// A label's value as the format requires it.
fn escaped(value: &str) -> String {
    let value = value.replace('\\', r"\\").replace('"', r#"\""#);
    value.replace('\n', r"\n")
}

fn write_sample(
    name: &str,
    labels: &str,
    value: impl fmt::Display,
    text: &mut String,
) -> fmt::Result {
    match labels {
        "" => writeln!(text, "{name} {value}"),
        labels => writeln!(text, "{name}{{{labels}}} {value}"),
    }
}

/// A number that only grows.
#[derive(Default)]
pub(super) struct Counter(AtomicU64);

impl Counter {
    pub(super) fn add(&self, count: u64) {
        self.0.fetch_add(count, Relaxed);
    }
}

impl Series for Counter {
    const TYPE: &'static str = "counter";

    fn write(&self, name: &str, labels: &str, text: &mut String) -> fmt::Result {
        write_sample(name, labels, self.0.load(Relaxed), text)
    }
}

/// An amount of money that only grows.
#[derive(Default)]
pub(super) struct Dollars {
    nanos: AtomicU64,
}

impl Dollars {
    /// Adds an amount; one that is not positive is ignored.
    pub(super) fn add(&self, dollars: f64) {
        // A conversion to an integer saturates.
        self.nanos
            .fetch_add((dollars * 1e9).round() as u64, Relaxed);
    }
}

impl Series for Dollars {
    const TYPE: &'static str = "counter";

    fn write(&self, name: &str, labels: &str, text: &mut String) -> fmt::Result {
        let nanos = self.nanos.load(Relaxed);
        let value = format!("{}.{:09}", nanos / 1_000_000_000, nanos % 1_000_000_000);
        write_sample(name, labels, value, text)
    }
}

/// A number that grows and shrinks.
#[derive(Default)]
pub(super) struct Gauge(AtomicU64);

impl Gauge {
    pub(super) fn set(&self, value: u64) {
        self.0.store(value, Relaxed);
    }

    pub(super) fn increment(&self) {
        self.0.fetch_add(1, Relaxed);
    }

    pub(super) fn decrement(&self) {
        self.0.fetch_sub(1, Relaxed);
    }

    pub(super) fn value(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

impl Series for Gauge {
    const TYPE: &'static str = "gauge";

    fn write(&self, name: &str, labels: &str, text: &mut String) -> fmt::Result {
        write_sample(name, labels, self.0.load(Relaxed), text)
    }
}

/// How long upstreams took, as a histogram.
pub(super) type Seconds = Histogram<Long>;

/// How long the gateway itself took, as a histogram.
pub(super) type ShortSeconds = Histogram<Short>;

/// How often something took how long.
pub(super) struct Histogram<B> {
    /// The observations up to each bound, without those up to the bound before; the last ones are
    /// above all bounds.
    counts: Vec<AtomicU64>,
    sum_micros: AtomicU64,
    bounds: PhantomData<B>,
}

/// The bounds of a histogram's buckets.
pub(super) trait Bounds {
    /// In seconds.
    const BOUNDS: &'static [f64];
}

/// Up to the time of a cold boot of a model, which can take several minutes.
pub(super) struct Long;

impl Bounds for Long {
    const BOUNDS: &'static [f64] = &[
        0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0,
        600.0,
    ];
}

/// From the time of a request that waits for nothing.
pub(super) struct Short;

impl Bounds for Short {
    const BOUNDS: &'static [f64] = &[
        0.000_025, 0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05,
        0.1, 0.25, 1.0, 10.0,
    ];
}

impl<B: Bounds> Default for Histogram<B> {
    fn default() -> Self {
        Self {
            counts: (0..=B::BOUNDS.len()).map(|_| AtomicU64::new(0)).collect(),
            sum_micros: AtomicU64::new(0),
            bounds: PhantomData,
        }
    }
}

impl<B: Bounds> Histogram<B> {
    pub(super) fn observe(&self, time: Duration) {
        let seconds = time.as_secs_f64();
        let bucket = B::BOUNDS.partition_point(|bound| *bound < seconds);
        if let Some(count) = self.counts.get(bucket) {
            count.fetch_add(1, Relaxed);
        }
        let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        self.sum_micros.fetch_add(micros, Relaxed);
    }
}

impl<B: Bounds> Series for Histogram<B> {
    const TYPE: &'static str = "histogram";

    fn write(&self, name: &str, labels: &str, text: &mut String) -> fmt::Result {
        let separator = if labels.is_empty() { "" } else { "," };
        let mut total = 0;
        for (at, count) in self.counts.iter().enumerate() {
            total += count.load(Relaxed);
            let bound = B::BOUNDS
                .get(at)
                .map_or_else(|| "+Inf".to_owned(), f64::to_string);
            writeln!(
                text,
                "{name}_bucket{{{labels}{separator}le=\"{bound}\"}} {total}"
            )?;
        }
        let micros = self.sum_micros.load(Relaxed);
        let sum = format!("{}.{:06}", micros / 1_000_000, micros % 1_000_000);
        write_sample(&format!("{name}_sum"), labels, sum, text)?;
        write_sample(&format!("{name}_count"), labels, total, text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text<S: Series>(family: &Family<S>) -> String {
        let mut text = String::new();
        family.write(&mut text).unwrap();
        text
    }

    #[test]
    fn labels_are_escaped() {
        let family = Family::<Counter>::new("calls_total", "Calls.", &["model"]);
        family.of(&["a\"b\\c\nd"]).add(2);
        let expected = "# HELP calls_total Calls.\n# TYPE calls_total counter\n\
                        calls_total{model=\"a\\\"b\\\\c\\nd\"} 2\n";
        assert_eq!(text(&family), expected);
    }

    #[test]
    fn the_buckets_of_a_histogram_are_cumulative() {
        let family = Family::<Seconds>::new("time_seconds", "Time.", &[]);
        for millis in [5, 6, 400, 700_000] {
            family.of(&[]).observe(Duration::from_millis(millis));
        }
        let text = text(&family);
        for line in [
            "time_seconds_bucket{le=\"0.005\"} 1",
            "time_seconds_bucket{le=\"0.01\"} 2",
            "time_seconds_bucket{le=\"0.25\"} 2",
            "time_seconds_bucket{le=\"0.5\"} 3",
            "time_seconds_bucket{le=\"600\"} 3",
            "time_seconds_bucket{le=\"+Inf\"} 4",
            "time_seconds_sum 700.411000",
            "time_seconds_count 4",
        ] {
            assert!(text.lines().any(|found| found == line), "{line}\n{text}");
        }
    }

    #[test]
    fn money_is_exact_to_a_billionth_of_a_dollar() {
        let family = Family::<Dollars>::new("cost_usd_total", "Cost.", &[]);
        for dollars in [0.1, 0.2, 1e-9, -5.0, f64::NAN] {
            family.of(&[]).add(dollars);
        }
        assert!(text(&family).ends_with("cost_usd_total 0.300000001\n"));
    }
}
