//! The HTML report: one file that needs no network. All charts are rendered here; the script only
//! selects what is visible and shows tooltips.

mod details;
mod figure;
mod table;

use std::fmt::Write;

use llm_bench::Results;
use llm_bench::stats::Statistic;
use llm_bench::summary::{Metric, RunSummary};

use super::chart::{escaped, style};
use super::figures::{STATISTICS, overview};
use super::markdown::difference;
use super::number::{count, date, duration, number, percent};

/// A page about one experiment, or about several side by side.
pub(super) fn page(all: &[Results]) -> String {
    let title = match all {
        [one] => one.experiment.name.clone(),
        _ => format!("Comparison of {}", count(all.len(), "experiment")),
    };
    let mut out = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; \
         style-src 'unsafe-inline'; script-src 'unsafe-inline'\">\n\
         <title>{}</title>\n<style>\n{}\n{}\n{CSS}</style>\n</head>\n<body>\n",
        escaped(&title),
        style::variables(),
        style::RULES,
    );
    header(&mut out, &title, all);
    out.push_str("<main>\n");
    cautions(&mut out, all);
    cards(&mut out, all);
    differences(&mut out, all);
    table::repeats(&mut out, all);
    controls(&mut out);
    out.push_str("<section><h2>Runs</h2>\n");
    table::runs(&mut out, all);
    out.push_str("</section>\n<section><h2>Curves</h2>\n<div class=\"figures\">\n");
    for figure in overview(all) {
        figure::write(&mut out, &figure);
    }
    out.push_str("</div></section>\n");
    details::runs(&mut out, all);
    details::experiments(&mut out, all);
    out.push_str(NOTES);
    let _ = write!(
        out,
        "</main>\n<div id=\"tip\" hidden></div>\n<script>\n{SCRIPT}</script>\n</body>\n</html>\n"
    );
    out
}

fn header(out: &mut String, title: &str, all: &[Results]) {
    let _ = writeln!(out, "<header><div><h1>{}</h1>", escaped(title));
    for results in all {
        let experiment = &results.experiment;
        let mut parts = vec![
            experiment.task.to_string(),
            experiment.model.clone(),
            experiment.backend.clone(),
            experiment.api_base.clone(),
        ];
        if all.len() > 1 {
            parts.insert(0, experiment.name.clone());
        }
        if experiment.started_at_ms > 0 {
            parts.push(date(experiment.started_at_ms));
        }
        parts.retain(|part| !part.is_empty());
        let _ = writeln!(out, "<p>{}</p>", escaped(&parts.join(" · ")));
    }
    out.push_str("</div><button id=\"theme\" type=\"button\" hidden>Dark</button></header>\n");
}

/// The warnings; those that differ only in their numbers are one entry.
fn cautions(out: &mut String, all: &[Results]) {
    let mut groups: Vec<(String, Vec<(String, &str)>)> = Vec::new();
    for (results, run) in runs(all) {
        for caution in &run.aggregated.extra.cautions {
            let kind: String = caution.chars().filter(|c| c.is_alphabetic()).collect();
            let entry = (name(all, results, run), caution.as_str());
            match groups.iter_mut().find(|(known, _)| *known == kind) {
                Some((_, entries)) => entries.push(entry),
                None => groups.push((kind, vec![entry])),
            }
        }
    }
    if groups.is_empty() {
        return;
    }
    out.push_str("<section class=\"care\"><h2>Warnings</h2><ul>\n");
    for (_, entries) in groups {
        let line = |(label, caution): &(String, &str)| {
            format!("<b>{}</b> {}", escaped(label), escaped(caution))
        };
        match &entries[..] {
            [only] => {
                let _ = writeln!(out, "<li>{}</li>", line(only));
            }
            [first, others @ ..] => {
                let _ = write!(
                    out,
                    "<li>{}<details><summary>{} with this warning</summary><ul>",
                    line(first),
                    count(others.len(), "other run"),
                );
                for other in others {
                    let _ = writeln!(out, "<li>{}</li>", line(other));
                }
                out.push_str("</ul></details></li>\n");
            }
            [] => {}
        }
    }
    out.push_str("</ul></section>\n");
}

