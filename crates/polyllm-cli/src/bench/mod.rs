//! `polyllm bench`: options in, a sweep of runs, a folder of reports out.

pub(crate) mod args;
mod calibrate;
mod live;
mod setup;
mod sweep;

use std::process::ExitCode;

use anyhow::Result;
use tokio::sync::watch;

use crate::output::{Colour, note};
use crate::signal;

/// Measures as asked, or this client only.
pub(crate) async fn run(args: args::Bench) -> Result<ExitCode> {
    let interrupts = watch_interrupts();
    if args.measuring.calibrate {
        return calibrate::run(&args, interrupts).await;
    }
    sweep::run(args, interrupts).await
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
