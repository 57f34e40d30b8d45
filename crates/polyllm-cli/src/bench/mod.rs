//! `polyllm bench`: options in, a sweep of runs, a folder of reports out.

pub(crate) mod after;
pub(crate) mod allowed;
pub(crate) mod args;
mod calibrate;
mod compare;
mod limits;
mod live;
mod parts;
mod plan;
mod report;
mod setup;
mod sweep;
mod together;

use std::process::ExitCode;

use anyhow::Result;
use tokio::sync::watch;

use crate::bench::after::After;
use crate::bench::allowed::Allowed;
use crate::output::{self, Colour, note};
use crate::signal;

/// Measures as asked, or this client only; or does something with measurements.
pub(crate) async fn run(args: args::Bench) -> Result<ExitCode> {
    match dispatch(args).await {
        Err(error) if is_misuse(&error) => {
            output::fail(&error);
            Ok(ExitCode::from(MISUSED))
        }
        done => done,
    }
}

/// Whether an option's value is at fault.
fn is_misuse(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        matches!(cause.downcast_ref(), Some(llm_bench::Error::Usage { .. }))
            || cause.is::<llm_bench::summary::ObjectiveError>()
            || cause.is::<parts::Missing>()
    })
}

async fn dispatch(args: args::Bench) -> Result<ExitCode> {
    match &args.after {
        Some(After::Compare(compare)) => return compare::run(compare),
        Some(After::Merge(merge)) => return report::merge(merge),
        Some(After::Report(report)) => return report::run(report),
        Some(After::Worker(worker)) => return together::work(worker, watch_interrupts()).await,
        None => {}
    }
    if let Some(coordinator) = &args.together.coordinator {
        return together::lead(&args, coordinator, watch_interrupts()).await;
    }
    limits::check(&args)?;
    parts::check(&args)?;
    let interrupts = watch_interrupts();
    if args.measuring.calibrate {
        return calibrate::run(&args, interrupts).await;
    }
    sweep::run(args, &Allowed::all(), interrupts, None).await
}

/// Counts how often somebody wants it to end: once in good order, twice at once.
fn watch_interrupts() -> watch::Receiver<u32> {
    let (count, interrupts) = watch::channel(0);
    let mut stop = Box::pin(signal::stop());
    tokio::spawn(async move {
        loop {
            stop.await;
            stop = Box::pin(signal::stop());
            count.send_modify(|count| *count += 1);
            let text = match *count.borrow() {
                1 => "waiting for requests under way; once more gives them up",
                _ => "requests under way are given up",
            };
            note("stopping", Colour::Yellow, text);
        }
    });
    interrupts
}

const INTERRUPTED: u8 = 130;

const MISUSED: u8 = 2;
