//! Prints the output of a model, for users or as JSON.

use std::borrow::Cow;

use anyhow::Result;
use polyllm::provider::Progress;
use polyllm::provider::endpoint::StreamingRequest;
use polyllm::{ReplyEvent, ReplyStream, RequestBuilder};

use crate::output::{Colour, Printed, can_redraw, note, print, print_json, redraw};

/// Sends `request` and prints the reply: as it arrives if `stream`, as JSON if `json`.
///
/// `text` returns the text of a reply.
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
        if text.is_empty() {
            note_empty();
        }
    }
    Ok(())
}

async fn show_stream(stream: ReplyStream, json: bool) -> Result<()> {
    let mut in_line = false;
    let shown = print_stream(stream, json, &mut in_line).await;
    // The next output, such as an error or a prompt, starts on its own line.
    if in_line {
        print("\n")?;
    }
    shown
}

/// Prints a stream. `in_line` is set while the last line is open, also after a failure.
async fn print_stream(mut stream: ReplyStream, json: bool, in_line: &mut bool) -> Result<()> {
    let mut waiting = ProgressLine::default();
    let mut has_output = false;
    while let Some(event) = stream.next().await {
        let printed = match event? {
            ReplyEvent::Progress(progress) => {
                // The progress line would overwrite a line that is being written.
                if !has_output {
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
        has_output = true;
    }
    // A reply without text is an empty line.
    if !json && !has_output {
        *in_line = true;
        note_empty();
    }
    Ok(())
}

/// A reply may consist of tool calls or a refusal.
fn note_empty() {
    note(
        "note",
        Colour::Yellow,
        "the reply has no text; --json prints all of it",
    );
}

/// The line on a terminal that shows the progress of a booting model.
#[derive(Default)]
pub(crate) struct ProgressLine {
    shown: bool,
}

impl ProgressLine {
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

/// Clears the line, whether the wait ends with a reply or an error.
impl Drop for ProgressLine {
    fn drop(&mut self) {
        self.clear();
    }
}
