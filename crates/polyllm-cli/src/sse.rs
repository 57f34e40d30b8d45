use std::fs::File;
use std::io::{Read, stdin};
use std::process::ExitCode;

use anyhow::{Context, Result};
use serde_json::{Value, json};
use sse_codec::{Decoder, Event, Kind, LimitExceeded};

use crate::args;
use crate::output::{Colour, Printed, note, print};

/// Prints each event as a line of JSON, as soon as it is complete.
pub(crate) fn run(args: &args::Sse) -> Result<ExitCode> {
    let mut input: Box<dyn Read> = match &args.file {
        Some(path) => {
            Box::new(File::open(path).with_context(|| format!("cannot open {}", path.display()))?)
        }
        None => Box::new(stdin().lock()),
    };
    let mut decoder = Decoder::new()
        .with_comments(args.comments)
        .with_empty_events(true);
    let mut buffer = vec![0; 64 << 10];
    let mut too_long = 0_usize;
    loop {
        let read = input
            .read(&mut buffer)
            .context("cannot read the event stream")?;
        if read == 0 {
            break;
        }
        let mut rest = &buffer[..read];
        while let Some(event) = decoder.next(&mut rest) {
            if show(event, &mut too_long)? == Printed::ReaderGone {
                return Ok(status(too_long));
            }
        }
    }
    if let Some(tail) = decoder.finish() {
        show(tail, &mut too_long)?;
    }
    Ok(status(too_long))
}

fn status(too_long: usize) -> ExitCode {
    match too_long {
        0 => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    }
}

fn show(event: Result<Event<'_>, LimitExceeded>, too_long: &mut usize) -> Result<Printed> {
    match event {
        Ok(event) => print(format_args!("{}\n", as_json(&event))),
        Err(error) => {
            *too_long += 1;
            note("error", Colour::Red, error);
            Ok(Printed::Yes)
        }
    }
}

fn as_json(event: &Event<'_>) -> Value {
    if event.kind() == Kind::Comment {
        return json!({ "comment": event.text() });
    }
    let mut line = json!({ "event": event.name(), "data": event.text(), "id": event.id() });
    if let Some(retry) = event.retry() {
        line["retry"] = retry.into();
    }
    if event.kind() == Kind::Incomplete {
        line["incomplete"] = true.into();
    }
    line
}
