use std::collections::BTreeMap;
use std::fmt::Write;

use llm_bench::Results;
use llm_bench::stats::{Interval, Statistic};
use llm_bench::summary::{Achieved, Aggregated, Metric, Paired, RunSummary};
use llm_provider::text::printable;

use super::number::{count, date, duration, metric, number, percent, tool};
use super::repeats::repeated;

/// The summary of an experiment in Markdown, the content of `report.md`.
pub fn markdown(results: &Results) -> String {
    let experiment = &results.experiment;
    let mut out = String::new();
    let mut target = escaped(&experiment.backend);
    if !experiment.api_base.is_empty() {
        target = format!("{} ({target})", escaped(&experiment.api_base));
    }
    let mut facts = vec![format!(
        "{} of {} at {target}",
        experiment.task,
        code(&experiment.model)
    )];
    if experiment.started_at_ms > 0 {
        facts.push(date(experiment.started_at_ms));
    }
    facts.push(count(results.runs.len(), "run"));
    facts.push(format!("by {}", escaped(&tool(&experiment.version))));
    // Writing to a string does not fail.
    let _ = write!(
        out,
        "# {}\n\n{}.\n\n",
        escaped(&experiment.name),
        facts.join(", ")
    );
    out.push_str(HEAD);
    for run in &results.runs {
        row(&mut out, &run.label(), &run.aggregated);
        if let Some(against) = &run.against {
            row(&mut out, &format!("{} (against)", run.label()), against);
        }
    }
    errors(&mut out, &results.runs);
    for run in &results.runs {
        for paired in &run.paired {
            let _ = write!(
                out,
                "\n- {}: {}\n",
                escaped(&run.label()),
                difference(paired)
            );
        }
    }
    jobs(&mut out, &results.runs);
    tiers(&mut out, &results.runs);
    repeats(&mut out, results);
    let cautions = results.runs.iter().flat_map(|run| {
        let cautions = run.aggregated.extra.cautions.iter();
        cautions.map(|caution| (run.label(), caution))
    });
    let cautions: Vec<_> = cautions.collect();
    if !cautions.is_empty() {
        out.push_str("\n## Warnings\n\n");
        for (label, caution) in cautions {
            let _ = writeln!(out, "- {}: {}", escaped(&label), escaped(caution));
        }
    }
    out
}

/// The difference to the target of `--against`, as a sentence.
pub(super) fn difference(paired: &Paired) -> String {
    let interval = |interval: Option<Interval>| {
        interval.map_or_else(String::new, |i| {
            format!(" (95 %: {} to {})", duration(i.low), duration(i.high))
        })
    };
    format!(
        "{} differs by {} in the mean{} and by {} in the median{}, over {}",
        paired.metric.title(),
        duration(paired.mean),
        interval(paired.mean_interval),
        duration(paired.median),
        interval(paired.median_interval),
        count(paired.pairs as usize, "pair"),
    )
}

fn row(out: &mut String, label: &str, numbers: &Aggregated) {
    let at = |of, p| metric(of, numbers.get(p, of));
    let goodput = numbers.extra.goodput.as_ref();
    let _ = writeln!(
        out,
        "| {} | {} | {} | {} | {} | {} | {} | {} | {} | {} | {} | {} | {} |",
        escaped(label),
        numbers.num_requests,
        percent(numbers.error_rate),
        achieved(numbers, |load| load.in_flight),
        achieved(numbers, |load| load.starts_per_second),
        number(numbers.requests_per_second),
        number(numbers.mean_output_throughput_tokens_per_s),
        at(Metric::Ttft, Statistic::Mean),
        at(Metric::Ttft, Statistic::Percentile(50.0)),
        at(Metric::Ttft, Statistic::Percentile(99.0)),
        at(Metric::Tpot, Statistic::Mean),
        at(Metric::E2eLatency, Statistic::Percentile(99.0)),
        goodput.map_or_else(|| "–".to_owned(), |goodput| percent(goodput.share)),
    );
}

