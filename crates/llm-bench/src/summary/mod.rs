//! Computes statistics from records: per request and per run, by genai-bench's formulas and with
//! additional metrics.

mod achieved;
mod cautions;
mod jobs;
mod metric;
mod objectives;
mod outcomes;
mod paired;
mod row;

pub use achieved::Achieved;
pub use jobs::Jobs;
pub use metric::{Metric, Unit};
pub use objectives::{GoodputTier, Objective, ObjectiveError, Objectives};
pub use outcomes::{Outcomes, RowOutcome};
pub use paired::{Paired, paired};
pub use row::SummaryRow;

use std::collections::BTreeMap;

use jobs::JobTotals;
use llm_provider::text::excerpt;
use serde::{Deserialize, Serialize};

use crate::stats::{
    Histogram, Interval, Statistic, Stats, mean_interval, percentile_interval, rate_interval,
    sorted,
};
use crate::{Experiment, IterationType, Load, Phase, RequestRecord, Run, Side, TokenSource};

/// A run and its statistics: the content of a run's file, and the input of reports.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq)]
pub struct RunSummary {
    /// The run, without its records.
    pub run: Run,
    /// The statistics of the run, for the experiment's target.
    pub aggregated: Aggregated,
    /// The same for the target of `--against`.
    pub against: Option<Aggregated>,
    /// The differences between the two targets, pair by pair.
    pub paired: Vec<Paired>,
    /// All requests, including excluded ones.
    pub rows: Vec<SummaryRow>,
}

impl RunSummary {
    /// Computes the summary from the records of a run.
    pub fn new(experiment: &Experiment, run: &Run) -> Self {
        let rows = run
            .records
            .iter()
            .map(|record| SummaryRow::new(record, experiment.task));
        let head = Run {
            records: Vec::new(),
            scenario: run.scenario.clone(),
            load: run.load.clone(),
            client: run.client.clone(),
            server: run.server.clone(),
            ..*run
        };
        let tokens = |side| Tokens::of(run.records.iter().filter(|r| counts(r) && r.side == side));
        Self::with_tokens(experiment, head, rows.collect(), tokens)
    }

    /// Computes the summary of a run whose records are not available.
    pub(crate) fn of_rows(experiment: &Experiment, run: Run, rows: Vec<SummaryRow>) -> Self {
        Self::with_tokens(experiment, run, rows, |_| Tokens::default())
    }

    /// Computes the summary from rows, and from the per-token histograms of each side.
    pub fn with_tokens(
        experiment: &Experiment,
        run: Run,
        rows: Vec<SummaryRow>,
        tokens: impl Fn(Side) -> Tokens,
    ) -> Self {
        let numbers = |side| Aggregated::new(experiment, &run, &rows, side, tokens(side));
        let compared = rows.iter().any(|row| row.side == Side::Against);
        Self {
            aggregated: numbers(Side::Subject),
            against: compared.then(|| numbers(Side::Against)),
            paired: paired(&rows),
            run,
            rows,
        }
    }

    /// The measured rows: those of the experiment's target without warm-up and cool-down.
    pub fn measured(&self) -> impl Iterator<Item = &SummaryRow> {
        measured(&self.rows, Side::Subject)
    }

    /// The values of a metric, one per measured and completed request. Empty for [`Metric::Itl`]
    /// and [`Metric::InterChunk`], which have many values per request and are in
    /// [`Extra::histograms`].
    pub fn values(&self, metric: Metric) -> Vec<f64> {
        let done = self.measured().filter(|row| row.is_ok());
        done.filter_map(|row| metric.of(row)).collect()
    }

    /// The name of the run in a table: scenario, load and batch size. Control characters are
    /// escaped, since a run may come from elsewhere.
    pub fn label(&self) -> String {
        let mut label = format!("{} {}", self.run.scenario, self.run.load);
        if self.run.batch_size > 1 || self.aggregated.iteration_type == IterationType::BatchSize {
            label.push_str(&format!(" batch {}", self.run.batch_size));
        }
        excerpt(&label).into_owned()
    }
}

