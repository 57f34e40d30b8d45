use std::pin::pin;
use std::process::ExitCode;

use anyhow::{Result, bail};
use futures_util::TryStreamExt;
use polyllm::provider::Progress;
use polyllm::replicate::manage::{Client, Status};
use tokio::time::Instant;

use crate::answer::Waiting;
use crate::output::{Colour, can_redraw, note, print, tell};
use crate::signal::{self, INTERRUPTED};

/// Waits for a prediction, tells how far it is, and prints what it gave.
pub(crate) async fn run(
    client: &Client,
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
                note("note", Colour::Yellow, format_args!("the prediction {id} was told to stop: {status}"));
            } else {
                let cancel = format!("polyllm replicate predictions cancel {id}");
                note("note", Colour::Yellow, format_args!("the prediction goes on; to stop it: {cancel}"));
            }
            Ok(ExitCode::from(INTERRUPTED))
        }
    }
}

async fn watch(client: &Client, id: &str, json: bool) -> Result<()> {
    // An unknown id fails here. The watch would ask again: a new prediction may be listed late.
    client.prediction(id).await?;
    let begun = Instant::now();
    let mut looks = pin!(client.watch_prediction(id));
    let mut waiting = Waiting::default();
    let mut before: Option<Status> = None;
    while let Some(prediction) = looks.try_next().await? {
        if !prediction.status.is_terminal() {
            let status = &prediction.status.0;
            if can_redraw() {
                waiting.show(&Progress::new(status, begun.elapsed()));
            } else if before.as_ref() != Some(&prediction.status) {
                tell(format_args!("{status}, {} s", begun.elapsed().as_secs()));
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
            let why = super::show::plain(&prediction.error);
            let status = &prediction.status.0;
            bail!("the prediction {id} was not successful: {status} {why}");
        }
        return Ok(());
    }
    bail!("the prediction {id} was lost track of")
}
