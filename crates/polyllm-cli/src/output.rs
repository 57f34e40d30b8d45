//! What a person sees: errors, colour, logs. Colour only on a terminal, and never with NO_COLOR.

use std::env;
use std::fmt::Display;
use std::io::{IsTerminal, Write, stderr, stdout};
use std::mem;
use std::process::ExitCode;
use std::sync::{Mutex, PoisonError};

use anyhow::Result;
use llm_provider::Json;
use serde::Serialize;
use tracing_subscriber::EnvFilter;

/// Prints an error with its causes, and the exit status that goes with it.
pub(crate) fn fail(error: &anyhow::Error) -> ExitCode {
    let mut text = error.to_string();
    for cause in error.chain().skip(1) {
        let cause = cause.to_string();
        // Many errors already say what caused them.
        if !text.contains(&cause) {
            text.push_str(": ");
            text.push_str(&cause);
        }
    }
    note("error", Colour::Red, text);
    ExitCode::FAILURE
}

/// Prints `label: text` on standard error.
pub(crate) fn note(label: &str, colour: Colour, text: impl Display) {
    let (start, end) = if coloured(&stderr()) {
        (colour.code(), RESET)
    } else {
        ("", "")
    };
    let mut drawn = DRAWN.lock().unwrap_or_else(PoisonError::into_inner);
    let over = over(mem::take(&mut drawn));
    // Nobody is left to tell when standard error is closed.
    let _ = writeln!(stderr(), "{over}{start}{label}:{end} {text}");
}

/// Draws lines on a terminal, on standard error, over those that were drawn before. A note takes
/// their place, and they come again below it.
pub(crate) fn redraw(lines: &[String]) {
    let mut drawn = DRAWN.lock().unwrap_or_else(PoisonError::into_inner);
    let mut text = over(mem::replace(&mut drawn, lines.len()));
    // A line that is wrapped would be two: what does not fit is cut off by the terminal.
    text.push_str("\u{1b}[?7l");
    for line in lines {
        text.extend(line.chars().filter(|c| !c.is_control()));
        text.push('\n');
    }
    text.push_str("\u{1b}[?7h");
    let _ = stderr().lock().write_all(text.as_bytes());
}

/// How many lines at the end of the screen [`redraw`] has drawn.
static DRAWN: Mutex<usize> = Mutex::new(0);

/// Goes to the first of so many lines, and clears them.
fn over(drawn: usize) -> String {
    match drawn {
        0 => String::new(),
        drawn => format!("\u{1b}[{drawn}A\r\u{1b}[J"),
    }
}

/// Prints on standard output; a reader that has gone away (`| head`) is no failure.
pub(crate) fn print(text: impl Display) -> Result<Printed> {
    let mut out = stdout().lock();
    match write!(out, "{text}").and_then(|()| out.flush()) {
        Ok(()) => Ok(Printed::Yes),
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(Printed::ReaderGone),
        Err(error) => Err(error.into()),
    }
}

/// Prints a document on a line of its own, byte for byte as it came.
pub(crate) fn print_json<T: Serialize>(json: &Json<T>) -> Result<Printed> {
    print(format_args!("{}\n", String::from_utf8_lossy(json.bytes())))
}

/// Whether there still is a reader.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Printed {
    Yes,
    ReaderGone,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Colour {
    Green,
    Red,
    Yellow,
}

impl Colour {
    fn code(self) -> &'static str {
        match self {
            Self::Green => "\u{1b}[32m",
            Self::Red => "\u{1b}[1;31m",
            Self::Yellow => "\u{1b}[1;33m",
        }
    }
}

/// A text in a colour, where a stream shows colours.
pub(crate) fn painted(text: &str, colour: Colour, stream: &impl IsTerminal) -> String {
    if coloured(stream) {
        format!("{}{text}{RESET}", colour.code())
    } else {
        text.to_owned()
    }
}

pub(crate) fn coloured(stream: &impl IsTerminal) -> bool {
    stream.is_terminal() && env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// Logs to standard error: warnings, and more with each `-v`. `POLYLLM_LOG` overrides.
pub(crate) fn log(verbose: u8) {
    let default = match verbose {
        0 => "warn",
        1 => "info",
        2 => "info,llm_gateway=debug,llm_router=debug,llm_provider=debug",
        _ => "debug",
    };
    let filter = EnvFilter::try_from_env("POLYLLM_LOG").unwrap_or_else(|_| EnvFilter::new(default));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(stderr)
        .with_ansi(coloured(&stderr()))
        .with_target(verbose > 1)
        .init();
}

/// Rows under each other, in columns as wide as needed; from the column `right` on, words are at the
/// right.
pub(crate) fn table(rows: &[Vec<String>], right: usize) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or_default();
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max()
    };
    let widths: Vec<usize> = (0..columns).filter_map(width).collect();
    let mut table = String::new();
    for row in rows {
        let cells = row.iter().zip(&widths).enumerate();
        let cells = cells.map(|(column, (cell, &width))| match column < right {
            true => format!("{cell:width$}"),
            false => format!("{cell:>width$}"),
        });
        let line = cells.collect::<Vec<_>>().join("  ");
        table.push_str(line.trim_end());
        table.push('\n');
    }
    table
}

const RESET: &str = "\u{1b}[0m";
