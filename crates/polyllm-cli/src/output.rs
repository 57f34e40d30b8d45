//! Prints to standard output and standard error. No other module accesses them (`tests/printer.rs`
//! checks it).
//!
//! - Text may come from a provider or another untrusted source. On a terminal, and always on standard
//!   error, its control characters are escaped; a pipe receives standard output unchanged.
//! - Colours are used only on a terminal, without `NO_COLOR` and `TERM=dumb`.
//! - A closed pipe (`| head`) is not a failure.

use std::borrow::Cow;
use std::env;
use std::fmt::Display;
use std::io::{self, IsTerminal, Stderr, Write, stderr, stdout};
use std::mem;
use std::process::ExitCode;
use std::sync::{LazyLock, Mutex, PoisonError};

use anyhow::{Context, Result};
use clap::error::{ContextKind, ContextValue};
use llm_provider::text::{excerpt, printable, printable_lines};
use llm_provider::{Document, Error};

use crate::log;

/// A misuse of the command line that its parser cannot find: exit status 2.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Misuse(pub(crate) String);

/// Prints an error with its causes, and returns the exit status of a failure or a misuse.
pub(crate) fn fail(error: &anyhow::Error) -> ExitCode {
    note("error", Colour::Red, message(error));
    match error.is::<Misuse>() {
        true => ExitCode::from(2),
        false => ExitCode::FAILURE,
    }
}

/// An error with its causes as one text, without control characters.
pub(crate) fn message(error: &anyhow::Error) -> String {
    let mut text = String::new();
    for cause in error.chain() {
        let shown = cause.to_string();
        // A provider's error is one sentence: line ends in it come from the upstream.
        let shown = match cause.is::<Error>() {
            true => printable(&shown),
            false => printable_lines(&shown),
        };
        // Many errors already contain their cause.
        if text.contains(&*shown) {
            continue;
        }
        if !text.is_empty() {
            text.push_str(": ");
        }
        text.push_str(&bounded(&shown, MAX_CAUSE));
    }
    text
}

/// Prints the result of the command line parser: help, the version or a usage error.
pub(crate) fn usage(mut error: clap::Error) -> ExitCode {
    // Quoted arguments can be of any length.
    let cut: Vec<_> = error.context().filter_map(shortened).collect();
    for (kind, value) in cut {
        error.insert(kind, value);
    }
    let text = error.render().to_string();
    if error.use_stderr() {
        print_message(text.trim_end());
    } else if let Err(error) = print(text) {
        return fail(&error);
    }
    u8::try_from(error.exit_code()).map_or(ExitCode::FAILURE, ExitCode::from)
}

fn shortened((kind, value): (ContextKind, &ContextValue)) -> Option<(ContextKind, ContextValue)> {
    let value = match value {
        ContextValue::String(text) => ContextValue::String(excerpt(text).into_owned()),
        ContextValue::Strings(texts) => ContextValue::Strings(
            texts
                .iter()
                .map(|text| excerpt(text).into_owned())
                .collect(),
        ),
        _ => return None,
    };
    Some((kind, value))
}

/// Prints `label: text` on standard error.
///
/// In a log in JSON, it is a line of the log.
pub(crate) fn note(label: &str, colour: Colour, text: impl Display) {
    if log::is_json() {
        let level = if colour == Colour::Red {
            "ERROR"
        } else {
            "WARN"
        };
        write_line(&log::message(
            level,
            &format!("{label}: {}", readable(text)),
        ));
        return;
    }
    let (start, end) = if errors_are_coloured() {
        (colour.code(), RESET)
    } else {
        ("", "")
    };
    write_line(&format!("{start}{label}:{end} {}", readable(text)));
}

/// Prints one or several lines on standard error.
pub(crate) fn print_message(text: impl Display) {
    if log::is_json() {
        write_line(&log::message("WARN", &readable(text)));
        return;
    }
    write_line(&readable(text));
}

/// The text without control characters and with shortened lines: they may quote an argument or a
/// file.
fn readable(text: impl Display) -> String {
    let text = text.to_string();
    let text = printable_lines(&text);
    let lines = text.split('\n').map(|line| bounded(line, MAX_LINE));
    lines.collect::<Vec<_>>().join("\n")
}

/// The text, or its first `max` bytes.
fn bounded(text: &str, max: usize) -> Cow<'_, str> {
    match text.floor_char_boundary(max) {
        end if end < text.len() => format!("{}…", &text[..end]).into(),
        _ => text.into(),
    }
}