/// The statistics of a run in genai-bench's fields, and further ones under `extra`.
#[non_exhaustive]
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(default)]
pub struct Aggregated {
    /// The traffic scenario. The load is appended if genai-bench's fields cannot express it, so
    /// that its readers keep the runs apart.
    pub scenario: String,
    /// The concurrency; at least 1, as genai-bench's readers require.
    pub num_concurrency: u32,
    /// Documents per request.
    pub batch_size: u32,
    /// The parameter in which the runs of the experiment differ.
    pub iteration_type: IterationType,
    /// Seconds from the end of the warm-up, or else from the first dispatch, to the last end of
    /// the measured requests.
    pub run_duration: f64,
    /// Output tokens per second.
    pub mean_output_throughput_tokens_per_s: f64,
    /// Input tokens per second.
    pub mean_input_throughput_tokens_per_s: f64,
    /// Tokens per second.
    pub mean_total_tokens_throughput_tokens_per_s: f64,
    /// Completed requests per second.
    pub requests_per_second: f64,
    /// The number of requests per status; see [`SummaryRow::error_code`].
    pub error_codes_frequency: BTreeMap<i64, u64>,
    /// The share of failed requests, 0 to 1.
    pub error_rate: f64,
    /// Failed requests, including 429s.
    pub num_error_requests: u64,
    /// Completed requests.
    pub num_completed_requests: u64,
    /// Failed and completed requests.
    pub num_requests: u64,
    /// The statistics of each metric over the completed requests.
    #[serde(deserialize_with = "metric::known")]
    pub stats: BTreeMap<Metric, Stats>,
    /// Not a field of genai-bench, whose readers ignore it.
    pub extra: Extra,
}

/// The statistics of a run that genai-bench does not report.
#[non_exhaustive]
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(default)]
pub struct Extra {
    /// The load that was achieved; `None` if the requests have no times, as in genai-bench's files.
    pub achieved: Option<Achieved>,
    /// The outcomes of the requests.
    pub outcomes: Outcomes,
    /// Requests excluded at the beginning and at the end.
    pub left_out: (u64, u64),
    /// 95 % confidence intervals of the statistics `mean` and `p50` to `p99.9`, per metric.
    #[serde(deserialize_with = "metric::known")]
    pub intervals: BTreeMap<Metric, BTreeMap<String, Interval>>,
    /// The 95 % confidence interval of the error rate.
    pub error_rate_interval: Option<Interval>,
    /// Requests that met all objectives.
    pub goodput: Option<Goodput>,
    /// The same for each tier of goodput, in the configured order.
    pub goodput_tiers: Vec<Goodput>,
    /// The jobs of agents, if the requests are parts of jobs.
    pub jobs: Option<Jobs>,
    /// The share of input tokens that came from the server's cache, 0 to 1; of the requests for which
    /// the server reports it.
    pub cached_input_share: Option<f64>,
    /// Attempts that were rejected with status 429 and repeated.
    pub rate_limited_attempts: u64,
    /// The fewest requests that the server's rate limit still allowed, if it reports them.
    pub rate_limit_remaining: Option<f64>,
    /// The number of responses per source of their output counts, without responses that need none.
    pub token_sources: BTreeMap<TokenSource, u64>,
    /// The cost of the measured requests in dollars, if a price is configured.
    pub cost: Option<f64>,
    /// Predictions with a cold boot.
    pub cold: u64,
    /// Requests during which the client stalled.
    pub stalled: u64,
    /// Warnings about the reliability of the numbers; each a sentence.
    pub cautions: Vec<String>,
    /// The histograms of all duration metrics.
    #[serde(deserialize_with = "metric::known")]
    pub histograms: BTreeMap<Metric, Histogram>,
}

/// The requests that met all objectives.
#[non_exhaustive]
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct Goodput {
    /// The name of the tier; empty for the objectives of `--goodput`.
    #[serde(default)]
    pub tier: String,
    /// The objectives, such as `ttft:200ms`.
    pub objectives: Vec<String>,
    /// The number of requests that met all objectives.
    pub good: u64,
    /// Their share of all completed and failed requests, 0 to 1.
    pub share: f64,
    /// Their number per second.
    pub requests_per_second: f64,
    /// Their output tokens per second.
    pub output_tokens_per_second: f64,
}

