//! Running other programs from the root of the repository.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use serde_json::Value;

/// The root of the repository: the folder above this package.
pub(crate) fn root() -> PathBuf {
    // Cargo sets the variable for what it runs; a binary run by hand was built in the same place.
    let package = std::env::var_os("CARGO_MANIFEST_DIR")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
    package
        .parent()
        .map_or_else(|| PathBuf::from("."), Path::to_path_buf)
}

/// Cargo's target folder.
pub(crate) fn target() -> Result<PathBuf> {
    let metadata = output(&mut command("cargo metadata --format-version 1 --no-deps"))?;
    let metadata: Value = serde_json::from_str(&metadata)?;
    let target = metadata["target_directory"].as_str();
    target
        .map(PathBuf::from)
        .context("cargo metadata has no target_directory")
}

/// A command that runs at the root, from a line with the program and its arguments.
pub(crate) fn command(line: &str) -> Command {
    let mut words = line.split_whitespace();
    let program = words.next().unwrap_or_default();
    let mut command = Command::new(if program == "cargo" {
        cargo()
    } else {
        program.into()
    });
    command.args(words).current_dir(root());
    command
}

/// Runs a command with its output on the terminal.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let status = command
        .status()
        .with_context(|| format!("cannot run {}", shown(command)))?;
    if !status.success() {
        bail!("{} ended with {status}", shown(command));
    }
    Ok(())
}

/// Runs a command and returns its standard output.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let command = command.stderr(Stdio::piped());
    let out = command
        .output()
        .with_context(|| format!("cannot run {}", shown(command)))?;
    if !out.status.success() {
        let errors = String::from_utf8_lossy(&out.stderr);
        bail!(
            "{} ended with {}\n{}",
            shown(command),
            out.status,
            errors.trim_end()
        );
    }
    String::from_utf8(out.stdout)
        .with_context(|| format!("{} printed text that is not UTF-8", shown(command)))
}

fn shown(command: &Command) -> String {
    let program = command.get_program();
    let program = Path::new(program).file_name().unwrap_or(program);
    let words = std::iter::once(program).chain(command.get_args());
    words
        .map(OsStr::to_string_lossy)
        .collect::<Vec<_>>()
        .join(" ")
}

/// The path of a program that is installed.
pub(crate) fn find(program: &str) -> Option<PathBuf> {
    let file = format!("{program}{}", std::env::consts::EXE_SUFFIX);
    let folders = std::env::var_os("PATH")?;
    let mut paths = std::env::split_paths(&folders).map(|folder| folder.join(&file));
    paths.find(|path| path.is_file())
}

/// Why a command cannot run: the programs that are not installed. `None` if all of them are.
pub(crate) fn missing(programs: &[&str]) -> Option<String> {
    let missing = programs.iter().copied();
    let missing: Vec<_> = missing.filter(|program| find(program).is_none()).collect();
    (!missing.is_empty()).then(|| format!("not installed: {}", missing.join(", ")))
}

fn cargo() -> std::ffi::OsString {
    std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into())
}

/// An empty folder for a test.
#[cfg(test)]
pub(crate) fn scratch(name: &str) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("xtask-{}-{name}", std::process::id()));
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_programs_are_named() {
        assert_eq!(missing(&["cargo"]), None);
        let why = missing(&["no-such-program", "cargo", "nor-this"]);
        assert_eq!(
            why.as_deref(),
            Some("not installed: no-such-program, nor-this")
        );
    }

    #[test]
    fn the_error_names_a_program_that_fails_or_is_missing() {
        let failed = output(&mut command("git no-such-command"))
            .unwrap_err()
            .to_string();
        assert!(
            failed.starts_with("git no-such-command ended with "),
            "{failed}"
        );
        let missing = run(&mut command("no-such-program x"))
            .unwrap_err()
            .to_string();
        assert_eq!(missing, "cannot run no-such-program x");
    }
}
