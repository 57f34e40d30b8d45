//! `cargo xtask alone`: programs outside of the workspace, each with one of our crates.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};

use crate::{Command, tool};

pub(crate) const COMMAND: Command = Command {
    name: "alone",
    usage: "",
    about: "Build programs outside of the workspace, each with one of our crates",
    details: "\
In a build of the workspace, a crate gets features that other crates enable. This command writes small
programs into a temporary folder, runs or checks each, and compares the number of crates that it compiles with the
table in README.md. The times are those of this machine; crates that an earlier program compiled are not
compiled again.",
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
    if let Some(arg) = args.next()? {
        return Err(arg.unexpected().into());
    }
    check()
}

/// Builds each program, and compares the table in README.md.
pub(crate) fn check() -> Result<()> {
    let folder = std::env::temp_dir().join(format!("polyllm-alone-{}", std::process::id()));
    let target = tool::target()?.join("alone");
    let readme = fs::read_to_string(tool::root().join("README.md"))?;
    let checked = PROGRAMS.iter().try_fold(Vec::new(), |mut wrong, program| {
        let begin = Instant::now();
        let row = row(program.title, built(program, &folder, &target)?);
        println!("{row} {:.1} s", begin.elapsed().as_secs_f64());
        if !readme.lines().any(|line| line == row) {
            wrong.push(row);
        }
        anyhow::Ok(wrong)
    });
    // A folder that cannot be removed is in the system's temporary folder.
    let _ = fs::remove_dir_all(&folder);
    let wrong = checked?;
    if !wrong.is_empty() {
        bail!(
            "README.md lacks these rows of its table:\n{}",
            wrong.join("\n")
        );
    }
    Ok(())
}

/// Builds a program; returns how many crates it compiles besides itself.
fn built(program: &Program, folder: &Path, target: &Path) -> Result<usize> {
    let folder = folder.join(program.title.replace(['`', ' '], ""));
    fs::create_dir_all(folder.join("src"))?;
    fs::write(folder.join("Cargo.toml"), manifest(program))?;
    fs::write(folder.join("src/main.rs"), program.main)?;
    // The same versions as in the workspace.
    fs::copy(tool::root().join("Cargo.lock"), folder.join("Cargo.lock"))?;
    let cargo = |line: &str| {
        let mut command = tool::command(line);
        command.current_dir(&folder).env("CARGO_TARGET_DIR", target);
        command
    };
    let line = match program.output {
        Some(_) => "cargo run --quiet",
        None => "cargo check --quiet",
    };
    let output = tool::output(&mut cargo(line))
        .with_context(|| format!("{} does not work alone", program.title))?;
    let expected = program.output.unwrap_or_default();
    ensure!(
        output == expected,
        "the program of {} printed {output:?} instead of {expected:?}",
        program.title,
    );
    let tree = tool::output(&mut cargo("cargo tree -e normal,build --prefix none"))?;
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

/// The row of the table in README.md.
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
        assert_eq!(row("`llm-types`", 2), "| `llm-types` | 2 |");
    }

    #[test]
    fn the_manifest_is_a_workspace_of_its_own() {
        let text = manifest(&PROGRAMS[3]);
        assert!(text.contains("features = [\"together\"] }"), "{text}");
        assert!(text.ends_with("[workspace]\n"), "{text}");
    }
}