/// The key figures.
fn cards(out: &mut String, all: &[Results]) {
    out.push_str("<section class=\"cards\">\n");
    let mut card = |title: &str, value: String, about: String| {
        let _ = writeln!(
            out,
            "<div class=\"card\"><span>{title}</span><b>{}</b><small>{}</small></div>",
            escaped(&value),
            escaped(&about)
        );
    };
    let best = |value: fn(&RunSummary) -> Option<f64>| {
        let runs = runs(all).filter_map(|(results, run)| {
            let value = value(run)?;
            Some((value, name(all, results, run)))
        });
        runs.max_by(|a, b| a.0.total_cmp(&b.0))
    };
    let some = |value: f64| (value > 0.0).then_some(value);
    if let Some((value, label)) = best(|run| {
        let numbers = &run.aggregated;
        let output = numbers.mean_output_throughput_tokens_per_s;
        Some(output).filter(|output| *output > 0.0)
    }) {
        card(
            "Highest output throughput",
            format!("{} tok/s", number(value)),
            label,
        );
    }
    if let Some((value, label)) = best(|run| {
        let numbers = &run.aggregated;
        let input = numbers.mean_input_throughput_tokens_per_s;
        let has_output = numbers.mean_output_throughput_tokens_per_s > 0.0;
        (!has_output && input > 0.0).then_some(input)
    }) {
        card(
            "Highest input throughput",
            format!("{} tok/s", number(value)),
            label,
        );
    }
    if let Some((value, label)) = best(|run| Some(run.aggregated.requests_per_second))
        && let Some(value) = some(value)
    {
        card(
            "Highest request rate",
            format!("{}/s", number(value)),
            label,
        );
    }
    if let Some((value, label)) = best(|run| {
        let median = run
            .aggregated
            .get(Statistic::Percentile(50.0), Metric::Ttft)?;
        Some(-median)
    }) {
        card("Shortest TTFT, median", duration(-value), label);
    }
    if let Some((value, label)) = best(|run| {
        run.aggregated
            .get(Statistic::Percentile(99.0), Metric::Ttft)
    }) {
        card("Longest TTFT, p99", duration(value), label);
    }
    let sum = |value: fn(&RunSummary) -> u64| runs(all).map(|(_, run)| value(run)).sum::<u64>();
    let (errors, requests) = (
        sum(|run| run.aggregated.num_error_requests),
        sum(|run| run.aggregated.num_requests),
    );
    let limited = sum(|run| run.aggregated.extra.outcomes.rate_limited);
    card(
        "Errors",
        percent(errors as f64 / requests.max(1) as f64),
        format!("{errors} of {requests} requests, {limited} of them 429"),
    );
    let costs = runs(all).filter_map(|(_, run)| run.aggregated.extra.cost);
    let costs: Vec<f64> = costs.collect();
    if !costs.is_empty() {
        let cost: f64 = costs.iter().sum();
        card(
            "Spent",
            format!("${cost:.4}"),
            "by the configured prices".to_owned(),
        );
    }
    out.push_str("</section>\n");
}

/// The differences to the target of `--against`.
fn differences(out: &mut String, all: &[Results]) {
    if runs(all).all(|(_, run)| run.paired.is_empty()) {
        return;
    }
    out.push_str("<section><h2>Against the other target</h2>\n<p>Each request was sent to both targets, one after the other. A positive difference means that the experiment's target takes longer.</p>\n<ul>\n");
    for (_, run) in runs(all) {
        for paired in &run.paired {
            let text = format!("{}: {}", run.label(), difference(paired));
            let _ = writeln!(out, "<li>{}</li>", escaped(&text));
        }
    }
    out.push_str("</ul></section>\n");
}

/// The controls for all tables and charts.
fn controls(out: &mut String) {
    out.push_str("<nav id=\"controls\" hidden><span>Show</span>");
    for statistic in STATISTICS {
        let _ = write!(
            out,
            "<button type=\"button\" data-choose=\"{statistic}\" aria-pressed=\"{}\">{statistic}</button>",
            statistic == Statistic::Mean
        );
    }
    out.push_str("</nav>\n");
}

/// The runs of all experiments in one sequence.
fn runs(all: &[Results]) -> impl Iterator<Item = (&Results, &RunSummary)> {
    all.iter()
        .flat_map(|results| results.runs.iter().map(move |run| (results, run)))
}

/// The name of a run, with its experiment if there are several.
fn name(all: &[Results], results: &Results, run: &RunSummary) -> String {
    if all.len() > 1 {
        format!("{} · {}", results.experiment.name, run.label())
    } else {
        run.label()
    }
}

const CSS: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");
const NOTES: &str = include_str!("notes.html");
