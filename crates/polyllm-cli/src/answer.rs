//! What a model writes, as a person or a script sees it.

use std::borrow::Cow;
use std::io::{IsTerminal, Write, stderr};

use anyhow::Result;
use llm_provider::{ReplyEvent, ReplyStream, StreamingOperation};
use polyllm::Request;
use polyllm::provider::Progress;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::output::{Printed, coloured, print, print_json};

/// Sends `request` and prints the answer: as it arrives if `stream`, as JSON if `json`.
///
/// `whole` and `piece` find the text of an answer and of a chunk.
pub(crate) async fn show<R: StreamingOperation>(
    request: Request<'_, R>,
    stream: bool,
    json: bool,
    whole: impl Fn(&R::Response) -> Option<Cow<'_, str>>,
    piece: impl Fn(&R::Chunk) -> Option<&str>,
) -> Result<()> {
    if stream {
        return show_stream(request.stream().await?, json, piece).await;
    }
    let reply = request.reply().await?;
    if json {
        print_json(&reply.body)?;
    } else {
        let text = whole(reply.body.value()?).unwrap_or_default();
        print(format_args!("{text}\n"))?;
    }
    Ok(())
}

async fn show_stream<T: DeserializeOwned + Serialize>(
    stream: ReplyStream<T>,
    json: bool,
    piece: impl Fn(&T) -> Option<&str>,
) -> Result<()> {
    let mut in_line = false;
    let shown = pour(stream, json, piece, &mut in_line).await;
    // What comes next, be it an error or a prompt, has a line of its own.
    if in_line {
        print("\n")?;
    }
    shown
}

/// Prints a stream; `in_line` tells, also after a failure, whether the last line is open.
async fn pour<T: DeserializeOwned + Serialize>(
    mut stream: ReplyStream<T>,
    json: bool,
    piece: impl Fn(&T) -> Option<&str>,
    in_line: &mut bool,
) -> Result<()> {
    let mut waiting = Waiting::default();
    let mut said = false;
    while let Some(event) = stream.next().await {
        let printed = match event? {
            ReplyEvent::Progress(progress) => {
                waiting.show(&progress);
                continue;
            }
            ReplyEvent::Chunk(chunk) if json => print_json(&chunk)?,
            ReplyEvent::Chunk(chunk) => match piece(chunk.value()?) {
                Some(text) if !text.is_empty() => {
                    waiting.clear();
                    *in_line = !text.ends_with('\n');
                    print(text)?
                }
                _ => continue,
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
        if stderr().is_terminal() {
            let seconds = progress.elapsed.as_secs();
            let (dim, end) = if coloured(&stderr()) {
                ("\u{1b}[2m", "\u{1b}[0m")
            } else {
                ("", "")
            };
            let _ = write!(
                stderr(),
                "\r{dim}{}, {seconds} s{end}\u{1b}[K",
                progress.status
            );
            self.shown = true;
        }
    }

    fn clear(&mut self) {
        if std::mem::take(&mut self.shown) {
            let _ = write!(stderr(), "\r\u{1b}[K");
        }
    }
}

/// Whatever ends the waiting, an error too, finds the line empty.
impl Drop for Waiting {
    fn drop(&mut self) {
        self.clear();
    }
}