impl Aggregated {
    /// Computes the statistics of one side of a run.
    fn new(
        experiment: &Experiment,
        run: &Run,
        rows: &[SummaryRow],
        side: Side,
        tokens: Tokens,
    ) -> Self {
        let of_side: Vec<&SummaryRow> = measured(rows, side).collect();
        let done: Vec<&SummaryRow> = of_side.iter().copied().filter(|row| row.is_ok()).collect();
        let outcomes = Outcomes::of(of_side.iter().copied());
        let seconds = run.measured_ns.1.saturating_sub(run.measured_ns.0) as f64 / 1e9;
        let per_second = |amount: f64| if seconds > 0.0 { amount / seconds } else { 0.0 };
        // The `sum` of no floats is -0.
        let values = |metric: Metric| done.iter().filter_map(move |row| metric.of(row));
        let sum = |metric: Metric| values(metric).fold(0.0, |sum, value| sum + value);

        let mut stats = BTreeMap::new();
        let mut intervals = BTreeMap::new();
        let mut histograms = BTreeMap::from([
            (Metric::InterChunk, tokens.inter_chunk),
            (Metric::Itl, tokens.itl),
        ]);
        let jobs = JobTotals::of(rows, side);
        let complete = || jobs.values().filter(|job| job.is_complete());
        for metric in Metric::ALL {
            if let Some(histogram) = histograms.get(&metric) {
                stats.insert(metric, histogram.stats());
                continue;
            }
            let values = match metric.is_of_jobs() {
                true => sorted(complete().filter_map(|job| job.get(metric))),
                false => sorted(done.iter().filter_map(|row| metric.of(row))),
            };
            let described = Stats::of_sorted(&values);
            intervals.insert(metric, intervals_of(&values, &described));
            stats.insert(metric, described);
            if metric.unit() == Unit::Seconds && !values.is_empty() {
                histograms.insert(metric, Histogram::of_seconds(values));
            }
        }
        // genai-bench's readers require its own metrics even if there are no values.
        stats.retain(|metric, stats| metric.is_genai_bench() || stats.mean.is_some());
        intervals.retain(|_, intervals| !intervals.is_empty());
        histograms.retain(|_, histogram| !histogram.is_empty());

        let goodput = |tier: String, given: Vec<String>, objectives: &Objectives| {
            let good = done.iter().filter(|row| objectives.are_met(row));
            let good: Vec<_> = good.collect();
            let tokens = good
                .iter()
                .filter_map(|row| row.num_output_tokens)
                .sum::<u64>();
            Goodput {
                tier,
                objectives: given,
                good: good.len() as u64,
                share: share(good.len() as u64, outcomes.ok + outcomes.errors()),
                requests_per_second: per_second(good.len() as f64),
                output_tokens_per_second: per_second(tokens as f64),
            }
        };
        let tiers = experiment.goodput_tiers.iter();
        let tiers = tiers.filter_map(|text| Some((text, GoodputTier::parse(text).ok()?)));
        let goodput_tiers = tiers.map(|(text, tier)| {
            let given = text.split_once('=').map_or("", |(_, given)| given);
            goodput(tier.name, vec![given.to_owned()], &tier.objectives)
        });
        let goodput_tiers = goodput_tiers.collect();
        let objectives = Objectives::parse(&experiment.goodput).unwrap_or_default();
        let goodput = (!objectives.is_empty())
            .then(|| goodput(String::new(), experiment.goodput.clone(), &objectives));
        let cached = |row: &&SummaryRow| Some((row.cached_input_tokens?, row.num_input_tokens?));
        let cached = done.iter().filter_map(cached);
        let cached = cached.reduce(|a, b| (a.0.saturating_add(b.0), a.1.saturating_add(b.1)));
        let cached_input_share = cached.map(|(cached, input)| share(cached, input).min(1.0));
        let completed = complete().count() as u64;
        let mut token_sources = BTreeMap::new();
        let wrote = |row: &&&SummaryRow| row.num_output_tokens.is_some_and(|tokens| tokens > 0);
        for row in done.iter().filter(wrote) {
            *token_sources.entry(row.output_tokens_source).or_default() += 1;
        }
        let left_out = |phase| {
            rows.iter()
                .filter(|r| r.side == side && r.phase == phase)
                .count()
        };
        let mut error_codes_frequency = BTreeMap::new();
        for row in of_side.iter().filter(|row| row.outcome.is_error()) {
            *error_codes_frequency
                .entry(row.error_code.unwrap_or_default())
                .or_default() += 1;
        }
        let errors = outcomes.errors();
        let mut aggregated = Self {
            scenario: scenario_label(experiment, &run.scenario, &run.load),
            num_concurrency: run.load.concurrency().max(1),
            batch_size: run.batch_size.max(1),
            iteration_type: experiment.iteration_type,
            run_duration: seconds,
            mean_output_throughput_tokens_per_s: per_second(sum(Metric::NumOutputTokens)),
            mean_input_throughput_tokens_per_s: per_second(sum(Metric::NumInputTokens)),
            mean_total_tokens_throughput_tokens_per_s: per_second(sum(Metric::TotalTokens)),
            requests_per_second: per_second(outcomes.ok as f64),
            error_codes_frequency,
            error_rate: share(errors, outcomes.ok + errors),
            num_error_requests: errors,
            num_completed_requests: outcomes.ok,
            num_requests: outcomes.ok + errors,
            stats,
            extra: Extra {
                achieved: Achieved::of(run, rows),
                left_out: (
                    left_out(Phase::Warmup) as u64,
                    left_out(Phase::Cooldown) as u64,
                ),
                intervals,
                error_rate_interval: rate_interval(errors, outcomes.ok + errors),
                goodput,
                goodput_tiers,
                jobs: (!jobs.is_empty()).then(|| Jobs {
                    completed,
                    incomplete: jobs.len() as u64 - completed,
                    jobs_per_second: per_second(completed as f64),
                }),
                cached_input_share,
                rate_limited_attempts: of_side
                    .iter()
                    .map(|row| u64::from(row.rate_limited_attempts))
                    .sum(),
                rate_limit_remaining: of_side
                    .iter()
                    .filter_map(|row| row.rate_limit_remaining)
                    .reduce(f64::min),
                token_sources,
                cost: experiment.price_per_million.map(|(input, output)| {
                    (sum(Metric::NumInputTokens) * input + sum(Metric::NumOutputTokens) * output)
                        / 1e6
                }),
                cold: of_side.iter().filter(|row| row.cold).count() as u64,
                stalled: of_side.iter().filter(|row| row.stalled).count() as u64,
                cautions: Vec::new(),
                histograms,
                outcomes,
            },
        };
        aggregated.extra.cautions = cautions::of(run, &aggregated);
        aggregated
    }

