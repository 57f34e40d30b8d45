use std::collections::BTreeMap;
use std::fmt::Write;

use llm_bench::Results;
use llm_bench::stats::Statistic;
use llm_bench::summary::{Metric, RunSummary};

use super::{figure, name};
use crate::chart::escaped;
use crate::figures::{STATISTICS, of_run};
use crate::number::{count, duration, metric, percent, tool};

/// The details of each run; the reader selects one.
pub(super) fn runs(out: &mut String, all: &[Results]) {
    if super::runs(all).next().is_none() {
        return;
    }
    out.push_str(
        "<section><h2>Details of a run</h2>\n<select id=\"run\" hidden aria-label=\"Run\">",
    );
    for (at, (results, run)) in super::runs(all).enumerate() {
        let label = name(all, results, run);
        let _ = write!(out, "<option value=\"{at}\">{}</option>", escaped(&label));
    }
    out.push_str("</select>\n");
    for (at, (results, run)) in super::runs(all).enumerate() {
        let label = escaped(&name(all, results, run));
        let _ = write!(out, "<div data-run=\"{at}\"><h3>{label}</h3>\n<p>");
        outcome(out, run);
        out.push_str("</p>\n<div class=\"figures\">\n");
        for of in of_run(run) {
            figure::write(out, &of);
        }
        out.push_str("</div>\n");
        metrics(out, run);
        failures(out, run);
        out.push_str("</div>\n");
    }
    out.push_str("</section>\n");
}

/// The outcomes of the requests, in a sentence.
fn outcome(out: &mut String, run: &RunSummary) {
    let numbers = &run.aggregated;
    let outcomes = &numbers.extra.outcomes;
    let mut parts = vec![format!(
        "{} in {}",
        count(numbers.num_requests as usize, "request"),
        duration(numbers.run_duration)
    )];
    parts.push(format!("{} completed", outcomes.ok));
    if numbers.num_error_requests > 0 {
        let interval = numbers
            .extra
            .error_rate_interval
            .map_or(String::new(), |i| {
                format!(", 95 %: {} to {}", percent(i.low), percent(i.high))
            });
        parts.push(format!(
            "{} failed ({}{interval})",
            numbers.num_error_requests,
            percent(numbers.error_rate)
        ));
    }
    let few = [
        (outcomes.rate_limited, "of them 429"),
        (outcomes.cancelled, "cancelled at the end"),
        (numbers.extra.left_out.0, "excluded as warm-up"),
        (numbers.extra.left_out.1, "excluded as cool-down"),
        (
            numbers.extra.rate_limited_attempts,
            "attempts repeated after 429",
        ),
        (numbers.extra.cold, "with a cold boot"),
        (numbers.extra.stalled, "affected by client stalls"),
    ];
    for (number, what) in few {
        if number > 0 {
            parts.push(format!("{number} {what}"));
        }
    }
    if let Some(goodput) = &numbers.extra.goodput {
        parts.push(format!(
            "{} met {} ({})",
            goodput.good,
            goodput.objectives.join(" "),
            percent(goodput.share)
        ));
    }
    for tier in &numbers.extra.goodput_tiers {
        parts.push(format!(
            "{} met the tier {}: {} ({})",
            tier.good,
            tier.tier,
            tier.objectives.join(" "),
            percent(tier.share)
        ));
    }
    if let Some(jobs) = &numbers.extra.jobs {
        parts.push(format!(
            "{} completed, {} did not",
            count(jobs.completed as usize, "job"),
            jobs.incomplete
        ));
    }
    if let Some(cached) = numbers.extra.cached_input_share {
        parts.push(format!("{} of the input tokens cached", percent(cached)));
    }
    if let Some(remaining) = numbers.extra.rate_limit_remaining {
        parts.push(format!(
            "the server's rate limit allowed at least {} more",
            count(remaining as usize, "request")
        ));
    }
    if let Some(bias) = &run.run.bias {
        parts.push(format!(
            "the client adds {} to the TTFT and {} to each token",
            duration(bias.ttft_mean_s),
            duration(bias.itl_mean_s)
        ));
    }
    out.push_str(&escaped(&parts.join(" · ")));
}

