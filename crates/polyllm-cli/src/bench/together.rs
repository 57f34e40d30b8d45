//! Several machines: one leads, the others measure at one time.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::Parser;
use llm_bench::coordinator::{Leader, Step, Worker};
use llm_bench::report::{Folder, Results, markdown};
use llm_bench::{Experiment, Interrupts};

use crate::args::{Args, Command};
use crate::bench::after;
use crate::bench::args::Bench;
use crate::bench::sweep;
use crate::output::{Colour, note, print};

/// Has workers measure what the arguments say, and writes what they measured as one experiment.
pub(crate) async fn lead(args: &Bench, coordinator: &str) -> Result<ExitCode> {
    let workers = usize::from(args.together.workers.unwrap_or(1));
    let session = &args.together.session;
    let base = args.output.experiment_base_dir.clone().unwrap_or_default();
    if let Some(name) = &args.output.experiment_folder_name
        && base.join(name).join("experiment_metadata.json").exists()
    {
        bail!("{} holds an experiment already", base.join(name).display());
    }
    note(
        "waiting",
        Colour::Yellow,
        format_args!("for workers at session {session}, {workers} in all"),
    );
    let arguments = for_workers(std::env::args().skip(1));
    let leader = Leader::gather(
        coordinator,
        session,
        arguments,
        workers,
        args.together.patience,
    )
    .await?;
    note(
        "measuring",
        Colour::Green,
        leader.workers().collect::<Vec<_>>().join(", "),
    );
    let parts = leader
        .conduct(|step| match step {
            Step::Started { run } => {
                note("started", Colour::Green, format_args!("run {}", run + 1))
            }
            Step::Finished { worker } => note("finished", Colour::Green, worker),
            _ => {}
        })
        .await?;
    let mut results = llm_bench::merge::merge(&parts)?;
    if let Some(name) = &args.output.experiment_folder_name {
        results.experiment.name.clone_from(name);
    }
    write(&base.join(&results.experiment.name), &results)
}

fn write(path: &std::path::Path, results: &Results) -> Result<ExitCode> {
    let folder = Folder::create(path, &results.experiment)
        .with_context(|| format!("cannot write to {}", path.display()))?;
    for run in &results.runs {
        folder.add_summary(&results.experiment, run)?;
    }
    folder.write_reports(results)?;
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

/// What the workers are told: all that is not about this machine. Keys are left out by the
/// leader itself.
fn for_workers(arguments: impl Iterator<Item = String>) -> Vec<String> {
    let mut kept = Vec::new();
    let mut arguments = arguments.skip_while(|argument| argument != "bench").skip(1);
    while let Some(argument) = arguments.next() {
        let name = argument.split('=').next().unwrap_or_default();
        if !OF_THE_LEADER.contains(&name) {
            kept.push(argument);
        } else if name == argument {
            arguments.next();
        }
    }
    kept
}

/// Measures what a leader says, once.
pub(crate) async fn work(args: &after::Worker, interrupts: Interrupts) -> Result<ExitCode> {
    note(
        "waiting",
        Colour::Yellow,
        format_args!("for a leader at session {}", args.session),
    );
    let mut stopped = interrupts.clone();
    let joined = tokio::select! {
        joined = Worker::join(&args.coordinator, &args.session, &args.name) => joined,
        _ = stopped.wait_for(|count| *count > 0) => return Ok(ExitCode::from(super::INTERRUPTED)),
    };
    let (worker, arguments) = joined?;
    let mut member = Member {
        worker,
        name: args.name.clone(),
        results: None,
    };
    let measured = async {
        let arguments = ["polyllm".to_owned(), "bench".to_owned()]
            .into_iter()
            .chain(arguments);
        // clap's own message would name this command instead of the leader's.
        let Command::Bench(mut bench) = Args::try_parse_from(arguments)?.command else {
            bail!("the leader asks for something other than a benchmark");
        };
        if bench.after.is_some() || bench.measuring.calibrate {
            bail!("the leader asks for something other than a benchmark");
        }
        bench.output.experiment_base_dir = Some(args.experiment_base_dir.clone());
        sweep::run(*bench, interrupts, Some(&mut member)).await
    };
    let measured = measured.await;
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

/// Options about the leader and its machine.
const OF_THE_LEADER: [&str; 6] = [
    "--coordinator",
    "--experiment-base-dir",
    "--experiment-folder-name",
    "--patience",
    "--session",
    "--workers",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workers_are_told_what_to_measure_and_nothing_else() {
        let line = "polyllm -v bench --coordinator redis://h --workers=2 --api-model-name m \
                    --experiment-folder-name f --num-concurrency 1,2 --session s";
        let told = for_workers(line.split_whitespace().map(str::to_owned));
        assert_eq!(told, ["--api-model-name", "m", "--num-concurrency", "1,2"]);
    }
}
