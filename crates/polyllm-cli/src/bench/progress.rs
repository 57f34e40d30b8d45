//! Shows the progress of runs: lines that are redrawn on a terminal, else a line every few seconds.

use std::time::{Duration, Instant};

use anyhow::Result;
use llm_bench::stats::Statistic;
use llm_bench::summary::{Metric, RunSummary};
use llm_bench::{Observer, Outcome, RequestRecord, RunProgress, RunSpec, Side};
use serde_json::json;

use crate::bench::option_values::TimeUnit;
use crate::bench::setup::Point;
use crate::output::{can_redraw, print, print_message, redraw};

/// The form of the output.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Style {
    /// A line of JSON per run.
    Json,
    /// Lines for a log.
    Plain,
    /// Redrawn lines on a terminal.
    Terminal,
}

impl Style {
    pub(crate) fn choose(json: bool) -> Self {
        // genai-bench's way to turn its dashboard off.
        let is_disabled = std::env::var("ENABLE_UI").is_ok_and(|value| value == "false");
        if json {
            Self::Json
        } else if can_redraw() && !is_disabled {
            Self::Terminal
        } else {
            Self::Plain
        }
    }

    /// Prints the statistics of a run.
    pub(crate) fn print_summary(self, summary: &RunSummary, unit: TimeUnit) -> Result<()> {
        let numbers = &summary.aggregated;
        if self == Self::Json {
            print(format_args!("{}\n", json!(numbers)))?;
            return Ok(());
        }
        let (factor, name) = match unit {
            TimeUnit::S => (1.0, "s"),
            TimeUnit::Ms => (1e3, "ms"),
        };
        let time = |statistic, metric| match numbers.get(statistic, metric) {
            Some(seconds) => format!("{:.*}", if factor > 1.0 { 1 } else { 4 }, seconds * factor),
            None => "-".to_owned(),
        };
        let in_flight = numbers.extra.achieved.as_ref();
        print(format_args!(
            "{:<40} {:>6} ok {:>4} failed  {:>6} in flight  {:>8.2} req/s {:>9.1} tok/s  TTFT {} p99 {}  TPOT {} {name}\n",
            summary.label(),
            numbers.num_completed_requests,
            numbers.num_error_requests,
            in_flight.map_or_else(|| "-".to_owned(), |load| format!("{:.1}", load.in_flight)),
            numbers.requests_per_second,
            numbers.mean_output_throughput_tokens_per_s,
            time(Statistic::Mean, Metric::Ttft),
            time(Statistic::Percentile(99.0), Metric::Ttft),
            time(Statistic::Mean, Metric::Tpot),
        ))?;
        for caution in &numbers.extra.cautions {
            print(format_args!("  {caution}\n"))?;
        }
        Ok(())
    }
}

/// The progress of a run on the screen.
#[derive(Debug)]
pub(crate) struct ProgressView {
    style: Style,
    title: String,
    max_requests: u64,
    max_time: Duration,
    ok: u64,
    failed: u64,
    limited: u64,
    output_tokens: u64,
    /// Times to the first token, in milliseconds.
    ttft: Vec<f64>,
    last_failure: Option<String>,
    next: Instant,
}

impl ProgressView {
    pub(crate) fn new(
        style: Style,
        spec: &RunSpec,
        point: &Point,
        runs: usize,
        number: u32,
    ) -> Self {
        let mut title = format!(
            "[{number}/{}] {} {}",
            runs.max(number as usize),
            point.scenario,
            spec.load()
        );
        if point.batch_size > 1 {
            title.push_str(&format!(" batch {}", point.batch_size));
        }
        let limits = spec.limits();
        let max_time = Duration::try_from_secs_f64(limits.max_seconds);
        Self {
            style,
            title,
            max_requests: limits.max_requests,
            max_time: max_time.unwrap_or(Duration::MAX),
            ok: 0,
            failed: 0,
            limited: 0,
            output_tokens: 0,
            ttft: Vec::new(),
            last_failure: None,
            next: Instant::now() + FIRST_LINE_DELAY,
        }
    }

    /// Clears the screen.
    pub(crate) fn finish(&self) {
        if self.style == Style::Terminal {
            redraw(&[]);
        }
    }

