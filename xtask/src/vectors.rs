//! `cargo xtask vectors`: checks the codec and the templates against a folder of test vectors.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use lexopt::Arg;

use crate::{Command, tool};

pub(crate) const COMMAND: Command = Command {
    name: "vectors",
    usage: "DIR [--known FILE]",
    about: "Check the codec and the templates against external test vectors",
    details: "\
DIR contains any of these files, with one JSON object per line:

  sse.jsonl               id, input_b64, expected_events [{event, data, id, retry}],
                          final_last_event_id, final_retry: each input whole, in reads of 1, 2, 3
                          and 7 bytes, and at every split into two reads
  custom_templates.jsonl  id, messages, custom_roles, options, expected: registered templates
  families.jsonl          id, template, model, messages, official_expected or official_error:
                          the built-in families, with BOS
  chat_templates.jsonl    id, template_file (relative to DIR), context, now, expected or error:
                          Jinja templates

Every failure is printed with its id, the expected and the actual result. The last line per file has
the counts.

  --known FILE   ignore failures of the vectors whose ids FILE lists, such as xtask/vectors/known.txt",
    run,
};

fn run(mut args: lexopt::Parser) -> Result<()> {
    let (mut folder, mut known) = (None, None);
    while let Some(arg) = args.next()? {
        match arg {
            Arg::Long("known") => known = Some(PathBuf::from(args.value()?)),
            Arg::Value(path) if folder.is_none() => folder = Some(PathBuf::from(path)),
            _ => return Err(arg.unexpected().into()),
        }
    }
    let folder = folder.ok_or_else(|| lexopt::Error::from("vectors needs a DIR"))?;
    check(&folder, known.as_deref())
}

/// Runs a separate program, so that xtask does not depend on the crates under test.
pub(crate) fn check(folder: &Path, known: Option<&Path>) -> Result<()> {
    let mut vectors = tool::command("cargo run --quiet -p vectors --");
    for path in [Some(folder), known].into_iter().flatten() {
        // The program runs at the root, but the paths are relative to the current folder.
        let full = fs::canonicalize(path);
        vectors.arg(full.with_context(|| format!("cannot find {}", path.display()))?);
    }
    tool::run(&mut vectors)
}
