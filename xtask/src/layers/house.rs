//! The rules of the house: what lies where, and what every file and crate has.

use std::collections::BTreeSet;

use super::Breach;
use super::facts::{Facts, File};

/// What stands at the top besides dotfiles and licences.
const TOP_LEVEL: &[&str] = &[
    "ARCHITECTURE.md",
    "Cargo.lock",
    "Cargo.toml",
    "README.md",
    "crates",
    "fixtures",
    "xtask",
];

/// What holds on one machine only: home folders, and where a lock file's packages came from.
const MACHINES: &[&str] = &["/home/", "/Users/", "\"resolved\": \"http"];

/// What says that something is not finished.
const LEFTOVERS: &[&str] = &[
    "FIXME",
    "TODO",
    "XXX",
    "todo!(",
    "unimplemented!(",
    "<<<<<<< ",
];

const MOST_LINES: usize = 600;

pub(super) fn top_level(facts: &Facts) -> Vec<Breach> {
    let entries = facts
        .files
        .iter()
        .map(|file| match file.path.split_once('/') {
            Some((folder, _)) => folder,
            None => file.path.as_str(),
        });
    let known = |entry: &&str| {
        entry.starts_with('.') || entry.starts_with("LICENSE-") || TOP_LEVEL.contains(entry)
    };
    let others: BTreeSet<_> = entries.filter(|entry| !known(entry)).collect();
    let mend =
        "does not belong here: move it into a crate, xtask or fixtures, or have git ignore it";
    others
        .into_iter()
        .map(|entry| Breach::new(entry, mend))
        .collect()
}

pub(super) fn leftovers(facts: &Facts) -> Vec<Breach> {
    let mut breaches = Vec::new();
    // This file has to name what it looks for.
    let files = facts
        .files
        .iter()
        .filter(|file| !file.path.ends_with("layers/house.rs"));
    for file in files {
        for (at, line) in file.text.lines().enumerate() {
            let at = format!("{}:{}", file.path, at + 1);
            if let Some(path) = MACHINES.iter().find(|path| line.contains(**path)) {
                breaches.push(Breach::new(
                    &at,
                    format!("holds {path}, which is of one machine only"),
                ));
            }
            if let Some(word) = LEFTOVERS
                .iter()
                .find(|word| is_source(file) && line.contains(**word))
            {
                breaches.push(Breach::new(&at, format!("says {word}: finish it")));
            }
        }
    }
    breaches
}

pub(super) fn readmes(facts: &Facts) -> Vec<Breach> {
    let crates = facts
        .packages
        .iter()
        .filter(|package| package.folder.starts_with("crates/"));
    crates
        .filter_map(|package| {
            let path = format!("{}/README.md", package.folder);
            let mend = match facts.file(&path) {
                None => "is missing: say what the crate is for, with one example",
                Some(readme) if !readme.text.contains("```") => "has no example: add a short one",
                Some(_) => return None,
            };
            Some(Breach::new(path, mend))
        })
        .collect()
}

pub(super) fn lints(facts: &Facts) -> Vec<Breach> {
    let manifests = facts
        .packages
        .iter()
        .map(|package| format!("{}/Cargo.toml", package.folder));
    manifests
        .filter(|path| {
            !facts
                .file(path)
                .is_some_and(|file| inherits_lints(&file.text))
        })
        .map(|path| Breach::new(path, "add `[lints]` with `workspace = true`"))
        .collect()
}

pub(super) fn long_files(facts: &Facts) -> Vec<Breach> {
    let sources = facts.files.iter().filter(|file| is_source(file));
    sources
        .filter_map(|file| {
            let lines = file.text.lines().count();
            let mend = format!("has {lines} lines: split it where its parts know each other least");
            (lines > MOST_LINES).then(|| Breach::new(&file.path, mend))
        })
        .collect()
}

fn inherits_lints(manifest: &str) -> bool {
    let mut lines = manifest
        .lines()
        .map(str::trim)
        .skip_while(|line| *line != "[lints]")
        .skip(1);
    lines.find(|line| !line.is_empty() && !line.starts_with('#')) == Some("workspace = true")
}

/// Whether people write it: code and its settings, not data.
fn is_source(file: &File) -> bool {
    let Some((_, kind)) = file.path.rsplit_once('.') else {
        return file.path.starts_with('.');
    };
    let written = [
        "css", "html", "js", "md", "mjs", "py", "rs", "sh", "toml", "yaml", "yml",
    ];
    written.contains(&kind) && !file.path.starts_with("fixtures/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(rule: fn(&Facts) -> Vec<Breach>, files: &[(&str, &str)], expected: &[&str]) {
        let facts = Facts::made_up(&[("llm-types", &[])], files);
        let places: Vec<_> = rule(&facts).into_iter().map(|breach| breach.at).collect();
        assert_eq!(places, expected);
    }

    #[test]
    fn a_stranger_at_the_top_is_a_breach() {
        let files = [
            (".github/workflows/ci.yml", ""),
            (".gitignore", ""),
            ("Cargo.lock", ""),
            ("LICENSE-MIT", ""),
            ("crates/llm-types/Cargo.toml", ""),
            ("notes.txt", ""),
            ("scripts/a.sh", ""),
            ("scripts/b.sh", ""),
        ];
        check(top_level, &files, &["notes.txt", "scripts"]);
    }

    #[test]
    fn a_machine_path_and_a_leftover_are_breaches() {
        let files = [
            ("README.md", "fine\nrun /home/me/polyllm\n"),
            ("crates/a/src/lib.rs", "// TODO: later\ntodo!()\n"),
            ("fixtures/prompts.jsonl", "{\"text\": \"TODO\"}\n"),
            (
                "xtask/clients/package-lock.json",
                "\"resolved\": \"https://packages.example/a\"\n",
            ),
        ];
        check(
            leftovers,
            &files,
            &[
                "README.md:2",
                "crates/a/src/lib.rs:1",
                "crates/a/src/lib.rs:2",
                "xtask/clients/package-lock.json:1",
            ],
        );
    }

    #[test]
    fn a_crate_without_readme_or_example_is_a_breach() {
        let path = "crates/llm-types/README.md";
        check(readmes, &[], &[path]);
        check(readmes, &[(path, "# llm-types\n")], &[path]);
        check(readmes, &[(path, "```rust\n```\n")], &[]);
    }

    #[test]
    fn lints_of_ones_own_are_a_breach() {
        let path = "crates/llm-types/Cargo.toml";
        check(
            lints,
            &[(path, "[package]\nname = \"llm-types\"\n")],
            &[path],
        );
        check(
            lints,
            &[(path, "[lints.rust]\nworkspace = true\n")],
            &[path],
        );
        check(
            lints,
            &[(path, "[package]\n\n[lints]\n\nworkspace = true\n")],
            &[],
        );
    }

    #[test]
    fn a_long_source_file_is_a_breach() {
        let (long, fair) = ("x\n".repeat(601), "x\n".repeat(600));
        let files = [
            ("a/src/a.rs", &*long),
            ("a/src/b.rs", &*fair),
            ("Cargo.lock", &*long),
        ];
        check(long_files, &files, &["a/src/a.rs"]);
    }
}