    fn lines(&mut self, progress: &RunProgress) -> Vec<String> {
        let seconds = progress.elapsed.as_secs_f64().max(0.001);
        let by_count = progress.done as f64 / self.max_requests.max(1) as f64;
        let by_time = seconds / self.max_time.as_secs_f64().max(0.001);
        let state = if progress.stopping { ", draining" } else { "" };
        let mut lines = vec![
            self.title.clone(),
            format!("  {} {:.0} s{state}", bar(by_count.max(by_time)), seconds),
            format!(
                "  {} ok, {} failed, {} over the rate limit, {} in flight",
                self.ok, self.failed, self.limited, progress.in_flight
            ),
            format!(
                "  {:.2} requests/s, {:.1} tokens/s",
                self.ok as f64 / seconds,
                self.output_tokens as f64 / seconds
            ),
        ];
        self.ttft.sort_by(f64::total_cmp);
        if let (Some(min), Some(max)) = (self.ttft.first(), self.ttft.last()) {
            let at = |share: f64| self.ttft[((self.ttft.len() - 1) as f64 * share) as usize];
            lines.push(format!(
                "  TTFT ms  {:.1} [{}] {:.1}  p50 {:.1}  p99 {:.1}",
                min,
                histogram(&self.ttft),
                max,
                at(0.5),
                at(0.99)
            ));
        }
        if let Some(failure) = &self.last_failure {
            lines.push(format!("  last failure: {failure}"));
        }
        lines
    }
}

impl Observer for ProgressView {
    fn record(&mut self, record: &RequestRecord) {
        if record.side == Side::Against {
            return;
        }
        match &record.outcome {
            Outcome::Ok { .. } => {
                self.ok += 1;
                self.output_tokens += record.tokens.output;
                if let Some(first) = record.first_token_ns
                    && self.ttft.len() < MAX_SAMPLES
                {
                    self.ttft.push((first - record.dispatched_ns) as f64 / 1e6);
                }
            }
            Outcome::Failed(failure) => {
                self.failed += 1;
                self.limited += u64::from(record.http_status == Some(429));
                self.last_failure = Some(failure.message.clone());
            }
            _ => {}
        }
    }

    fn tick(&mut self, progress: &RunProgress) {
        let now = Instant::now();
        match self.style {
            Style::Json => {}
            Style::Terminal => {
                let lines = self.lines(progress);
                redraw(&lines);
            }
            Style::Plain if now >= self.next => {
                self.next = now + LINE_INTERVAL;
                let lines = self.lines(progress);
                print_message(format_args!("{}:{}", lines[0], lines[1..4].join(";")));
            }
            Style::Plain => {}
        }
    }
}

fn bar(share: f64) -> String {
    let full = (share.clamp(0.0, 1.0) * 30.0) as usize;
    format!("[{}{}]", "#".repeat(full), ".".repeat(30 - full))
}

/// Draws the histogram of sorted values in a row of bars.
fn histogram(sorted: &[f64]) -> String {
    const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let (Some(min), Some(max)) = (sorted.first(), sorted.last()) else {
        return String::new();
    };
    let width = (max - min).max(f64::MIN_POSITIVE);
    let mut counts = [0_usize; 24];
    for value in sorted {
        let at = ((value - min) / width * counts.len() as f64) as usize;
        counts[at.min(counts.len() - 1)] += 1;
    }
    let highest = counts.iter().copied().max().unwrap_or(1).max(1);
    let bars = counts.iter().map(|count| match count {
        0 => ' ',
        count => BARS[(count * BARS.len()).div_ceil(highest) - 1],
    });
    bars.collect()
}

/// The most values of the histogram: more would take long to sort ten times a second.
const MAX_SAMPLES: usize = 20_000;

const FIRST_LINE_DELAY: Duration = Duration::from_secs(2);

const LINE_INTERVAL: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_highest_bar_has_the_most_values() {
        let values: Vec<f64> = [vec![1.0; 50], vec![2.0; 10], vec![9.0]].concat();
        let bars: Vec<char> = histogram(&values).chars().collect();
        assert_eq!(bars.len(), 24);
        assert_eq!((bars[0], bars[3], bars[23]), ('█', '▂', '▁'));
        assert_eq!(histogram(&[]), "");
        assert_eq!(bar(0.5).len(), 32);
    }
}
