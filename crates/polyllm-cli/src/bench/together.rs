//! Several machines: one leads, the others measure at one time.

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use bench_report::markdown;
use llm_bench::coordinator::{Leader, LeaderStep, SessionSecret, Worker};
use llm_bench::{CommandLine, Experiment, Folder, Interrupts, Results};
use llm_provider::text::printable;

use crate::bench::after;
use crate::bench::allowed::Allowed;
use crate::bench::args::Bench;
use crate::bench::plan::Plan;
use crate::bench::{parts, report, sweep};
use crate::output::{Colour, note, print};

/// Has workers measure what the arguments say, and writes what they measured as one experiment.
pub(crate) async fn lead(
    args: &Bench,
    coordinator: &str,
    interrupts: Interrupts,
) -> Result<ExitCode> {
    parts::check_coordinator(coordinator)?;
    let together = &args.together;
    let workers = usize::from(together.workers.unwrap_or(1));
    let secret = secret(together.secret_file.as_deref())?;
    let plan = serde_json::to_value(Plan::of(args)?)?;
    let base = args.output.experiment_base_dir.clone().unwrap_or_default();
    if let Some(name) = &args.output.experiment_folder_name
        && base.join(name).join("experiment_metadata.json").exists()
    {
        bail!("{} holds an experiment already", base.join(name).display());
    }
    note(
        "waiting",
        Colour::Yellow,
        format_args!(
            "for workers at session {}, {workers} in all",
            together.session
        ),
    );
    let leader = Leader::gather(
        coordinator,
        &together.session,
        &secret,
        plan,
        workers,
        together.patience,
        interrupts.clone(),
    );
    let leader = leader.await?;
    let names = leader.workers().collect::<Vec<_>>().join(", ");
    note("measuring", Colour::Green, printable(&names));
    let parts = leader
        .conduct(interrupts, |step| match step {
            LeaderStep::Started { run } => {
                note("started", Colour::Green, format_args!("run {}", run + 1))
            }
            LeaderStep::Finished { worker } => note("finished", Colour::Green, printable(&worker)),
            _ => {}
        })
        .await?;
    let mut results = bench_report::merge(&parts)?;
    let words: Vec<String> = std::env::args().collect();
    results.experiment.command = CommandLine::redacted(words.iter().map(String::as_str), []);
    match &args.output.experiment_folder_name {
        Some(name) => results.experiment.name.clone_from(name),
        None => {
            // The workers chose it.
            results.experiment.name = folder_name(&results.experiment.name);
            sweep::free_name(&base, &mut results.experiment.name)
                .with_context(|| format!("cannot write to {}", base.display()))?;
        }
    }
    write(&base.join(&results.experiment.name), &results)
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

/// A name from another machine as that of a folder: one part of a path, and not too long.
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

/// The secret of a session, without which nobody leads and nobody works.
fn secret(file: Option<&Path>) -> Result<SessionSecret> {
    if let Some(file) = file {
        return Ok(SessionSecret::read(file)?);
    }
    match std::env::var(SECRET) {
        Ok(text) if !text.is_empty() => SessionSecret::new(&text).context(SECRET),
        _ => bail!(
            "leader and workers need a secret in common: set {SECRET} on each machine, or name a \
             file that holds it by --secret-file; `openssl rand -hex 32` prints one"
        ),
    }
}

/// Measures what a leader says, once.
pub(crate) async fn work(args: &after::Worker, interrupts: Interrupts) -> Result<ExitCode> {
    parts::check_coordinator(&args.coordinator)?;
    let secret = secret(args.secret_file.as_deref())?;
    let allowed = Allowed::only(&args.allow_base, &args.allow_folder, args.allow_hub)?;
    if args.allow_base.is_empty() {
        let text = "no address is allowed, so every plan will be refused: see --allow-base";
        note("warning", Colour::Yellow, text);
    }
    note(
        "waiting",
        Colour::Yellow,
        format_args!("for a leader at session {}", args.session),
    );
    let mut stopped = interrupts.clone();
    let joined = tokio::select! {
        joined = Worker::join(&args.coordinator, &args.session, &secret, &args.name) => joined,
        _ = stopped.wait_for(|count| *count > 0) => return Ok(ExitCode::from(super::INTERRUPTED)),
    };
    let (worker, plan) = joined?;
    let mut member = Member {
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
    let told = match (&measured, member.results) {
        (Ok(_), Some(results)) => member.worker.finish(&results).await,
        (Ok(_), None) => member.worker.fail("nothing was measured").await,
        (Err(error), _) => {
            let told = member.worker.fail(format!("{error:#}"));
            tokio::time::timeout(Duration::from_secs(5), told)
                .await
                .unwrap_or(Ok(()))
        }
    };
    let status = measured?;
    told?;
    Ok(status)
}

/// This machine, as one of several that measure together.
pub(crate) struct Member {
    worker: Worker,
    name: String,
    results: Option<Results>,
}

impl Member {
    /// Writes its name into what it measures.
    pub(crate) fn sign(&self, experiment: &mut Experiment) {
        experiment.name = format!("{}_{}", experiment.name, self.name);
        experiment.machine.worker = Some(self.name.clone());
    }

    /// Waits until all machines start a run.
    pub(crate) async fn ready(&mut self, run: u32) -> Result<()> {
        Ok(self.worker.ready(run).await?)
    }

    /// Keeps what is to be handed over.
    pub(crate) fn measured(&mut self, results: Results) {
        self.results = Some(results);
    }
}

/// The variable that holds the secret.
const SECRET: &str = "POLYLLM_BENCH_SECRET";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_from_elsewhere_is_one_part_of_a_path() {
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
