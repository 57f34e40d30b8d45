//! Distributed measurements: one machine leads, the others measure at the same time.

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result};
use bench_report::markdown;
use llm_bench::coordinator::{Leader, LeaderEvent, SessionSecret, Worker};
use llm_bench::{CommandLine, Experiment, Folder, Interrupts, Results};
use llm_provider::text::printable;

use crate::bench::args::Bench;
use crate::bench::permissions::Permissions;
use crate::bench::plan::Plan;
use crate::bench::{Misuse, commands, features, report, sweep};
use crate::output::{Colour, note, print};

/// Lets workers measure, and writes their results as one experiment.
pub(crate) async fn lead(
    args: &Bench,
    coordinator: &str,
    interrupts: Interrupts,
) -> Result<ExitCode> {
    features::check_coordinator(coordinator)?;
    let server = args.output.mlflow.server()?;
    let options = &args.distributed;
    let workers = usize::from(options.workers.unwrap_or(1));
    let secret = secret(options.secret_file.as_deref())?;
    let plan = serde_json::to_value(Plan::of(args)?)?;
    let base = args.output.experiment_base_dir.clone().unwrap_or_default();
    if let Some(name) = &args.output.experiment_folder_name
        && base.join(name).join("experiment_metadata.json").exists()
    {
        return Err(Misuse::occupied(&base.join(name)).into());
    }
    note(
        "waiting",
        Colour::Yellow,
        format_args!(
            "for {workers} {} in session {}",
            if workers == 1 { "worker" } else { "workers" },
            options.session
        ),
    );
    let leader = Leader::gather(
        coordinator,
        &options.session,
        &secret,
        plan,
        workers,
        options.patience,
        interrupts.clone(),
    );
    let leader = leader.await?;
    let names = leader.workers().collect::<Vec<_>>().join(", ");
    note("measuring", Colour::Green, printable(&names));
    let parts = leader
        .run(interrupts, |event| match event {
            LeaderEvent::Started { run } => {
                note("started", Colour::Green, format_args!("run {}", run + 1))
            }
            LeaderEvent::Finished { worker } => note("finished", Colour::Green, printable(&worker)),
            _ => {}
        })
        .await?;
    let mut results = bench_report::merge(&parts)?;
    let words: Vec<String> = std::env::args().collect();
    results.experiment.command = CommandLine::redacted(words.iter().map(String::as_str), []);
    match &args.output.experiment_folder_name {
        Some(name) => results.experiment.name.clone_from(name),
        None => {
            // The workers chose their names.
            results.experiment.name = folder_name(&results.experiment.name);
            sweep::free_name(&base, &mut results.experiment.name)
                .with_context(|| format!("cannot write to {}", base.display()))?;
        }
    }
    let path = base.join(&results.experiment.name);
    let status = write(&path, &results)?;
    report::export(server.as_ref(), &path, &results).await;
    Ok(status)
}

fn write(path: &Path, results: &Results) -> Result<ExitCode> {
    let folder = Folder::create(path, &results.experiment)
        .with_context(|| format!("cannot write to {}", path.display()))?;
    for run in &results.runs {
        folder.add_summary(&results.experiment, run)?;
    }
    report::write(&folder, results)?;
    print(format_args!("{}\n", markdown(results)))?;
    print(format_args!(
        "Report: {}\n",
        path.join("report.html").display()
    ))?;
    let completed = results
        .runs
        .iter()
        .map(|run| run.aggregated.num_completed_requests);
    Ok(if completed.sum::<u64>() == 0 {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}

/// The name of a worker as a folder's name: a single path component of limited length.
fn folder_name(name: &str) -> String {
    let keep = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    let name = name.trim_start_matches('.').chars().take(200);
    let name: String = name.map(|c| if keep(c) { c } else { '-' }).collect();
    if name.is_empty() {
        "merged".to_owned()
    } else {
        name
    }
}

/// The secret of the session.
fn secret(file: Option<&Path>) -> Result<SessionSecret> {
    if let Some(file) = file {
        return Ok(SessionSecret::read(file)?);
    }
    match std::env::var(SECRET) {
        Ok(text) if !text.is_empty() => SessionSecret::new(&text).context(SECRET),
        _ => Err(Misuse(format!(
            "leader and workers need a shared secret: set {SECRET} on each machine, or pass a file \
             by --secret-file; `openssl rand -hex 32` prints one"
        ))
        .into()),
    }
}

/// Measures one plan of a leader.
pub(crate) async fn work(args: &commands::Worker, interrupts: Interrupts) -> Result<ExitCode> {
    features::check_coordinator(&args.coordinator)?;
    let secret = secret(args.secret_file.as_deref())?;
    let allowed = Permissions::only(&args.allow_base, &args.allow_folder, args.allow_hub)?;
    if args.allow_base.is_empty() {
        let text = "every plan will be rejected, since no address is allowed: see --allow-base";
        note("warning", Colour::Yellow, text);
    }
    note(
        "waiting",
        Colour::Yellow,
        format_args!("for a leader in session {}", args.session),
    );
    let mut stopped = interrupts.clone();
    let joined = tokio::select! {
        joined = Worker::join(&args.coordinator, &args.session, &secret, &args.name) => joined,
        _ = stopped.wait_for(|count| *count > 0) => return Ok(ExitCode::from(super::INTERRUPTED)),
    };
    let (worker, plan) = joined?;
    let mut member = Membership {
        worker,
        name: args.name.clone(),
        results: None,
    };
    let measured = match Plan::read(plan) {
        Ok(plan) => {
            let bench = plan.into_bench(args.experiment_base_dir.clone());
            sweep::run(bench, &allowed, interrupts, Some(&mut member)).await
        }
        Err(error) => Err(error),
    };
    let reported = match (&measured, member.results) {
        (Ok(_), Some(results)) => member.worker.finish(&results).await,
        (Ok(_), None) => member.worker.fail("no results").await,
        (Err(error), _) => {
            let reported = member.worker.fail(format!("{error:#}"));
            tokio::time::timeout(Duration::from_secs(5), reported)
                .await
                .unwrap_or(Ok(()))
        }
    };
    let status = measured?;
    reported?;
    Ok(status)
}

/// This machine's membership in a distributed measurement.
pub(crate) struct Membership {
    worker: Worker,
    name: String,
    results: Option<Results>,
}

impl Membership {
    /// Sets the worker's name in an experiment.
    pub(crate) fn set_worker_name(&self, experiment: &mut Experiment) {
        experiment.name = format!("{}_{}", experiment.name, self.name);
        experiment.machine.worker = Some(self.name.clone());
    }

    /// Waits until all machines start a run.
    pub(crate) async fn ready(&mut self, run: u32) -> Result<()> {
        Ok(self.worker.ready(run).await?)
    }

    /// Keeps the results for the leader.
    pub(crate) fn set_results(&mut self, results: Results) {
        self.results = Some(results);
    }
}

/// The environment variable of the secret.
const SECRET: &str = "POLYLLM_BENCH_SECRET";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_name_is_a_single_path_component() {
        for (name, folder) in [
            (
                "together_text-to-text_w_merged",
                "together_text-to-text_w_merged",
            ),
            ("../../etc/cron.d/x", "-..-etc-cron.d-x"),
            ("/etc/passwd", "-etc-passwd"),
            ("..", "merged"),
            ("", "merged"),
            ("a\u{1b}[2J\n", "a--2J-"),
        ] {
            assert_eq!(folder_name(name), folder);
        }
        assert_eq!(folder_name(&"é".repeat(1000)).len(), 200);
    }
}
