//! `cargo xtask alone`: programs outside of the workspace, each with one of our crates.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use lexopt::Arg;

use crate::tool;

pub(crate) const COMMAND: crate::Command = crate::Command {
    name: "alone",
    usage: "[--time]",
    about: "Build programs outside of the workspace, each with one of our crates",
    details: "\
In a build of the workspace, a crate gets features that other crates enable. This command writes small
programs into a temporary folder, runs or checks each, and compares the number of crates that it compiles with the
table in README.md.

  --time   instead print the table with the processor time of `cargo check` for each program, from an
           empty target folder, on this machine",
    run,
};

/// A program that depends on one of our crates.
struct Program {
    /// As in the table of README.md.
    title: &'static str,
    package: &'static str,
    features: &'static [&'static str],
    main: &'static str,
    /// What it prints; `None` if it is only checked, since it compiles many crates.
    output: Option<&'static str>,
}

const PROGRAMS: &[Program] = &[
    Program {
        title: "`sse-codec`",
        package: "sse-codec",
        features: &[],
        main: r#"fn main() {
    let mut decoder = sse_codec::Decoder::new();
    let print = |event: sse_codec::Event<'_>| println!("{}", event.text());
    decoder.feed(b"data: alone\n\n", print).unwrap();
}
"#,
        output: Some("alone\n"),
    },
    Program {
        title: "`prompt-templates`",
        package: "prompt-templates",
        features: &[],
        main: r#"use prompt_templates::{Family, Options, PromptMessage};

fn main() {
    let messages = [PromptMessage::user("alone")];
    print!("{}", Family::CHATML.render(&messages, &Options::new()).unwrap());
}
"#,
        output: Some("<|im_start|>user\nalone<|im_end|>\n<|im_start|>assistant\n"),
    },
    Program {
        title: "`llm-types`",
        package: "llm-types",
        features: &[],
        main: r##"fn main() {
    let request: llm_types::ChatRequest =
        llm_types::parse(br#"{"model": "alone", "messages": []}"#).unwrap();
    println!("{}", request.model);
}
"##,
        output: Some("alone\n"),
    },
    Program {
        title: "`polyllm` with `together`",
        package: "polyllm",
        features: &["together"],
        main: CHAT,
        output: None,
    },
    Program {
        title: "`polyllm` with `replicate`",
        package: "polyllm",
        features: &["replicate"],
        main: CHAT,
        output: None,
    },
    Program {
        title: "`polyllm` with `openai`",
        package: "polyllm",
        features: &["openai"],
        main: CHAT,
        output: None,
    },
];

/// Builds a request to any provider.
const CHAT: &str = r#"fn main() {
    let client = polyllm::Client::new(polyllm::registry());
    drop(client.chat("provider/model").with_user("alone").send());
}
"#;

fn run(mut args: lexopt::Parser) -> Result<()> {
    let mut only_time = false;
    while let Some(arg) = args.next()? {
        match arg {
            Arg::Long("time") => only_time = true,
            _ => return Err(arg.unexpected().into()),
        }
    }
    if only_time { time() } else { check() }
}

/// Builds each program, and compares the table in README.md.
pub(crate) fn check() -> Result<()> {
    let target = tool::target()?.join("alone");
    let readme = fs::read_to_string(tool::root().join("README.md"))?;
    let wrong = in_folder(|folder| {
        PROGRAMS.iter().try_fold(Vec::new(), |mut wrong, program| {
            let start = row(program.title, built(program, folder, &target)?);
            println!("{start}");
            if !readme.lines().any(|line| line.starts_with(&start)) {
                wrong.push(start);
            }
            Ok(wrong)
        })
    })?;
    if !wrong.is_empty() {
        bail!(
            "README.md lacks rows of its table that begin with:\n{}",
            wrong.join("\n")
        );
    }
    Ok(())
}

/// Prints the rows of the table with times.
fn time() -> Result<()> {
    in_folder(|folder| {
        for program in PROGRAMS {
            let target = folder.join("target");
            if target.exists() {
                fs::remove_dir_all(&target)?;
            }
            let folder = written(program, folder)?;
            // `times` prints the times of the shell, and in its last line those of its children.
            let mut shell = Command::new("sh");
            shell.args(["-c", "cargo check --quiet && times"]);
            shell.current_dir(&folder).env("CARGO_TARGET_DIR", &target);
            let printed = tool::output(&mut shell)?;
            let seconds = seconds(&printed).context("sh printed no times")?;
            let tree = tool::output(&mut tree(&folder, &target))?;
            println!("{} {seconds:.0} s |", row(program.title, count(&tree)));
        }
        Ok(())
    })
}

