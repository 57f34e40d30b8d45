//! Warnings about the reliability of a run's numbers.

use super::{Aggregated, Metric};
use crate::stats::Statistic;
use crate::{Load, Run, RunEnd, TokenSource};

/// The warnings about a run, as sentences.
pub(super) fn of(run: &Run, numbers: &Aggregated) -> Vec<String> {
    let mut cautions = Vec::new();
    let extra = &numbers.extra;
    if numbers.num_completed_requests == 0 {
        cautions.push("No request completed: there are no latencies.".to_owned());
    } else if numbers.error_rate >= 0.5 {
        cautions.push(format!(
            "{:.1} % of the requests failed: the statistics cover the others.",
            numbers.error_rate * 100.0
        ));
    }
    bias(run, numbers, &mut cautions);
    if extra.stalled > 0 {
        let longest = run.client.stalls.iter().map(|stall| stall.length_ns).max();
        cautions.push(format!(
            "The client or its machine stalled during {}{}: their times are too long.",
            count(extra.stalled, "request"),
            longest.map_or(String::new(), |ns| format!(
                " (for {:.0} ms at the longest)",
                ns as f64 / 1e6
            )),
        ));
    }
    load(run, numbers, &mut cautions);
    if run.client.skipped_prompts > 0 {
        let skipped = count(run.client.skipped_prompts, "prompt");
        let error = run.client.prompt_error.as_deref().unwrap_or_default();
        cautions.push(format!("{skipped} could not be written: {error}"));
    }
    for source in &run.client.unread_metrics {
        cautions.push(format!("The metrics of a server were not read: {source}"));
    }
    let estimated = extra
        .token_sources
        .get(&TokenSource::Estimate)
        .copied()
        .unwrap_or(0);
    if estimated > 0 {
        cautions.push(format!(
            "The output tokens of {} are estimated: the server did not count them.",
            count(estimated, "request"),
        ));
    }
    let unsent = extra.outcomes.unsent;
    let cancelled = extra.outcomes.cancelled.saturating_sub(unsent);
    if cancelled > 0 {
        cautions.push(format!(
            "{} still running at the end were cancelled and are excluded from the statistics.",
            count(cancelled, "request"),
        ));
    }
    if unsent > 0 {
        cautions.push(format!(
            "{} due before the end were never sent, since all slots were in use, and are excluded \
             from the statistics.",
            count(unsent, "request"),
        ));
    }
    if let Some(jobs) = extra.jobs.as_ref().filter(|jobs| jobs.incomplete > 0) {
        cautions.push(format!(
            "{} did not complete: the statistics of jobs cover the others.",
            count(jobs.incomplete, "job"),
        ));
    }
    match run.end {
        RunEnd::Failing => cautions.push(
            "The run was stopped: every request failed from the beginning, for a reason that also \
             affects later requests."
                .to_owned(),
        ),
        RunEnd::Interrupted => cautions.push("The run was interrupted.".to_owned()),
        RunEnd::Saturated => cautions.push(
            "The run stopped because requests arrived faster than the server answered them."
                .to_owned(),
        ),
        RunEnd::Errors => {
            cautions.push("The run ended at its limit of failed requests.".to_owned());
        }
        RunEnd::Cost => cautions.push("The run ended at its cost limit.".to_owned()),
        RunEnd::Requests | RunEnd::Time => {}
    }
    cautions
}

/// A load that is more than 1 % lower than configured.
fn load(run: &Run, numbers: &Aggregated, cautions: &mut Vec<String>) {
    let Some(achieved) = &numbers.extra.achieved else {
        return;
    };
    let slots = u64::from(run.load.concurrency());
    let requests = all_requests(numbers);
    if matches!(run.load, Load::Concurrency { .. }) && requests < slots {
        cautions.push(format!(
            "The load was lower than configured: the run had {} for {slots} slots.",
            count(requests, "request"),
        ));
    }
    if achieved.slot_time_lost > TOLERANCE {
        cautions.push(format!(
            "The load was lower than configured: slots waited for prompts for {:.1} % of their \
             time, and {:.1} of {} requests were in flight.",
            achieved.slot_time_lost * 100.0,
            achieved.in_flight,
            run.load.concurrency(),
        ));
    }
    let scheduled = achieved.scheduled_per_second.unwrap_or(0.0);
    if achieved.starts_per_second < (1.0 - TOLERANCE) * scheduled {
        cautions.push(format!(
            "The load was lower than configured: {:.2} requests per second started of {:.2} that \
             were scheduled.",
            achieved.starts_per_second, scheduled,
        ));
    }
}

/// The requests of a run, however they ended.
fn all_requests(numbers: &Aggregated) -> u64 {
    let outcomes = &numbers.extra.outcomes;
    outcomes.ok + outcomes.errors() + outcomes.cancelled
}

/// Means that are less than ten times the client's own bias.
fn bias(run: &Run, numbers: &Aggregated, cautions: &mut Vec<String>) {
    let Some(bias) = run.bias else { return };
    for (metric, own) in [
        (Metric::Ttft, bias.ttft_mean_s),
        (Metric::Itl, bias.itl_mean_s),
    ] {
        let Some(mean) = numbers.get(Statistic::Mean, metric) else {
            continue;
        };
        if own.abs() > mean / 10.0 {
            let verb = match own > 0.0 {
                true => "increases",
                false => "reduces",
            };
            cautions.push(format!(
                "The client itself {verb} the {} by {:.2} ms at this load, and {:.2} ms were \
                 measured: the number is not accurate.",
                metric.title(),
                own.abs() * 1e3,
                mean * 1e3,
            ));
        }
    }
}

fn count(number: u64, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

/// The part of a load that may be missing without a warning.
const TOLERANCE: f64 = 0.01;
