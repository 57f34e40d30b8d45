//! Merges the experiments that several machines measured together.

use std::collections::HashSet;

use llm_bench::Results;
use llm_bench::stats::Histogram;
use llm_bench::summary::{Metric, RunSummary, Tokens};
use llm_bench::{ClientHealth, Experiment, Load, Ramp, Run, RunEnd, Side};
use llm_provider::text::excerpt;

/// Merges the results of several machines. Their requests become those of one run, and their
/// histograms and loads are added: two machines with 8 requests in flight each make a run with 16.
///
/// The clocks of the machines are assumed to agree. Runs at different times are aligned as if they
/// had been simultaneous, with a warning.
///
/// # Errors
/// If there are no experiments, one is given twice, or they differ in what they measured.
pub fn merge(parts: &[Results]) -> Result<Results, MergeError> {
    let Some(first) = parts.first() else {
        return Err(MergeError::Nothing);
    };
    let mut known = HashSet::new();
    for part in parts {
        let experiment = &part.experiment;
        // Two workers may have the same name and start in the same millisecond.
        let times: Vec<(u64, u64)> = part.runs.iter().map(|run| run.run.active_ns).collect();
        let start = experiment.started_at_ms;
        let identity = (&experiment.name, start, &experiment.machine.worker, times);
        // Folders of genai-bench may have no start.
        if start > 0 && !known.insert(identity) {
            return Err(MergeError::Repeated(excerpt(&experiment.name).into_owned()));
        }
    }
    for part in parts {
        let (one, other) = (&first.experiment, &part.experiment);
        let same = [
            ("task", one.task.name(), other.task.name()),
            ("model", &one.model, &other.model),
        ];
        if let Some((what, a, b)) = same.into_iter().find(|(_, a, b)| a != b) {
            return Err(MergeError::Different {
                what,
                first: excerpt(a).into_owned(),
                other: excerpt(b).into_owned(),
            });
        }
        let labels = |part: &Results| part.runs.iter().map(RunSummary::label).collect::<Vec<_>>();
        if labels(first).len() != labels(part).len() {
            return Err(MergeError::Different {
                what: "runs",
                first: labels(first).join(", "),
                other: labels(part).join(", "),
            });
        }
    }
    let experiment = merged_experiment(parts);
    let runs = (0..first.runs.len()).map(|at| {
        let alike: Vec<&RunSummary> = parts.iter().map(|part| &part.runs[at]).collect();
        merged_run(&experiment, &alike)
    });
    let mut results = Results::default();
    results.runs = runs.collect::<Result<_, _>>()?;
    results.experiment = experiment.clone();
    results.sort();
    Ok(results)
}

/// The error of experiments that cannot be merged.
#[non_exhaustive]
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum MergeError {
    /// They differ in what they measured.
    #[error("cannot merge the experiments: they differ in their {what}: {first}, and {other}")]
    Different {
        /// The difference.
        what: &'static str,
        /// The value of the first.
        first: String,
        /// The value of another.
        other: String,
    },
    /// There are no experiments.
    #[error("no experiment to merge")]
    Nothing,
    /// Two of them are the same: they have the same name, start and worker.
    #[error("cannot merge the experiments: {0} is given twice")]
    Repeated(String),
}

fn merged_experiment(parts: &[Results]) -> Experiment {
    let experiments = || parts.iter().map(|part| &part.experiment);
    let mut joined = experiments().next().cloned().unwrap_or_default();
    let names: Vec<&str> = experiments()
        .map(|experiment| experiment.name.as_str())
        .collect();
    joined.name = format!(
        "{}_merged",
        common_prefix(&names).trim_end_matches(['_', '-', '.'])
    );
    joined.started_at_ms = experiments().map(|e| e.started_at_ms).min().unwrap_or(0);
    joined.machine.cpus = experiments().map(|e| e.machine.cpus).sum();
    let workers = experiments().filter_map(|e| e.machine.worker.clone());
    let workers: Vec<String> = workers.collect();
    joined.machine.worker = (!workers.is_empty()).then(|| workers.join(", "));
    joined.limits.max_requests = experiments().map(|e| e.limits.max_requests).sum();
    for at in 0..joined.loads.len() {
        let loads = experiments().filter_map(|experiment| experiment.loads.get(at));
        if let Some(load) = merged_load(&loads.collect::<Vec<_>>()) {
            joined.loads[at] = load;
        }
    }
    joined
}

