//! `cargo xtask fixtures`: test data from the reference implementations.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use lexopt::Arg;

use crate::{python, record, tool};

mod origins;

pub(crate) const COMMAND: crate::Command = crate::Command {
    name: "fixtures",
    usage: "[--check] | --record [OPTION]...",
    about: "Generate the fixtures from the reference implementations, or record upstreams",
    details: "\
Runs each xtask/fixtures/*.py, with the packages pinned in xtask/fixtures/requirements.txt, as
`python NAME.py DIR`: it writes the contents of fixtures/ into DIR. A generator owns the folders into
which it writes: other files there are removed.

  --check   change nothing, and fail if fixtures/ differs from what would be generated, or from
            the table of origins in fixtures/README.md

--record: sends about a dozen small requests to each provider whose key is set
(TOGETHERAI_API_KEY and the other variables of the provider; REPLICATE_API_TOKEN or
REPLICATE_API_KEY), and writes each exchange into fixtures/recorded/PROVIDER/NAME.json. All of them
cost less than a cent. Keys, ids, timestamps and the names of the account are replaced; if one is
left, nothing is written. Then sends the same requests to the simulation, and lists where its
responses have another status, content type or shape, which is the members and types of JSON.
Needs curl.

  --provider NAME       only together or replicate
  --model KIND=MODEL    another model: chat, completion, embedding or rerank of Together, or
                        prediction of Replicate, which must be an official model
  --against simulation  record the simulation, into a folder in target: a test of the recorder
  --check               record nothing: compare the simulation with the recordings that exist",
    run,
};

fn run(mut args: lexopt::Parser) -> Result<()> {
    let mut only_check = false;
    while let Some(arg) = args.next()? {
        match arg {
            Arg::Long("check") => only_check = true,
            Arg::Long("record") if !only_check => return record::run(args),
            _ => return Err(arg.unexpected().into()),
        }
    }
    let Some(fresh) = generate()? else {
        println!("there are no generators in xtask/fixtures");
        return Ok(());
    };
    let fixtures = tool::root().join("fixtures");
    if only_check {
        check(&fresh, &fixtures)
    } else {
        update(&fresh, &fixtures)
    }
}

/// Fails if `fixtures/` is not up to date. Returns whether there are generators.
pub(crate) fn check_all() -> Result<bool> {
    match generate()? {
        Some(fresh) => check(&fresh, &tool::root().join("fixtures")).map(|()| true),
        None => Ok(false),
    }
}

/// Runs the generators, if there are any, and returns the folder of their output.
fn generate() -> Result<Option<PathBuf>> {
    let sources = tool::root().join("xtask/fixtures");
    let generators = files(&sources)?;
    let generators: Vec<_> = generators
        .iter()
        .filter(|path| path.extension().is_some_and(|kind| kind == "py"))
        .collect();
    if generators.is_empty() {
        return Ok(None);
    }
    let folder = tool::target()?.join("fixtures");
    let python = python::environment(&folder.join("python"), &sources.join("requirements.txt"))?;
    let fresh = folder.join("fresh");
    if fresh.exists() {
        fs::remove_dir_all(&fresh).with_context(|| format!("cannot empty {}", fresh.display()))?;
    }
    fs::create_dir_all(&fresh)?;
    for generator in generators {
        println!("generating with {}", generator.display());
        let mut process = Command::new(&python);
        process
            .arg(sources.join(generator))
            .arg(&fresh)
            .env("PYTHONDONTWRITEBYTECODE", "1");
        tool::run(&mut process)?;
    }
    Ok(Some(fresh))
}

fn check(fresh: &Path, fixtures: &Path) -> Result<()> {
    let changes = changes(fresh, fixtures)?;
    for change in &changes {
        println!("stale: fixtures/{}", change.path().display());
    }
    if !changes.is_empty() {
        bail!("run `cargo xtask fixtures` and commit the updated files");
    }
    let faults = origins::faults(fixtures, &files(fresh)?)?;
    for fault in &faults {
        println!("{fault}");
    }
    if !faults.is_empty() {
        bail!("fixtures/README.md does not say where each fixture comes from");
    }
    println!("the fixtures are up to date");
    Ok(())
}