fn write_line(line: &str) {
    let mut drawn = DRAWN.lock().unwrap_or_else(PoisonError::into_inner);
    let over = over(mem::take(&mut drawn));
    // A closed standard error cannot be reported.
    let _ = writeln!(stderr(), "{over}{line}");
}

/// Whether [`redraw`] is possible: standard error is a terminal that can move its cursor.
pub(crate) fn can_redraw() -> bool {
    stderr().is_terminal() && env::var_os("TERM").is_some_and(|term| term != "dumb")
}

/// Draws lines on the terminal of standard error in place of those drawn before. A note replaces
/// them until the next call.
pub(crate) fn redraw(lines: &[String]) {
    let mut drawn = DRAWN.lock().unwrap_or_else(PoisonError::into_inner);
    let mut text = over(mem::replace(&mut drawn, lines.len()));
    // A wrapped line would count as two, so the terminal cuts long lines off.
    text.push_str("\u{1b}[?7l");
    for line in lines {
        text.push_str(&printable(line));
        text.push('\n');
    }
    text.push_str("\u{1b}[?7h");
    let _ = stderr().lock().write_all(text.as_bytes());
}

/// The number of lines that [`redraw`] has drawn at the end of the screen.
static DRAWN: Mutex<usize> = Mutex::new(0);

/// The escape sequence that moves to the first of the drawn lines and clears them.
fn over(drawn: usize) -> String {
    match drawn {
        0 => String::new(),
        drawn => format!("\u{1b}[{drawn}A\r\u{1b}[J"),
    }
}

/// Prints on standard output.
pub(crate) fn print(text: impl Display) -> Result<Printed> {
    let mut out = stdout().lock();
    let written = write_text(&mut out, to_terminal(), text).and_then(|()| out.flush());
    match written {
        Ok(()) => Ok(Printed::Yes),
        Err(error) if is_reader_gone(&error, to_terminal()) => Ok(Printed::ReaderGone),
        Err(error) => Err(error).context("cannot write to standard output"),
    }
}

fn write_text(out: &mut impl Write, terminal: bool, text: impl Display) -> io::Result<()> {
    if terminal {
        out.write_all(printable_lines(&text.to_string()).as_bytes())
    } else {
        write!(out, "{text}")
    }
}

fn is_reader_gone(error: &io::Error, terminal: bool) -> bool {
    // A closed terminal fails with EIO. For a file, EIO is a failure.
    const EIO: i32 = 5;
    error.kind() == io::ErrorKind::BrokenPipe
        || (cfg!(unix) && terminal && error.raw_os_error() == Some(EIO))
}

/// Prints a document on one line, byte for byte as it arrived. If it has several lines, the white
/// space between tokens is removed.
pub(crate) fn print_json(document: &Document) -> Result<Printed> {
    let text = String::from_utf8_lossy(document.bytes());
    if text.contains(['\n', '\r']) {
        return print(format_args!("{}\n", on_one_line(&text)));
    }
    print(format_args!("{text}\n"))
}

/// JSON without white space between tokens.
fn on_one_line(json: &str) -> String {
    let (mut in_string, mut escaped) = (false, false);
    let kept = json.chars().filter(|&c| {
        let keep = in_string || !c.is_ascii_whitespace();
        match c {
            _ if escaped => escaped = false,
            '\\' if in_string => escaped = true,
            '"' => in_string = !in_string,
            _ => {}
        }
        keep
    });
    kept.collect()
}

/// Prints text with coloured words on standard output.
pub(crate) fn print_styled(text: &Styled) -> Result<Printed> {
    if !coloured(&stdout()) {
        let plain: String = text.0.iter().map(|(_, text)| &**text).collect();
        return print(plain);
    }
    for (colour, text) in &text.0 {
        let printed = match colour {
            None => print(text)?,
            Some(colour) => {
                let mut out = stdout().lock();
                // A failure here is repeated by the next `print`.
                let _ = write!(out, "{}{}{RESET}", colour.code(), printable_lines(text));
                Printed::Yes
            }
        };
        if printed == Printed::ReaderGone {
            return Ok(printed);
        }
    }
    print("")
}

/// Text for standard output with coloured parts.
#[derive(Debug, Default)]
pub(crate) struct Styled(Vec<(Option<Colour>, String)>);

impl Styled {
    pub(crate) fn push(&mut self, text: impl Display) {
        self.0.push((None, text.to_string()));
    }

