//! Runs the codec and the templates over the vectors in a folder: `cargo xtask help vectors`.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command talks to its terminal"
)]

mod sse;
mod templates;

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use serde_json::Value;

fn main() -> ExitCode {
    let Some(folder) = std::env::args_os().nth(1) else {
        eprintln!("usage: vectors DIR");
        return ExitCode::from(2);
    };
    match check(Path::new(&folder)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Prints every failure, and a line per file.
fn check(folder: &Path) -> Result<()> {
    let (mut files, mut failed) = (0, 0);
    for (name, prepare) in ENGINES {
        let path = folder.join(name);
        if !path.exists() {
            println!("{name}: skipped, there is none in {}", folder.display());
            continue;
        }
        let text = std::fs::read_to_string(&path)
            .with_context(|| format!("cannot read {}", path.display()))?;
        files += 1;
        failed += check_file(name, &text, &mut prepare(folder));
    }
    if files == 0 {
        bail!(
            "no file of vectors in {}; see cargo xtask help vectors",
            folder.display()
        );
    }
    if failed > 0 {
        bail!("{failed} vectors failed");
    }
    Ok(())
}

/// Runs one vector.
type Engine<'a> = Box<dyn FnMut(&Value) -> Result<(), Miss> + 'a>;

/// Prepares for the vectors of a file in this folder.
type Prepare = fn(&Path) -> Engine<'_>;

const ENGINES: &[(&str, Prepare)] = &[
    ("sse.jsonl", |_| Box::new(sse::check)),
    ("custom_templates.jsonl", |_| Box::new(templates::custom)),
    ("families.jsonl", |_| Box::new(templates::family)),
    ("chat_templates.jsonl", |folder| {
        let mut compiled = templates::Compiled::default();
        Box::new(move |vector| compiled.check(folder, vector))
    }),
];

/// What a vector wanted and what came instead.
#[derive(Debug, Eq, PartialEq)]
struct Miss {
    wanted: String,
    got: String,
}

impl Miss {
    fn new(wanted: impl Into<String>, got: impl Into<String>) -> Self {
        Self {
            wanted: wanted.into(),
            got: got.into(),
        }
    }

    /// For a line that is no vector of its kind.
    fn lacks(what: &str) -> Self {
        Self::new(format!("a vector with {what}"), "one without")
    }
}

fn check_file(name: &str, text: &str, engine: &mut Engine<'_>) -> usize {
    let (mut passed, mut failed) = (0, 0);
    for (at, line) in text
        .lines()
        .enumerate()
        .filter(|(_, line)| !line.trim().is_empty())
    {
        let (id, outcome) = check_line(line, engine);
        match outcome {
            Ok(()) => passed += 1,
            Err(Miss { wanted, got }) => {
                failed += 1;
                let id = id.unwrap_or_else(|| format!("line {}", at + 1));
                println!("FAIL  {name}: {id}\n      wanted {wanted}\n      got    {got}");
            }
        }
    }
    println!("{name}: {passed} passed, {failed} failed");
    failed
}

fn check_line(line: &str, engine: &mut Engine<'_>) -> (Option<String>, Result<(), Miss>) {
    let vector: Value = match serde_json::from_str(line) {
        Ok(vector) => vector,
        Err(error) => return (None, Err(Miss::new("a JSON object", error.to_string()))),
    };
    let id = vector["id"].as_str().map(str::to_owned);
    // A panic is a failure of this vector, and no reason not to try the others.
    let run = std::panic::AssertUnwindSafe(|| engine(&vector));
    let outcome = std::panic::catch_unwind(run)
        .unwrap_or_else(|_| Err(Miss::new("no panic", "a panic, told above")));
    (id, outcome)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_that_fail_panic_or_are_no_json_are_counted() {
        let mut engine: Engine<'_> = Box::new(|vector| match vector["id"].as_str() {
            Some("good") => Ok(()),
            Some("panic") => panic!("wanted by the test"),
            _ => Err(Miss::lacks("a good id")),
        });
        let text =
            "{\"id\": \"good\"}\n\n{\"id\": \"bad\"}\n{\"id\": \"panic\"}\n{\n{\"id\": \"good\"}\n";
        assert_eq!(check_file("x.jsonl", text, &mut engine), 3);
    }

    #[test]
    fn a_folder_without_vectors_is_an_error() {
        let error = check(Path::new("no-such-folder")).unwrap_err().to_string();
        assert!(
            error.starts_with("no file of vectors in no-such-folder"),
            "{error}"
        );
    }
}