    /// A statistic of a metric; `None` if there are no values. Statistics that [`Stats`] does not
    /// have come from the histogram, exact to 0.1 %.
    pub fn get(&self, statistic: Statistic, metric: Metric) -> Option<f64> {
        let known = self
            .stats
            .get(&metric)
            .and_then(|stats| stats.get(statistic));
        known.or_else(|| match statistic {
            Statistic::Percentile(p) => self.extra.histograms.get(&metric)?.percentile(p),
            _ => None,
        })
    }
}

/// The name of a scenario at a load in genai-bench's files.
pub(crate) fn scenario_label(experiment: &Experiment, scenario: &str, load: &Load) -> String {
    let is_distinct = match experiment.iteration_type {
        IterationType::BatchSize => experiment.loads.len() < 2,
        IterationType::NumConcurrency => true,
    };
    match load {
        Load::Concurrency { .. } if is_distinct => scenario.to_owned(),
        _ => format!("{scenario} {load}"),
    }
}

/// The values that are counted per token rather than per request.
#[non_exhaustive]
#[derive(Clone, Debug, Default)]
pub struct Tokens {
    /// Seconds from each chunk with tokens to the next.
    pub inter_chunk: Histogram,
    /// The same, divided evenly among the tokens of the later chunk.
    pub itl: Histogram,
}

impl Tokens {
    fn of<'a>(records: impl Iterator<Item = &'a RequestRecord>) -> Self {
        let mut tokens = Self::default();
        for record in records {
            for (at, gap_us) in record.arrivals.gaps_us.iter().enumerate() {
                let gap = u64::from(*gap_us) * 1000;
                tokens.inter_chunk.record(gap);
                match record.arrivals.tokens.get(at + 1).copied() {
                    // Every chunk has one token.
                    None => tokens.itl.record(gap),
                    Some(0) => {}
                    Some(count) => tokens.itl.record_many(gap / u64::from(count), count.into()),
                }
            }
        }
        tokens
    }
}

fn counts(record: &RequestRecord) -> bool {
    record.phase == Phase::Measured && record.is_ok()
}

fn measured(rows: &[SummaryRow], side: Side) -> impl Iterator<Item = &SummaryRow> {
    let counts = move |row: &&SummaryRow| row.phase == Phase::Measured && row.side == side;
    rows.iter().filter(counts)
}

fn intervals_of(values: &[f64], stats: &Stats) -> BTreeMap<String, Interval> {
    let mean = mean_interval(stats, values.len() as u64).map(|interval| {
        // No metric is negative, but Student's t is symmetric.
        let low = interval.low.max(0.0);
        ("mean".to_owned(), Interval { low, ..interval })
    });
    let percentiles = PERCENTILES.iter().filter_map(|p| {
        let interval = percentile_interval(values, *p)?;
        Some((Statistic::Percentile(*p).to_string(), interval))
    });
    mean.into_iter().chain(percentiles).collect()
}

fn share(part: u64, whole: u64) -> f64 {
    if whole == 0 {
        0.0
    } else {
        part as f64 / whole as f64
    }
}

/// The percentiles that have intervals.
const PERCENTILES: [f64; 5] = [50.0, 90.0, 95.0, 99.0, 99.9];

#[cfg(test)]
mod tests;
