use std::pin::pin;
use std::process::ExitCode;

use anyhow::{Result, bail};
use futures_util::TryStreamExt;
use polyllm::provider::Progress;
use polyllm::replicate::manage::{PredictionStatus, ReplicateClient};
use tokio::time::Instant;

use crate::output::{Colour, can_redraw, note, print, print_message};
use crate::reply::ProgressLine;
use crate::signal::{self, INTERRUPTED};

/// Waits for a prediction, shows its progress and prints its output.
pub(crate) async fn run(
    client: &ReplicateClient,
    id: &str,
    cancel_on_interrupt: bool,
    json: bool,
) -> Result<ExitCode> {
    let stopped = signal::stop();
    tokio::select! {
        done = watch(client, id, json) => done.map(|()| ExitCode::SUCCESS),
        () = stopped => {
            if cancel_on_interrupt {
                let status = client.cancel_prediction(id).await?.status.0;
                note("note", Colour::Yellow, format_args!("the prediction {id} was cancelled: {status}"));
            } else {
                let cancel = format!("polyllm replicate predictions cancel {id}");
                note("note", Colour::Yellow, format_args!("the prediction continues; to cancel it: {cancel}"));
            }
            Ok(ExitCode::from(INTERRUPTED))
        }
    }
}

async fn watch(client: &ReplicateClient, id: &str, json: bool) -> Result<()> {
    // An unknown id fails here. The watch would ask again: a new prediction may be listed late.
    client.prediction(id).await?;
    let begun = Instant::now();
    let mut updates = pin!(client.watch_prediction(id));
    let mut waiting = ProgressLine::default();
    let mut before: Option<PredictionStatus> = None;
    while let Some(prediction) = updates.try_next().await? {
        if !prediction.status.is_terminal() {
            let status = &prediction.status.0;
            if can_redraw() {
                waiting.show(&Progress::new(status, begun.elapsed()));
            } else if before.as_ref() != Some(&prediction.status) {
                print_message(format_args!("{status}, {} s", begun.elapsed().as_secs()));
            }
            before = Some(prediction.status);
            continue;
        }
        drop(waiting);
        if json {
            super::line(&prediction)?;
        } else if prediction.status.is_success() {
            print(format_args!("{}\n", super::show::text(&prediction)))?;
        }
        if !prediction.status.is_success() {
            let error = super::show::plain(&prediction.error);
            let status = &prediction.status.0;
            bail!("the prediction {id} failed: {status} {error}");
        }
        return Ok(());
    }
    bail!("the end of the prediction {id} is unknown")
}