/// The sum of the times in the last line, such as `0m1.25s 0m0.25s`.
fn seconds(times: &str) -> Option<f64> {
    let words = times.lines().last()?.split_whitespace();
    words
        .map(|word| {
            let (minutes, seconds) = word.strip_suffix('s')?.split_once('m')?;
            Some(minutes.parse::<f64>().ok()? * 60.0 + seconds.parse::<f64>().ok()?)
        })
        .sum()
}

/// Runs `work` with a temporary folder outside of the workspace.
fn in_folder<T>(work: impl FnOnce(&Path) -> Result<T>) -> Result<T> {
    let folder = std::env::temp_dir().join(format!("polyllm-alone-{}", std::process::id()));
    let result = work(&folder);
    // A folder that cannot be removed is in the system's temporary folder.
    let _ = fs::remove_dir_all(&folder);
    result
}

/// Writes a program, and returns its folder.
fn written(program: &Program, folder: &Path) -> Result<PathBuf> {
    let folder = folder.join(program.title.replace(['`', ' '], ""));
    fs::create_dir_all(folder.join("src"))?;
    fs::write(folder.join("Cargo.toml"), manifest(program))?;
    fs::write(folder.join("src/main.rs"), program.main)?;
    // The same versions as in the workspace.
    fs::copy(tool::root().join("Cargo.lock"), folder.join("Cargo.lock"))?;
    Ok(folder)
}

fn cargo(line: &str, folder: &Path, target: &Path) -> Command {
    let mut command = tool::command(line);
    command.current_dir(folder).env("CARGO_TARGET_DIR", target);
    command
}

fn tree(folder: &Path, target: &Path) -> Command {
    cargo("cargo tree -e normal,build --prefix none", folder, target)
}

/// Builds a program; returns how many crates it compiles besides itself.
fn built(program: &Program, folder: &Path, target: &Path) -> Result<usize> {
    let folder = written(program, folder)?;
    let line = match program.output {
        Some(_) => "cargo run --quiet",
        None => "cargo check --quiet",
    };
    let output = tool::output(&mut cargo(line, &folder, target))
        .with_context(|| format!("{} does not work alone", program.title))?;
    let expected = program.output.unwrap_or_default();
    ensure!(
        output == expected,
        "the program of {} printed {output:?} instead of {expected:?}",
        program.title,
    );
    let tree = tool::output(&mut tree(&folder, target))?;
    Ok(count(&tree))
}

fn manifest(program: &Program) -> String {
    let path: PathBuf = tool::root().join("crates").join(program.package);
    let Program {
        package, features, ..
    } = program;
    format!(
        "[package]\nname = \"alone\"\nedition = \"2024\"\n\n\
         [dependencies]\n\
         {package} = {{ path = {path:?}, default-features = false, features = {features:?} }}\n\n\
         [workspace]\n"
    )
}

/// The number of packages in the output of `cargo tree`, without the first.
fn count(tree: &str) -> usize {
    let lines = tree.lines().filter(|line| !line.is_empty());
    // `name v1.2.3 (…)`, and `(*)` where a package occurs again.
    let key = |line: &str| line.split(' ').take(2).collect::<Vec<_>>().join(" ");
    let packages: BTreeSet<String> = lines.map(key).collect();
    packages.len().saturating_sub(1)
}

/// The start of a row of the table in README.md.
fn row(title: &str, crates: usize) -> String {
    format!("| {title} | {crates} |")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_are_counted_once() {
        let tree =
            "alone v0.0.0 (/tmp/alone)\nllm-types v0.1.0 (/p)\nserde v1.0.0\n\nserde v1.0.0 (*)\n";
        assert_eq!(count(tree), 2);
        assert_eq!(seconds("0m0.01s 0m0.00s\n1m1.50s 0m0.25s\n"), Some(61.75));
        assert_eq!(seconds("no times"), None);
        assert_eq!(row("`llm-types`", 2), "| `llm-types` | 2 |");
    }

    #[test]
    fn the_manifest_is_a_workspace_of_its_own() {
        let text = manifest(&PROGRAMS[3]);
        assert!(text.contains("features = [\"together\"] }"), "{text}");
        assert!(text.ends_with("[workspace]\n"), "{text}");
    }
}
