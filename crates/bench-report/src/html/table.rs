use std::fmt::Write;

use llm_bench::Results;
use llm_bench::stats::Statistic;
use llm_bench::summary::{Achieved, Aggregated, Metric};

use super::name;
use crate::chart::escaped;
use crate::figures::STATISTICS;
use crate::markdown;
use crate::number::{duration, metric, number, percent};
use crate::repeats::repeated;

/// The intervals across repeats, if points were run more than once.
pub(super) fn repeats(out: &mut String, all: &[Results]) {
    let repeats: Vec<_> = all
        .iter()
        .flat_map(|results| repeated(results).into_iter().map(move |one| (results, one)))
        .collect();
    if repeats.is_empty() {
        return;
    }
    out.push_str(
        "<section><h2>Repeats</h2><div class=\"scroll\" tabindex=\"0\"><table><thead><tr><th>Point</th>\
         <th>Runs</th><th class=\"text\">Of each run</th><th>Mean</th><th>95 % interval across runs</th></tr></thead>\
         <tbody>\n",
    );
    for (results, one) in repeats {
        let text = |value| one.quantity.text(value);
        let label = match all.len() {
            1 => one.label.clone(),
            _ => format!("{} · {}", results.experiment.name, one.label),
        };
        let interval = one.interval.map_or_else(
            || "–".to_owned(),
            |interval| format!("{} to {}", text(interval.low), text(interval.high)),
        );
        let _ = writeln!(
            out,
            "<tr><th>{}</th><td>{}</td><td class=\"text\">{}</td><td>{}</td><td>{interval}</td></tr>",
            escaped(&label),
            one.runs,
            escaped(&one.quantity.title()),
            text(one.mean),
        );
    }
    out.push_str("</tbody></table></div></section>\n");
}

/// A row per run; the columns of metrics show the selected statistic.
pub(super) fn runs(out: &mut String, all: &[Results]) {
    let measured = |of: &Metric| {
        let mut numbers = super::runs(all).map(|(_, run)| &run.aggregated);
        numbers.any(|numbers| {
            numbers
                .get(Statistic::Mean, *of)
                .is_some_and(|mean| mean > 0.0)
        })
    };
    let metrics: Vec<Metric> = COLUMNS.into_iter().filter(measured).collect();
    let goodput = super::runs(all).any(|(_, run)| run.aggregated.extra.goodput.is_some());
    // Embeddings and rerank have no output.
    let output =
        super::runs(all).any(|(_, run)| run.aggregated.mean_output_throughput_tokens_per_s > 0.0);
    let columns = Columns {
        metrics,
        goodput,
        output,
    };
    out.push_str("<div class=\"scroll\" tabindex=\"0\"><table class=\"sortable\"><thead><tr><th>Run</th><th>Requests</th><th>Errors</th><th title=\"Mean requests in flight until the last one starts\">In flight</th><th>Started/s</th><th>Req/s</th>");
    let _ = write!(
        out,
        "<th>{} tok/s</th>",
        if output { "Output" } else { "Input" }
    );
    for of in &columns.metrics {
        let _ = write!(
            out,
            "<th title=\"{}\">{} <em data-statistic-name>mean</em></th>",
            of.title(),
            short_title(*of)
        );
    }
    if goodput {
        out.push_str("<th>Goodput</th>");
    }
    out.push_str("<th>Duration</th></tr></thead><tbody>\n");
    for (results, run) in super::runs(all) {
        let sides = [
            (name(all, results, run), Some(&run.aggregated)),
            (
                format!("{} · against", name(all, results, run)),
                run.against.as_ref(),
            ),
        ];
        for (label, numbers) in sides {
            if let Some(numbers) = numbers {
                row(out, &label, numbers, &columns);
            }
        }
    }
    out.push_str("</tbody></table></div>\n");
}

/// What a table shows.
struct Columns {
    metrics: Vec<Metric>,
    goodput: bool,
    /// Whether the throughput is that of output, else of input.
    output: bool,
}

fn row(out: &mut String, label: &str, numbers: &Aggregated, columns: &Columns) {
    let bad = if numbers.num_error_requests > 0 {
        " class=\"bad\""
    } else {
        ""
    };
    let _ = write!(
        out,
        "<tr><th>{}</th>{}<td{bad} data-sort=\"{}\">{}</td>{}{}{}{}",
        escaped(label),
        cell(numbers.num_requests as f64),
        numbers.error_rate,
        percent(numbers.error_rate),
        achieved(numbers, |load| load.in_flight),
        achieved(numbers, |load| load.starts_per_second),
        cell(numbers.requests_per_second),
        cell(match columns.output {
            true => numbers.mean_output_throughput_tokens_per_s,
            false => numbers.mean_input_throughput_tokens_per_s,
        }),
    );
    for of in &columns.metrics {
        statistics(out, numbers, *of);
    }
    if columns.goodput {
        let share = numbers.extra.goodput.as_ref().map(|goodput| goodput.share);
        let text = share.map_or_else(|| "–".to_owned(), percent);
        let _ = write!(
            out,
            "<td data-sort=\"{}\">{text}</td>",
            share.unwrap_or(-1.0)
        );
    }
    let seconds = numbers.run_duration;
    let _ = writeln!(
        out,
        "<td data-sort=\"{seconds}\">{}</td></tr>",
        duration(seconds)
    );
}

/// The short title of a metric.
fn short_title(metric: Metric) -> &'static str {
    match metric {
        Metric::E2eLatency => "E2E",
        Metric::Itl => "ITL",
        Metric::OutputInferenceSpeed => "Speed",
        other => other.title(),
    }
}

/// A cell with all statistics of a metric; the mean is visible.
fn statistics(out: &mut String, numbers: &Aggregated, of: Metric) {
    out.push_str("<td");
    for statistic in STATISTICS {
        let value = numbers.get(statistic, of);
        let _ = write!(
            out,
            " data-{0}=\"{1}\" data-sort-{0}=\"{2}\"",
            attribute(statistic),
            metric(of, value),
            value.unwrap_or(-1.0)
        );
    }
    let mean = numbers.get(Statistic::Mean, of);
    let _ = write!(
        out,
        " data-sort=\"{}\">{}</td>",
        mean.unwrap_or(-1.0),
        metric(of, mean)
    );
}

/// A statistic as part of an attribute name: `p99.9` becomes `p99_9`.
fn attribute(statistic: Statistic) -> String {
    statistic.to_string().replace('.', "_")
}

fn achieved(numbers: &Aggregated, value: fn(&Achieved) -> f64) -> String {
    let achieved = numbers.extra.achieved.as_ref();
    let text = markdown::achieved(numbers, value);
    format!(
        "<td data-sort=\"{}\">{text}</td>",
        achieved.map_or(-1.0, value)
    )
}

fn cell(value: f64) -> String {
    format!("<td data-sort=\"{value}\">{}</td>", number(value))
}

const COLUMNS: [Metric; 5] = [
    Metric::Ttft,
    Metric::Itl,
    Metric::Tpot,
    Metric::E2eLatency,
    Metric::OutputInferenceSpeed,
];