fn update(fresh: &Path, fixtures: &Path) -> Result<()> {
    let changes = changes(fresh, fixtures)?;
    for change in &changes {
        let path = fixtures.join(change.path());
        match change {
            Change::Write(from) => {
                println!("wrote fixtures/{}", from.display());
                if let Some(folder) = path.parent() {
                    fs::create_dir_all(folder)?;
                }
                fs::copy(fresh.join(from), &path).map(drop)
            }
            Change::Remove(old) => {
                println!("removed fixtures/{}", old.display());
                fs::remove_file(&path)
            }
        }
        .with_context(|| format!("cannot change {}", path.display()))?;
    }
    if changes.is_empty() {
        println!("the fixtures are up to date");
    }
    Ok(())
}

/// A change that makes a file in `fixtures` the same as in `fresh`. Paths are relative to both.
#[derive(Debug, Eq, PartialEq)]
enum Change {
    Write(PathBuf),
    Remove(PathBuf),
}

impl Change {
    fn path(&self) -> &Path {
        match self {
            Self::Write(path) | Self::Remove(path) => path,
        }
    }
}

fn changes(fresh: &Path, fixtures: &Path) -> Result<Vec<Change>> {
    let mut changes = Vec::new();
    let made = files(fresh)?;
    for path in &made {
        let expected = fs::read(fresh.join(path))?;
        if fs::read(fixtures.join(path)).ok() != Some(expected) {
            changes.push(Change::Write(path.clone()));
        }
    }
    let folders: BTreeSet<_> = made.iter().filter_map(|path| path.parent()).collect();
    for folder in folders
        .into_iter()
        .filter(|folder| fixtures.join(folder).is_dir())
    {
        for entry in fs::read_dir(fixtures.join(folder))? {
            let entry = entry?;
            let path = folder.join(entry.file_name());
            if entry.file_type()?.is_file() && !made.contains(&path) {
                changes.push(Change::Remove(path));
            }
        }
    }
    Ok(changes)
}

/// The files in a folder and its subfolders, relative to it; none if there is no such folder.
fn files(folder: &Path) -> Result<BTreeSet<PathBuf>> {
    let mut found = BTreeSet::new();
    let mut folders = vec![PathBuf::new()];
    while let Some(inside) = folders.pop() {
        let path = folder.join(&inside);
        if !path.is_dir() {
            continue;
        }
        for entry in
            fs::read_dir(&path).with_context(|| format!("cannot list {}", path.display()))?
        {
            let entry = entry?;
            let path = inside.join(entry.file_name());
            if entry.file_type()?.is_dir() {
                folders.push(path);
            } else {
                found.insert(path);
            }
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(folder: &Path, files: &[(&str, &str)]) {
        for (path, text) in files {
            let path = folder.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
    }

    #[test]
    fn stale_fixtures_are_reported_and_updated() {
        let folder = tool::scratch("fixtures");
        let (fresh, fixtures) = (folder.join("fresh"), folder.join("fixtures"));
        write(
            &fresh,
            &[("prompts/a.jsonl", "1"), ("prompts/deep/b.jsonl", "2")],
        );
        write(
            &fixtures,
            &[
                ("prompts/a.jsonl", "0"),
                ("prompts/old.jsonl", ""),
                ("sse/by-hand.jsonl", ""),
            ],
        );
        assert_eq!(
            changes(&fresh, &fixtures).unwrap(),
            [
                Change::Write("prompts/a.jsonl".into()),
                Change::Write("prompts/deep/b.jsonl".into()),
                Change::Remove("prompts/old.jsonl".into()),
            ],
        );
        let error = check(&fresh, &fixtures).unwrap_err().to_string();
        assert_eq!(
            error,
            "run `cargo xtask fixtures` and commit the updated files"
        );

        update(&fresh, &fixtures).unwrap();
        let table = "| `prompts` | generated by `x.py` | |\n| `sse` | by hand | |\n";
        write(&fixtures, &[("README.md", table)]);
        check(&fresh, &fixtures).unwrap();
        assert!(fixtures.join("sse/by-hand.jsonl").exists());
    }
}
