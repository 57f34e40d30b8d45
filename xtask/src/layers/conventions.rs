//! Conventions of the repository: the top level, READMEs, lints and the length of files.

use std::collections::BTreeSet;

use super::Violation;
use super::facts::{Facts, File, Package};

/// The entries of the top level, except dotfiles and licences.
const TOP_LEVEL: &[&str] = &[
    "ARCHITECTURE.md",
    "Cargo.lock",
    "Cargo.toml",
    "README.md",
    "crates",
    "fixtures",
    "xtask",
];

/// Text that is valid on one machine only: home folders, and mirrors in lock files.
const MACHINES: &[&str] = &["/home/", "/Users/", "\"resolved\": \"http"];

/// Texts that mark unfinished work.
const LEFTOVERS: &[&str] = &[
    "FIXME",
    "TODO",
    "XXX",
    "todo!(",
    "unimplemented!(",
    "<<<<<<< ",
];

const MAX_LINES: usize = 600;

pub(super) fn top_level(facts: &Facts) -> Vec<Violation> {
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
    let fix =
        "does not belong here: move it into a crate, xtask or fixtures, or have git ignore it";
    others
        .into_iter()
        .map(|entry| Violation::new(entry, fix))
        .collect()
}

pub(super) fn leftovers(facts: &Facts) -> Vec<Violation> {
    let mut violations = Vec::new();
    // This file contains the words for which it searches.
    let files = facts
        .files
        .iter()
        .filter(|file| !file.path.ends_with("layers/conventions.rs"));
    for file in files {
        for (at, line) in file.text.lines().enumerate() {
            let at = format!("{}:{}", file.path, at + 1);
            if let Some(path) = MACHINES.iter().find(|path| line.contains(**path)) {
                violations.push(Violation::new(
                    &at,
                    format!("contains {path}, which is valid on one machine only"),
                ));
            }
            if let Some(word) = LEFTOVERS
                .iter()
                .find(|word| is_source(file) && line.contains(**word))
            {
                violations.push(Violation::new(
                    &at,
                    format!("contains {word}: finish the work"),
                ));
            }
        }
    }
    violations
}

pub(super) fn readmes(facts: &Facts) -> Vec<Violation> {
    let crates = facts
        .packages
        .iter()
        .filter(|package| package.folder.starts_with("crates/"));
    crates
        .filter_map(|package| {
            let path = format!("{}/README.md", package.folder);
            let fix = match facts.file(&path) {
                None => "is missing: describe what the crate is for, with an example".to_owned(),
                Some(readme) => incomplete(package, &readme.text)?,
            };
            Some(Violation::new(path, fix))
        })
        .collect()
}

/// What is missing or wrong in the README of a crate.
fn incomplete(package: &Package, readme: &str) -> Option<String> {
    if !readme.contains("```") {
        return Some("has no example: add a short one".to_owned());
    }
    let rust = format!("Requires Rust {}.", package.rust_version);
    if !readme.contains(&rust) {
        return Some(format!("has no `{rust}`: add it"));
    }
    if !package.features.is_empty() && readme.contains("There are no features") {
        return Some("says that there are no features: describe them".to_owned());
    }
    let mut features = package.features.iter();
    let feature = features.find(|name| !readme.contains(&format!("`{name}`")))?;
    Some(format!(
        "does not name the feature `{feature}`: describe it"
    ))
}

pub(super) fn lints(facts: &Facts) -> Vec<Violation> {
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
        .map(|path| Violation::new(path, "add `[lints]` with `workspace = true`"))
        .collect()
}

pub(super) fn long_files(facts: &Facts) -> Vec<Violation> {
    let sources = facts.files.iter().filter(|file| is_source(file));
    sources
        .filter_map(|file| {
            let lines = file.text.lines().count();
            let fix = format!("has {lines} lines: split it into files with one purpose each");
            (lines > MAX_LINES).then(|| Violation::new(&file.path, fix))
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

/// Whether a file is written by hand: code, documentation and settings, but not data.
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
    fn check(rule: fn(&Facts) -> Vec<Violation>, files: &[(&str, &str)], expected: &[&str]) {
        let facts = Facts::sample(&[("llm-types", &[])], files);
        let places: Vec<_> = rule(&facts)
            .into_iter()
            .map(|violation| violation.at)
            .collect();
        assert_eq!(places, expected);
    }

    #[test]
    fn an_unlisted_entry_of_the_top_level_is_a_violation() {
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
    fn a_machine_path_and_a_leftover_are_violations() {
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
    fn an_incomplete_readme_is_a_violation() {
        let path = "crates/llm-types/README.md";
        check(readmes, &[], &[path]);
        let example = "```rust\n```\n";
        for incomplete in [
            "# llm-types\n".to_owned(),
            "Requires Rust 1.95. Features: `fast`.".to_owned(),
            format!("{example}Features: `fast`."),
            format!("{example}Requires Rust 1.90. Features: `fast`."),
            format!("{example}Requires Rust 1.95."),
            format!("{example}Requires Rust 1.95. There are no features. `fast`"),
        ] {
            check(readmes, &[(path, &incomplete)], &[path]);
        }
        let complete = format!("{example}Requires Rust 1.95. Features: `fast`.");
        check(readmes, &[(path, &complete)], &[]);
    }

    #[test]
    fn a_package_without_the_lints_of_the_workspace_is_a_violation() {
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
    fn a_long_source_file_is_a_violation() {
        let (long, fair) = ("x\n".repeat(601), "x\n".repeat(600));
        let files = [
            ("a/src/a.rs", &*long),
            ("a/src/b.rs", &*fair),
            ("Cargo.lock", &*long),
        ];
        check(long_files, &files, &["a/src/a.rs"]);
    }
}
