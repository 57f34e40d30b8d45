//! `cargo xtask vectors`: the codec and the templates over a folder of test vectors.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use lexopt::Arg;

use crate::{Command, tool};

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

/// Runs a program of its own, so that the other commands do not depend on the crates under test.
pub(crate) fn check(folder: &Path) -> Result<()> {
    let folder = fs::canonicalize(folder)
        .with_context(|| format!("there is no folder {}", folder.display()))?;
    tool::run(tool::command("cargo run --quiet -p vectors --").arg(folder))
}