    pub(crate) fn paint(&mut self, colour: Colour, text: impl Display) {
        self.0.push((Some(colour), text.to_string()));
    }
}

/// Stores whether standard output is a terminal: a terminal that is closed later looks like a file.
pub(crate) fn start() {
    LazyLock::force(&TERMINAL);
}

/// Whether standard output was a terminal at the [`start`].
pub(crate) fn to_terminal() -> bool {
    *TERMINAL
}

static TERMINAL: LazyLock<bool> = LazyLock::new(|| stdout().is_terminal());

/// The result of printing.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Printed {
    Yes,
    ReaderGone,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
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

/// Where the log goes.
pub(crate) fn log_stream() -> Stderr {
    stderr()
}

/// Whether text on standard error has colours.
pub(crate) fn errors_are_coloured() -> bool {
    coloured(&stderr())
}

fn coloured(stream: &impl IsTerminal) -> bool {
    stream.is_terminal()
        && env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
        && env::var_os("TERM").is_none_or(|term| term != "dumb")
}

/// Formats rows as a table. Columns from `right` on are aligned to the right. Control characters are
/// escaped, also for a pipe: a line end would forge a row.
pub(crate) fn table(rows: &[Vec<String>], right: usize) -> String {
    let rows: Vec<Vec<_>> = rows
        .iter()
        .map(|row| row.iter().map(|cell| printable(cell)).collect())
        .collect();
    let columns = rows.iter().map(Vec::len).max().unwrap_or_default();
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max()
    };
    let widths: Vec<usize> = (0..columns).filter_map(width).collect();
    let mut table = String::new();
    for row in &rows {
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

/// The longest text of one cause of an error, in bytes.
const MAX_CAUSE: usize = 1000;

/// The longest line on standard error, in bytes.
const MAX_LINE: usize = 4096;

#[cfg(test)]
mod tests {
    use anyhow::anyhow;
    use llm_provider::ErrorKind;

    use super::*;

    const UNTRUSTED: &str = "\u{1b}]0;title\u{7}a\u{9b}2J\r\tb\nc";

    #[test]
    fn control_characters_are_escaped_on_a_terminal_only() {
        let written = |terminal| {
            let mut out = Vec::new();
            write_text(&mut out, terminal, UNTRUSTED).unwrap();
            String::from_utf8(out).unwrap()
        };
        assert_eq!(written(false), UNTRUSTED);
        assert_eq!(written(true), "\\u{1b}]0;title\\u{7}a\\u{9b}2J\\r\tb\nc");
    }

    #[test]
    fn a_closed_pipe_and_a_closed_terminal_have_no_reader() {
        let broken = io::Error::from(io::ErrorKind::BrokenPipe);
        assert!(is_reader_gone(&broken, false));
        let eio = io::Error::from_raw_os_error(5);
        assert!(!is_reader_gone(&eio, false));
        assert_eq!(is_reader_gone(&eio, true), cfg!(unix));
        let full = io::Error::from(io::ErrorKind::StorageFull);
        assert!(!is_reader_gone(&full, true));
    }

    #[test]
    fn a_document_of_several_lines_is_printed_on_one() {
        let pretty = "{\n  \"a\": [1.50, 1e400,\r\n\t\"x \\\" \\\\\"],\n \"b\" : { } \n}\n";
        assert_eq!(
            on_one_line(pretty),
            "{\"a\":[1.50,1e400,\"x \\\" \\\\\"],\"b\":{}}"
        );
    }

    #[test]
    fn a_cell_of_a_table_cannot_forge_a_row() {
        let row = |cells: [&str; 2]| cells.map(str::to_owned).to_vec();
        let rows = [row(["a\nevil/model  9", "b\u{1b}[2J"]), row(["c", "d"])];
        let shown = table(&rows, 2);
        assert_eq!(
            shown,
            "a\\nevil/model  9  b\\u{1b}[2J\nc                 d\n"
        );
    }

    #[test]
    fn an_upstream_cannot_add_lines_to_an_error() {
        let error = Error::new(ErrorKind::UpstreamFailed, "no\nerror: all is well");
        let shown = message(&anyhow!(error).context("first\nsecond"));
        assert_eq!(shown, "first\nsecond: no\\nerror: all is well");
        let long: Result<()> = Err(anyhow!("é".repeat(MAX_CAUSE)));
        let shown = message(&long.context("cannot").unwrap_err());
        assert!(shown.ends_with('…') && shown.len() < MAX_CAUSE + 20);
    }
}
