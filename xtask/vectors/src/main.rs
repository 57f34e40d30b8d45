//! Runs the codec and the templates over the vectors in a folder: `cargo xtask help vectors`.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command talks to its terminal"
)]

mod sse;
mod templates;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use serde_json::Value;

fn main() -> ExitCode {
    let args: Vec<_> = std::env::args_os().skip(1).collect();
    let checked = match args.as_slice() {
        [folder] => check(Path::new(folder), None),
        [folder, known] => check(Path::new(folder), Some(Path::new(known))),
        _ => {
            eprintln!("usage: vectors DIR [KNOWN]");
            return ExitCode::from(2);
        }
    };
    match checked {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Prints every failure, and a line per file. Failures whose ids are in the file `known` do not
/// count.
fn check(folder: &Path, known: Option<&Path>) -> Result<()> {
    let read = |path: &Path| {
        fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
    };
    let known = known.map(read).transpose()?.unwrap_or_default();
    let known: BTreeSet<_> = known
        .lines()
        .filter(|line| !line.starts_with('#'))
        .collect();
    let (mut files, mut failed) = (0, 0);
    for (name, prepare) in ENGINES {
        let path = folder.join(name);
        if !path.exists() {
            println!("{name}: skipped, there is none in {}", folder.display());
            continue;
        }
        files += 1;
        let misses = check_file(name, &read(&path)?, &mut prepare(folder));
        failed += misses
            .iter()
            .filter(|id| !known.contains(id.as_str()))
            .count();
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

/// The expected and the actual result of a vector.
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

    /// For a line that is not a vector of its kind.
    fn lacks(what: &str) -> Self {
        Self::new(format!("a vector with {what}"), "one without")
    }
}

/// Returns the ids of the vectors that failed.
fn check_file(name: &str, text: &str, engine: &mut Engine<'_>) -> Vec<String> {
    let (mut passed, mut failed) = (0, Vec::new());
    for (at, line) in text.lines().enumerate() {
        if line.trim().is_empty() {
            continue;
        }
        let (id, outcome) = check_line(line, engine);
        match outcome {
            Ok(()) => passed += 1,
            Err(Miss { wanted, got }) => {
                let id = id.unwrap_or_else(|| format!("line {}", at + 1));
                println!("FAIL  {name}: {id}\n      wanted {wanted}\n      got    {got}");
                failed.push(id);
            }
        }
    }
    println!("{name}: {passed} passed, {} failed", failed.len());
    failed
}

fn check_line(line: &str, engine: &mut Engine<'_>) -> (Option<String>, Result<(), Miss>) {
    let vector: Value = match serde_json::from_str(line) {
        Ok(vector) => vector,
        Err(error) => return (None, Err(Miss::new("a JSON object", error.to_string()))),
    };
    let id = vector["id"].as_str().map(str::to_owned);
    // A panic is a failure of this vector; the others still run.
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
        assert_eq!(
            check_file("x.jsonl", text, &mut engine),
            ["bad", "panic", "line 5"]
        );
    }

    #[test]
    fn only_unknown_failures_are_a_reason_to_fail() {
        let folder = std::env::temp_dir().join(format!("vectors-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        fs::write(
            folder.join("sse.jsonl"),
            "{\"id\": \"a\"}\n{\"id\": \"b\"}\n",
        )
        .unwrap();
        let known = folder.join("known.txt");
        let failures = |ids: &str| {
            fs::write(&known, ids).unwrap();
            check(&folder, Some(&known))
                .err()
                .map(|error| error.to_string())
        };
        assert_eq!(failures("# both\na\nb\n"), None);
        assert_eq!(failures("# one\na\n"), Some("1 vectors failed".to_owned()));
        assert!(check(&folder, None).is_err());
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn a_folder_without_vectors_is_an_error() {
        let error = check(Path::new("no-such-folder"), None)
            .unwrap_err()
            .to_string();
        assert!(
            error.starts_with("no file of vectors in no-such-folder"),
            "{error}"
        );
    }
}