fn merged_run(experiment: &Experiment, parts: &[&RunSummary]) -> Result<RunSummary, MergeError> {
    let first = parts[0];
    let key = |run: &RunSummary| (run.run.scenario.clone(), run.run.batch_size);
    let loads: Vec<&Load> = parts.iter().map(|part| &part.run.load).collect();
    let load = merged_load(&loads);
    let other = parts.iter().find(|part| key(part) != key(first));
    let (Some(load), None) = (load, other) else {
        return Err(MergeError::Different {
            what: "runs",
            first: first.label(),
            other: other
                .or_else(|| parts.last())
                .map_or_else(String::new, |run| run.label()),
        });
    };

    let start = parts
        .iter()
        .map(|part| part.run.started_at_ms)
        .min()
        .unwrap_or(0);
    let shift = |part: &RunSummary| (part.run.started_at_ms - start) * 1_000_000;
    let together = parts.iter().all(|part| {
        let begins = shift(part) + part.run.active_ns.0;
        parts
            .iter()
            .all(|other| begins < shift(other) + other.run.active_ns.1)
    });
    let shift = |part: &RunSummary| if together { shift(part) } else { 0 };

    let mut rows = Vec::new();
    let (mut first_id, mut first_job) = (0, 0);
    let mut server = Vec::new();
    for part in parts {
        let seconds = shift(part) as f64 / 1e9;
        rows.extend(part.rows.iter().map(|row| {
            let mut row = row.clone();
            row.id += first_id;
            if let Some(part) = &mut row.job {
                part.job += first_job;
            }
            row.started = row.started.map(|started| started + seconds);
            row.ended = row.ended.map(|ended| ended + seconds);
            row
        }));
        first_id = rows.iter().map(|row| row.id + 1).max().unwrap_or(0);
        let jobs = rows.iter().filter_map(|row| Some(row.job?.job + 1));
        first_job = jobs.max().unwrap_or(0);
        server.extend(part.run.server.iter().map(|series| {
            let mut series = series.clone();
            series.points.iter_mut().for_each(|(at, _)| *at += seconds);
            series
        }));
    }
    let span = |of: fn(&Run) -> (u64, u64)| {
        let spans = || parts.iter().map(|part| (of(&part.run), shift(part)));
        let low = spans().map(|(span, shift)| span.0 + shift).min();
        let high = spans().map(|(span, shift)| span.1 + shift).max();
        (low.unwrap_or(0), high.unwrap_or(0))
    };
    let worst = parts.iter().filter_map(|part| part.run.bias);
    let mut run = Run::default();
    run.scenario.clone_from(&first.run.scenario);
    run.load = load;
    run.batch_size = first.run.batch_size;
    run.started_at_ms = start;
    run.active_ns = span(|run| run.active_ns);
    run.measured_ns = span(|run| run.measured_ns);
    run.server = server;
    run.client = merged_health(parts, &shift);
    run.bias = worst.max_by(|a, b| a.ttft_mean_s.abs().total_cmp(&b.ttft_mean_s.abs()));
    let mut ends = parts.iter().map(|part| part.run.end);
    run.end = ends
        .find(|end| *end != RunEnd::Requests)
        .unwrap_or_default();
    let tokens = |side| {
        let mut tokens = Tokens::default();
        tokens.inter_chunk = added(parts, side, Metric::InterChunk);
        tokens.itl = added(parts, side, Metric::Itl);
        tokens
    };
    let mut joined = RunSummary::with_tokens(experiment, run, rows, tokens);
    if !together {
        joined.aggregated.extra.cautions.push(
            "The machines did not measure at the same time: throughput and load are computed as if \
             they had."
                .to_owned(),
        );
    }
    Ok(joined)
}