/// The jobs of agents.
fn jobs(out: &mut String, runs: &[RunSummary]) {
    let with_jobs = runs
        .iter()
        .filter(|run| run.aggregated.extra.jobs.is_some());
    for (place, run) in with_jobs.enumerate() {
        if place == 0 {
            out.push_str(JOBS);
        }
        let numbers = &run.aggregated;
        let jobs = numbers.extra.jobs.clone().unwrap_or_default();
        let at = |of, statistic| metric(of, numbers.get(statistic, of));
        let cached = numbers.extra.cached_input_share;
        let _ = writeln!(
            out,
            "| {} | {} | {} | {} | {} | {} | {} | {} | {} | {} |",
            escaped(&run.label()),
            jobs.completed,
            jobs.incomplete,
            at(Metric::JobTime, Statistic::Mean),
            at(Metric::JobTime, Statistic::Percentile(99.0)),
            at(Metric::JobRequests, Statistic::Mean),
            at(Metric::JobInputTokens, Statistic::Mean),
            at(Metric::JobOutputTokens, Statistic::Mean),
            at(Metric::Ttfo, Statistic::Mean),
            cached.map_or_else(|| "–".to_owned(), percent),
        );
    }
}

/// The tiers of goodput.
fn tiers(out: &mut String, runs: &[RunSummary]) {
    for run in runs {
        for tier in &run.aggregated.extra.goodput_tiers {
            let _ = write!(
                out,
                "\n- {}: {} of the requests met the tier {} ({}), {} per second\n",
                escaped(&run.label()),
                percent(tier.share),
                escaped(&tier.tier),
                escaped(&tier.objectives.join(" ")),
                number(tier.requests_per_second),
            );
        }
    }
}

/// The intervals across runs of the same point.
fn repeats(out: &mut String, results: &Results) {
    for (place, repeat) in repeated(results).iter().enumerate() {
        if place == 0 {
            out.push_str(REPEATS);
        }
        let text = |value| repeat.quantity.text(value);
        let interval = repeat.interval.map_or_else(
            || "–".to_owned(),
            |interval| format!("{} to {}", text(interval.low), text(interval.high)),
        );
        let _ = writeln!(
            out,
            "| {} | {} | {} | {} | {interval} |",
            escaped(&repeat.label),
            repeat.runs,
            repeat.quantity.title(),
            text(repeat.mean),
        );
    }
}

/// A part of the achieved load; a dash if it is not known.
pub(super) fn achieved(numbers: &Aggregated, value: fn(&Achieved) -> f64) -> String {
    let achieved = numbers.extra.achieved.as_ref();
    achieved.map_or_else(|| "–".to_owned(), |achieved| number(value(achieved)))
}

fn errors(out: &mut String, runs: &[RunSummary]) {
    let failing = runs
        .iter()
        .filter(|run| run.aggregated.num_error_requests > 0);
    let failing: Vec<_> = failing.collect();
    if failing.is_empty() {
        return;
    }
    out.push_str(
        "\n## Errors\n\n| run | errors | of requests | rate | by status or kind |\n|---|--:|--:|--:|---|\n",
    );
    for run in failing {
        let numbers = &run.aggregated;
        let causes = causes(run).into_iter();
        let causes: Vec<_> = causes.map(|(cause, n)| format!("{cause}: {n}")).collect();
        let _ = writeln!(
            out,
            "| {} | {} | {} | {} | {} |",
            escaped(&run.label()),
            numbers.num_error_requests,
            numbers.num_requests,
            percent(numbers.error_rate),
            causes.join(", "),
        );
    }
}

/// The measured failures by their HTTP status, or else by their kind, such as `disconnected`.
pub(super) fn causes(run: &RunSummary) -> BTreeMap<String, u64> {
    let mut causes = BTreeMap::new();
    for row in run.measured().filter(|row| row.outcome.is_error()) {
        let cause = match row.http_status() {
            Some(status) => status.to_string(),
            None => row.outcome.name().replace('_', " "),
        };
        *causes.entry(cause).or_default() += 1;
    }
    causes
}

/// Escapes a text so that it contains no Markdown and no HTML.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in printable(&text.replace(['\n', '\r'], " ")).chars() {
        if "\\`*[]<>|&".contains(c) {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

/// A text as inline code, in which only the backtick is markup. Not for table cells, which also need
/// `|` escaped.
pub(super) fn code(text: &str) -> String {
    let text = text.replace(['\n', '\r'], " ").replace('`', "'");
    format!("`{}`", printable(&text))
}

const JOBS: &str = "\n## Jobs\n\n| run | completed | incomplete | time mean | time p99 | requests | input tokens | output tokens | TTFO mean | cached |\n|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|\n";

const REPEATS: &str = "\n## Repeats\n\n| point | runs | of each run | mean | 95 % interval across runs |\n|---|--:|---|--:|--:|\n";

const HEAD: &str = "| run | requests | errors | in flight | started/s | req/s | out tok/s | TTFT mean | TTFT p50 | TTFT p99 | TPOT mean | E2E p99 | goodput |\n|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|\n";
