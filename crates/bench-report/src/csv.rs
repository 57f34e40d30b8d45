use std::borrow::Cow;

use llm_bench::Results;
use llm_bench::stats::Statistic;
use llm_bench::summary::{Metric, RunSummary, SummaryRow};
use llm_provider::text::printable;
use serde::Serialize;

/// A row per run.
pub(super) fn runs(results: &Results) -> Vec<u8> {
    let metrics: Vec<Metric> = Metric::ALL
        .into_iter()
        .filter(|metric| {
            let stats = |run: &RunSummary| run.aggregated.get(Statistic::Mean, *metric);
            results.runs.iter().any(|run| stats(run).is_some())
        })
        .collect();
    let mut head: Vec<String> = HEAD.iter().map(|name| (*name).to_owned()).collect();
    for metric in &metrics {
        head.extend(Statistic::EXPORTED.map(|statistic| format!("{metric}_{statistic}")));
    }
    let lines = results.runs.iter().map(|run| {
        let numbers = &run.aggregated;
        let outcomes = &numbers.extra.outcomes;
        let goodput = numbers.extra.goodput.as_ref();
        let achieved = numbers.extra.achieved.as_ref();
        let mut line = vec![
            cell(&run.run.scenario).into_owned(),
            cell(&run.run.load.to_string()).into_owned(),
            numbers.num_concurrency.to_string(),
            numbers.batch_size.to_string(),
            numbers.run_duration.to_string(),
            numbers.num_requests.to_string(),
            outcomes.ok.to_string(),
            outcomes.errors().to_string(),
            outcomes.rate_limited.to_string(),
            outcomes.cancelled.to_string(),
            numbers.error_rate.to_string(),
            numbers.requests_per_second.to_string(),
            numbers.mean_input_throughput_tokens_per_s.to_string(),
            numbers.mean_output_throughput_tokens_per_s.to_string(),
            numbers
                .mean_total_tokens_throughput_tokens_per_s
                .to_string(),
            text(goodput.map(|goodput| goodput.share)),
            text(goodput.map(|goodput| goodput.requests_per_second)),
            text(numbers.extra.cost),
            text(achieved.map(|load| load.in_flight)),
            text(achieved.map(|load| load.starts_per_second)),
            text(achieved.and_then(|load| load.scheduled_per_second)),
            text(achieved.map(|load| load.slot_time_lost)),
        ];
        for metric in &metrics {
            line.extend(Statistic::EXPORTED.map(|statistic| text(numbers.get(statistic, *metric))));
        }
        line
    });
    table(std::iter::once(head).chain(lines))
}

/// A row per request of all runs.
pub(super) fn requests(results: &Results) -> Vec<u8> {
    /// The `csv` crate writes the header from the names of the fields.
    #[derive(Serialize)]
    struct RequestRow<'a> {
        scenario: Cow<'a, str>,
        load: String,
        batch_size: u32,
        id: u64,
        side: llm_bench::Side,
        target: u32,
        model: u32,
        job: Option<u64>,
        phase: llm_bench::Phase,
        outcome: &'a str,
        started: Option<f64>,
        ended: Option<f64>,
        ttft: Option<f64>,
        ttfo: Option<f64>,
        tpot: Option<f64>,
        e2e_latency: Option<f64>,
        output_latency: Option<f64>,
        num_input_tokens: Option<u64>,
        num_output_tokens: Option<u64>,
        num_reasoning_tokens: Option<u64>,
        cached_input_tokens: Option<u64>,
        output_tokens_source: llm_bench::TokenSource,
        dispatch_delay: Option<f64>,
        dns: Option<f64>,
        tcp: Option<f64>,
        tls: Option<f64>,
        send: Option<f64>,
        wait: Option<f64>,
        receive: Option<f64>,
        queue: Option<f64>,
        predict: Option<f64>,
        cold: bool,
        stalled: bool,
        finish_reason: Option<Cow<'a, str>>,
        http_status: Option<i64>,
        error_message: Option<Cow<'a, str>>,
    }
    let mut writer = csv::Writer::from_writer(Vec::new());
    for run in &results.runs {
        for row in &run.rows {
            let SummaryRow {
                id, side, phase, ..
            } = *row;
            // Writing to memory does not fail.
            let _ = writer.serialize(RequestRow {
                scenario: cell(&run.run.scenario),
                load: cell(&run.run.load.to_string()).into_owned(),
                batch_size: run.run.batch_size,
                id,
                side,
                target: row.target,
                model: row.model,
                job: row.job.map(|part| part.job),
                phase,
                outcome: row.outcome.name(),
                started: row.started,
                ended: row.ended,
                ttft: row.ttft,
                ttfo: row.ttfo,
                tpot: row.tpot,
                e2e_latency: row.e2e_latency,
                output_latency: row.output_latency,
                num_input_tokens: row.num_input_tokens,
                num_output_tokens: row.num_output_tokens,
                num_reasoning_tokens: row.num_reasoning_tokens,
                cached_input_tokens: row.cached_input_tokens,
                output_tokens_source: row.output_tokens_source,
                dispatch_delay: row.dispatch_delay,
                dns: row.dns,
                tcp: row.tcp,
                tls: row.tls,
                send: row.send,
                wait: row.wait,
                receive: row.receive,
                queue: row.queue,
                predict: row.predict,
                cold: row.cold,
                stalled: row.stalled,
                finish_reason: row.finish_reason.as_deref().map(cell),
                http_status: row.http_status(),
                error_message: row.error_message.as_deref().map(cell),
            });
        }
    }
    writer.into_inner().unwrap_or_default()
}

/// A text as a cell that no spreadsheet interprets as a formula: an apostrophe precedes a text that
/// starts like one (OWASP, CSV injection). Control characters are escaped.
fn cell(text: &str) -> Cow<'_, str> {
    let shown = printable(text);
    match text
        .trim_start()
        .starts_with(['=', '+', '-', '@', '＝', '＋', '－', '＠'])
    {
        true => Cow::Owned(format!("'{shown}")),
        false => shown,
    }
}

fn table(lines: impl Iterator<Item = Vec<String>>) -> Vec<u8> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    for line in lines {
        // Writing to memory does not fail, and all rows have the same length.
        let _ = writer.write_record(line);
    }
    writer.into_inner().unwrap_or_default()
}

fn text(value: Option<f64>) -> String {
    value.map(|value| value.to_string()).unwrap_or_default()
}

const HEAD: [&str; 22] = [
    "scenario",
    "load",
    "num_concurrency",
    "batch_size",
    "run_duration",
    "num_requests",
    "num_completed_requests",
    "num_error_requests",
    "num_rate_limited_requests",
    "num_cancelled_requests",
    "error_rate",
    "requests_per_second",
    "mean_input_throughput_tokens_per_s",
    "mean_output_throughput_tokens_per_s",
    "mean_total_tokens_throughput_tokens_per_s",
    "goodput_share",
    "goodput_requests_per_second",
    "cost_dollars",
    "achieved_in_flight",
    "achieved_starts_per_second",
    "scheduled_per_second",
    "slot_time_lost",
];
