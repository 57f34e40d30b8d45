//! `polyllm bench`: parses options, measures, and writes an experiment's folder.

pub(crate) mod args;
mod calibrate;
pub(crate) mod commands;
mod compare;
mod distributed;
mod features;
mod ineffective;
mod limits;
mod mlflow;
mod option_values;
pub(crate) mod permissions;
mod plan;
mod plot;
mod progress;
mod report;
mod setup;
mod sweep;
mod theirs;
mod trace;

use std::path::Path;
use std::process::ExitCode;

use anyhow::Result;
use llm_bench::{FolderError, FolderErrorKind};
use tokio::sync::watch;

use crate::bench::commands::BenchCommand;
use crate::bench::permissions::Permissions;
use crate::output::{self, Colour, note};
use crate::signal;

/// Runs the command: a measurement, a calibration, or a subcommand.
pub(crate) async fn run(args: args::Bench) -> Result<ExitCode> {
    match dispatch(args).await {
        Err(error) if is_usage_error(&error) => {
            output::fail(&error);
            Ok(ExitCode::from(USAGE_ERROR))
        }
        done => done,
    }
}

/// Whether the error is a usage error, which includes missing and invalid files. `NotAllowed` is not
/// one: the leader named the file, not the command line of this worker. Neither is `Unavailable`.
fn is_usage_error(error: &anyhow::Error) -> bool {
    use llm_bench::Error::{Dataset, Read, Usage};
    use llm_bench::coordinator::CoordinatorError as Coordinator;

    error.chain().any(|cause| {
        matches!(
            cause.downcast_ref(),
            Some(Dataset { .. } | Read { .. } | Usage { .. })
        ) || cause
            .downcast_ref::<FolderError>()
            .is_some_and(|error| error.kind() != FolderErrorKind::Io)
            || matches!(
                cause.downcast_ref(),
                Some(
                    Coordinator::Secret
                        | Coordinator::SecretFile { .. }
                        | Coordinator::Session(_)
                        | Coordinator::Unsupported(_)
                )
            )
            || cause.is::<Misuse>()
            || cause.is::<llm_bench::summary::ObjectiveError>()
            || cause.is::<features::MissingFeature>()
    })
}

/// A misuse that concerns no single option.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Misuse(String);

impl Misuse {
    /// The folder to write has results already.
    fn occupied(folder: &Path) -> Self {
        let folder = folder.display();
        Self(format!("{folder} already contains an experiment"))
    }
}

async fn dispatch(args: args::Bench) -> Result<ExitCode> {
    match &args.command {
        Some(BenchCommand::Compare(compare)) => return compare::run(compare),
        Some(BenchCommand::Excel(excel)) => return plot::excel(excel),
        Some(BenchCommand::Plot(options)) => return plot::plot(options),
        Some(BenchCommand::Merge(merge)) => return report::merge(merge),
        Some(BenchCommand::Report(report)) => return report::run(report).await,
        Some(BenchCommand::Trace(options)) => return trace::run(options),
        Some(BenchCommand::Worker(worker)) => {
            return distributed::work(worker, watch_interrupts()).await;
        }
        None => {}
    }
    if let Some(coordinator) = &args.distributed.coordinator {
        return distributed::lead(&args, coordinator, watch_interrupts()).await;
    }
    limits::check(&args)?;
    features::check(&args)?;
    args.theirs.note();
    ineffective::note_all(&args);
    let interrupts = watch_interrupts();
    if args.measuring.calibrate {
        return calibrate::run(&args, interrupts).await;
    }
    sweep::run(args, &Permissions::all(), interrupts, None).await
}

/// Counts interrupts: the first ends a run after a drain, the second at once.
fn watch_interrupts() -> watch::Receiver<u32> {
    let (count, interrupts) = watch::channel(0);
    let mut stop = Box::pin(signal::stop());
    tokio::spawn(async move {
        loop {
            stop.await;
            stop = Box::pin(signal::stop());
            count.send_modify(|count| *count += 1);
            let text = match *count.borrow() {
                1 => "waiting for running requests; interrupt again to cancel them",
                _ => "running requests are cancelled",
            };
            note("stopping", Colour::Yellow, text);
        }
    });
    interrupts
}

const INTERRUPTED: u8 = 130;

const USAGE_ERROR: u8 = 2;
