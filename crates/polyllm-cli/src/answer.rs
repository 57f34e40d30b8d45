//! What a model writes, as a person or a script sees it.

use std::borrow::Cow;

use anyhow::Result;
use polyllm::provider::Progress;
use polyllm::provider::endpoint::StreamingRequest;
use polyllm::{ReplyEvent, ReplyStream, RequestBuilder};

use crate::output::{Printed, can_redraw, print, print_json, redraw};

/// Sends `request` and prints the answer: as it arrives if `stream`, as JSON if `json`.
///
/// `text` finds the text of an answer.
pub(crate) async fn show<R: StreamingRequest>(
    request: RequestBuilder<'_, R>,
    stream: bool,
    json: bool,
    text: impl Fn(&R::Response) -> Option<Cow<'_, str>>,
) -> Result<()> {
    if stream {
        return show_stream(request.stream().await?, json).await;
    }
    let reply = request.reply().await?;
    if json {
        print_json(&reply.body)?;
    } else {
        let response = reply.read()?;
        let text = text(&response).unwrap_or_default();
        print(format_args!("{text}\n"))?;
    }
    Ok(())
}

async fn show_stream(stream: ReplyStream, json: bool) -> Result<()> {
    let mut in_line = false;
    let shown = pour(stream, json, &mut in_line).await;
    // What comes next, be it an error or a prompt, has a line of its own.
    if in_line {
        print("\n")?;
    }
    shown
}

/// Prints a stream; `in_line` tells, also after a failure, whether the last line is open.
async fn pour(mut stream: ReplyStream, json: bool, in_line: &mut bool) -> Result<()> {
    let mut waiting = Waiting::default();
    let mut said = false;
    while let Some(event) = stream.next().await {
        let printed = match event? {
            ReplyEvent::Progress(progress) => {
                // It would take the place of a line that is still being written.
                if !said {
                    waiting.show(&progress);
                }
                continue;
            }
            ReplyEvent::Chunk(chunk) if json => print_json(chunk.body())?,
            ReplyEvent::Chunk(chunk) => match chunk.text()? {
                Some(text) => {
                    waiting.clear();
                    *in_line = !text.ends_with('\n');
                    print(text)?
                }
                None => continue,
            },
            _ => continue,
        };
        if printed == Printed::ReaderGone {
            return Ok(());
        }
        said = true;
    }
    // An answer without text is an empty line.
    *in_line |= !json && !said;
    Ok(())
}

/// The line that tells, on a terminal, that a model is still booting.
#[derive(Default)]
pub(crate) struct Waiting {
    shown: bool,
}

impl Waiting {
    pub(crate) fn show(&mut self, progress: &Progress) {
        if can_redraw() {
            let seconds = progress.elapsed.as_secs();
            redraw(&[format!("{}, {seconds} s", progress.status)]);
            self.shown = true;
        }
    }

    fn clear(&mut self) {
        if std::mem::take(&mut self.shown) {
            redraw(&[]);
        }
    }
}

/// Whatever ends the waiting, an error too, finds the line empty.
impl Drop for Waiting {
    fn drop(&mut self) {
        self.clear();
    }
}
