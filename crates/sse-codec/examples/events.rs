//! Prints the events of a stream as they arrive:
//!
//! `curl -sN https://example.com/stream | cargo run -p sse-codec --example events`

use std::io::{self, Read, Write};

use sse_codec::{Decoder, Kind};

fn main() -> io::Result<()> {
    let mut input = io::stdin().lock();
    let mut output = io::stdout().lock();
    let mut decoder = Decoder::new().with_comments(true).with_empty_events(true);
    let mut buffer = vec![0; 16 << 10];
    loop {
        let len = input.read(&mut buffer)?;
        let mut read = &buffer[..len];
        while let Some(item) = decoder.next(&mut read) {
            match item {
                Ok(event) if event.kind() == Kind::Comment => {
                    writeln!(output, "({})", event.text())?;
                }
                Ok(event) => writeln!(output, "{} {}: {}", event.id(), event.name(), event.text())?,
                Err(error) => writeln!(output, "discarded an event: {error}")?,
            }
        }
        output.flush()?;
        if len == 0 {
            break;
        }
    }
    match decoder.finish() {
        Some(Ok(event)) => writeln!(output, "incomplete: {} {}", event.name(), event.text()),
        Some(Err(error)) => writeln!(output, "discarded an event: {error}"),
        None => Ok(()),
    }
}
