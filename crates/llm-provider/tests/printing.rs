//! Searches the sources of all crates: no text of an upstream is printed unescaped.
//!
//! `Error` escapes its texts when it is printed. Code that prints one of these texts alone, or logs it
//! with `%`, must pass it through `llm_provider::text`.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::fs;
use std::path::{Path, PathBuf};

/// Macros that print their arguments; `eprint!` and `eprintln!` have the same endings.
const PRINTING: &[&str] = &["print!(", "println!("];
/// Macros that log an argument unescaped if `%` precedes it.
const LOGGING: &[&str] = &["error!(", "warn!(", "info!(", "debug!(", "trace!("];
/// The texts of an error that an upstream may have written.
const RAW: &[&str] = &["message()", "code()", "param()", "upstream_id()"];
/// Functions that escape them.
const SAFE: &[&str] = &[
    "printable(",
    "printable_lines(",
    "excerpt(",
    "excerpt_within(",
];

#[test]
fn no_text_of_an_upstream_is_printed_raw() {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut files = Vec::new();
    for entry in fs::read_dir(crates).unwrap() {
        collect(&entry.unwrap().path().join("src"), &mut files);
    }
    assert!(files.len() > 100, "the sources are elsewhere: {crates:?}");
    let mut found = Vec::new();
    for file in files {
        let source = fs::read_to_string(&file).unwrap();
        let raw = raw_prints(&source).into_iter();
        found.extend(raw.map(|arguments| format!("{}: {arguments}", file.display())));
    }
    assert!(found.is_empty(), "printed raw:\n{}", found.join("\n"));
}

#[test]
fn the_search_finds_texts_that_are_printed_raw() {
    for raw in [
        r#"eprintln!("{}", error.message());"#,
        "println!(\n    \"{}\",\n    error.code().unwrap_or_default()\n);",
        "tracing::warn!(why = %error.message(), \"failed\");",
    ] {
        assert_eq!(raw_prints(raw).len(), 1, "{raw}");
    }
    for safe in [
        r#"eprintln!("{error}");"#,
        r#"eprintln!("{}", text::printable(error.message()));"#,
        r#"tracing::warn!(%error, code = error.code(), "failed");"#,
        r#"let message = format!("{}", error.message());"#,
    ] {
        assert!(raw_prints(safe).is_empty(), "{safe}");
    }
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(folder) else {
        return;
    };
    for path in entries.map(|entry| entry.unwrap().path()) {
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            files.push(path);
        }
    }
}

/// The macro calls in a source that print a raw text.
fn raw_prints(source: &str) -> Vec<&str> {
    let calls = |names: &'static [&'static str]| {
        let starts = names.iter().flat_map(|name| {
            source
                .match_indices(name)
                .map(move |(at, _)| at + name.len())
        });
        starts.map(|start| &source[start..start + arguments(&source[start..])])
    };
    let is_raw = |call: &&str| {
        let safe = SAFE.iter().any(|safe| call.contains(safe));
        !safe && RAW.iter().any(|raw| call.contains(&format!(".{raw}")))
    };
    let is_displayed = |call: &&str| {
        let shown = call.split(',').filter(|part| part.contains('%'));
        shown.into_iter().any(|part| is_raw(&part))
    };
    let printed = calls(PRINTING).filter(is_raw);
    printed.chain(calls(LOGGING).filter(is_displayed)).collect()
}

/// The length of the arguments up to the bracket that closes them.
fn arguments(rest: &str) -> usize {
    let mut open = 1;
    let end = rest.char_indices().find(|(_, c)| {
        open += match c {
            '(' => 1,
            ')' => -1,
            _ => 0,
        };
        open == 0
    });
    end.map_or(rest.len(), |(at, _)| at)
}