/// The combined load of machines; `None` if the kinds differ.
fn merged_load(loads: &[&Load]) -> Option<Load> {
    let seconds = |ramp: Option<Ramp>| ramp.map(|ramp| ramp.seconds);
    let together = |a: Load, b: &&Load| match (a, b) {
        (Load::Concurrency { concurrency: a }, Load::Concurrency { concurrency: b }) => {
            Some(Load::Concurrency { concurrency: a + b })
        }
        (
            Load::Rate {
                per_second,
                ramp,
                arrivals,
                max_concurrency,
            },
            Load::Rate {
                per_second: other,
                ramp: other_ramp,
                arrivals: same,
                max_concurrency: cap,
            },
        ) if arrivals == *same && seconds(ramp) == seconds(*other_ramp) => Some(Load::Rate {
            per_second: per_second + other,
            ramp: ramp.zip(*other_ramp).map(|(mut ramp, other)| {
                ramp.from += other.from;
                ramp
            }),
            arrivals,
            max_concurrency: max_concurrency.zip(*cap).map(|(a, b)| a + b),
        }),
        (trace @ Load::Trace { .. }, other @ Load::Trace { .. }) if trace == **other => Some(trace),
        _ => None,
    };
    let (first, others) = loads.split_first()?;
    others.iter().try_fold((*first).clone(), together)
}

fn merged_health(parts: &[&RunSummary], shift: &dyn Fn(&RunSummary) -> u64) -> ClientHealth {
    let clients = || parts.iter().map(|part| &part.run.client);
    let max = |of: fn(&ClientHealth) -> u64| clients().map(of).max().unwrap_or(0);
    let stalls = parts.iter().flat_map(|part| {
        let shift = shift(part);
        part.run.client.stalls.iter().map(move |stall| {
            let mut stall = *stall;
            stall.start_ns += shift;
            stall
        })
    });
    let mut health = ClientHealth::default();
    health.threads = clients().map(|client| client.threads).sum();
    health.cpu_seconds = clients().map(|client| client.cpu_seconds).sum();
    health.stalls = stalls.collect();
    health.timer_late_ns = (
        max(|client| client.timer_late_ns.0),
        max(|client| client.timer_late_ns.1),
        max(|client| client.timer_late_ns.2),
    );
    health.starved = clients().map(|client| client.starved).sum();
    health.lost_slot_ns = clients().fold(0, |sum: u64, client| {
        sum.saturating_add(client.lost_slot_ns)
    });
    health.skipped_prompts = clients().map(|client| client.skipped_prompts).sum();
    health.prompt_error = clients().find_map(|client| client.prompt_error.clone());
    let unread = clients().flat_map(|client| client.unread_metrics.iter().cloned());
    health.unread_metrics = unread.collect();
    health
}

fn added(parts: &[&RunSummary], side: Side, metric: Metric) -> Histogram {
    let mut sum = Histogram::new();
    for part in parts {
        let numbers = match side {
            Side::Against => part.against.as_ref(),
            _ => Some(&part.aggregated),
        };
        if let Some(histogram) = numbers.and_then(|n| n.extra.histograms.get(&metric)) {
            sum.add(histogram);
        }
    }
    sum
}

/// The common prefix of all names; the first name if it is empty.
fn common_prefix<'a>(names: &[&'a str]) -> &'a str {
    let first = names.first().copied().unwrap_or_default();
    let different: HashSet<&str> = names.iter().copied().collect();
    let mut ends = first
        .char_indices()
        .map(|(at, _)| at)
        .chain([first.len()])
        .rev();
    let common = |end: &usize| {
        different
            .iter()
            .all(|name| name.starts_with(&first[..*end]))
    };
    match ends.find(common) {
        Some(end) if end > 0 => &first[..end],
        _ => first,
    }
}

#[cfg(test)]
mod tests;
