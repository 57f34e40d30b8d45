//! `cargo xtask vectors`: the codec and the templates over a folder of test vectors.

mod sse;
mod templates;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use lexopt::Arg;
use serde_json::Value;

use crate::Command;

pub(crate) const COMMAND: Command = Command {
    name: "vectors",
    usage: "DIR",
    about: "Run the codec and the templates over vectors from elsewhere",
    details: "\
DIR holds any of these files, one JSON object a line:

  sse.jsonl               id, input_b64, expected_events [{event, data, id, retry}],
                          final_last_event_id, final_retry: each input whole, in reads of 1, 2, 3
                          and 7 bytes, and at every split into two reads
  custom_templates.jsonl  id, messages, custom_roles, options, expected: registered templates
  families.jsonl          id, template, model, messages, official_expected or official_error:
                          the built-in families, with BOS
  chat_templates.jsonl    id, template_file (relative to DIR), context, now, expected or error:
                          Jinja templates

Every failure is printed with its id, what was wanted and what came; a last line per file counts.",
    run,
};

fn run(mut args: lexopt::Parser) -> Result<()> {
    let mut folder = None;
    while let Some(arg) = args.next()? {
        match arg {
            Arg::Value(path) if folder.is_none() => folder = Some(PathBuf::from(path)),
            _ => return Err(arg.unexpected().into()),
        }
    }
    let folder =
        folder.ok_or_else(|| lexopt::Error::from("which folder? cargo xtask vectors DIR"))?;
    check(&folder)
}

/// Prints every failure, and a line per file.
pub(crate) fn check(folder: &Path) -> Result<()> {
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