/// All metrics with all statistics.
fn metrics(out: &mut String, run: &RunSummary) {
    let numbers = &run.aggregated;
    out.push_str("<details><summary>All metrics</summary><div class=\"scroll\" tabindex=\"0\"><table><thead><tr><th>Metric</th><th>min</th>");
    for statistic in STATISTICS {
        let _ = write!(out, "<th>{statistic}</th>");
    }
    out.push_str(
        "<th>max</th><th>stddev</th><th>95 % interval of the mean</th></tr></thead><tbody>\n",
    );
    for of in Metric::ALL {
        let Some(stats) = numbers
            .stats
            .get(&of)
            .filter(|stats| stats.max.is_some_and(|max| max > 0.0))
        else {
            continue;
        };
        let _ = write!(
            out,
            "<tr><th>{}</th><td>{}</td>",
            of.title(),
            metric(of, stats.min)
        );
        for statistic in STATISTICS {
            let _ = write!(out, "<td>{}</td>", metric(of, numbers.get(statistic, of)));
        }
        let interval = numbers.extra.intervals.get(&of);
        let interval = interval.and_then(|of| of.get(&Statistic::Mean.to_string()));
        let interval = interval.map_or_else(
            || "–".to_owned(),
            |i| {
                format!(
                    "{} to {}",
                    metric(of, Some(i.low)),
                    metric(of, Some(i.high))
                )
            },
        );
        let _ = writeln!(
            out,
            "<td>{}</td><td>{}</td><td>{interval}</td></tr>",
            metric(of, stats.max),
            metric(of, stats.stddev)
        );
    }
    out.push_str("</tbody></table></div></details>\n");
}

/// The failures, grouped by status, kind and message.
fn failures(out: &mut String, run: &RunSummary) {
    let mut alike: BTreeMap<(Option<i64>, &str, &str), u64> = BTreeMap::new();
    for row in run.rows.iter().filter(|row| row.outcome.is_error()) {
        let message = row.error_message.as_deref().unwrap_or_default();
        *alike
            .entry((row.http_status(), row.outcome.name(), message))
            .or_default() += 1;
    }
    if alike.is_empty() {
        return;
    }
    let mut alike: Vec<_> = alike.into_iter().collect();
    alike.sort_by_key(|(_, times)| std::cmp::Reverse(*times));
    alike.truncate(MAX_FAILURES);
    out.push_str("<details open><summary>Failures</summary><div class=\"scroll\" tabindex=\"0\"><table><thead><tr><th>Status</th><th class=\"text\">Kind</th><th>Count</th><th class=\"text\">Message</th></tr></thead><tbody>\n");
    for ((code, kind, message), times) in alike {
        let _ = writeln!(
            out,
            "<tr><th>{}</th><td class=\"text\">{}</td><td>{times}</td><td class=\"text\">{}</td></tr>",
            code.map_or(String::new(), |code| code.to_string()),
            kind.replace('_', " "),
            escaped(message)
        );
    }
    out.push_str("</tbody></table></div></details>\n");
}

/// The configuration.
pub(super) fn experiments(out: &mut String, all: &[Results]) {
    out.push_str("<section><h2>Configuration</h2>\n");
    for results in all {
        let experiment = &results.experiment;
        let server = &experiment.server;
        let limits = &experiment.limits;
        let mut facts = vec![
            ("Command", experiment.command.to_string()),
            ("Tool", tool(&experiment.version)),
            (
                "Dataset",
                experiment
                    .dataset
                    .clone()
                    .unwrap_or_else(|| "built-in text".to_owned()),
            ),
            ("Scenarios", experiment.scenarios.join("  ")),
            (
                "Limits per run",
                format!(
                    "{} or {}",
                    duration(limits.max_seconds),
                    count(limits.max_requests as usize, "request")
                ),
            ),
            (
                "Excluded",
                format!(
                    "warm-up {}, cool-down {}",
                    percent(experiment.warmup_ratio),
                    percent(experiment.cooldown_ratio)
                ),
            ),
            (
                "Connections",
                if experiment.new_connections {
                    "one per request".to_owned()
                } else {
                    "kept alive".to_owned()
                },
            ),
            ("API", experiment.text_api.clone()),
            ("Objectives", experiment.goodput.join(" ")),
            ("Tiers", experiment.goodput_tiers.join("  ")),
            ("Against", experiment.against.clone().unwrap_or_default()),
            ("Seed", experiment.seed.to_string()),
            (
                "Server",
                [&server.engine, &server.version, &server.gpu_type]
                    .into_iter()
                    .flatten()
                    .cloned()
                    .collect::<Vec<_>>()
                    .join(" "),
            ),
            (
                "Client",
                format!(
                    "{} {}, {}",
                    experiment.machine.os,
                    experiment.machine.arch,
                    count(experiment.machine.cpus as usize, "processor")
                ),
            ),
        ];
        facts.retain(|(_, fact)| !fact.is_empty());
        let _ = writeln!(
            out,
            "<details><summary>{}</summary><div class=\"scroll\" tabindex=\"0\"><table class=\"facts\"><tbody>",
            escaped(&experiment.name)
        );
        for (name, fact) in facts {
            let _ = writeln!(
                out,
                "<tr><th>{name}</th><td class=\"text\">{}</td></tr>",
                escaped(&fact)
            );
        }
        out.push_str("</tbody></table></div></details>\n");
    }
    out.push_str("</section>\n");
}

const MAX_FAILURES: usize = 50;
