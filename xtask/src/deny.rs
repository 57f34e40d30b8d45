//! The checks of dependencies by cargo-deny, whose settings are in `.cargo/deny.toml`.

use anyhow::Result;

use crate::tool;

/// The reason why the checks cannot run on this machine, or `None`.
pub(crate) fn missing() -> Option<String> {
    let version = tool::output(&mut tool::command("cargo deny --version"));
    version.is_err().then(|| {
        "cargo-deny is not installed: `cargo install cargo-deny --locked --debug`".to_owned()
    })
}

/// Checks licences, duplicate versions and sources. This needs no database.
pub(crate) fn check() -> Result<()> {
    tool::run(&mut tool::command(&format!(
        "{DENY} check licenses bans sources"
    )))
}

/// Checks for known vulnerabilities and yanked versions. Returns the reason if the check was skipped
/// because the database cannot be fetched.
pub(crate) fn advisories() -> Result<Option<String>> {
    if let Err(error) = tool::output(&mut tool::command(&format!("{DENY} fetch db"))) {
        return Ok(Some(unavailable(&error.to_string())));
    }
    tool::run(&mut tool::command(&format!(
        "{DENY} check --disable-fetch advisories"
    )))?;
    Ok(None)
}

/// The reason for skipping the check: the last line of the error of git.
fn unavailable(error: &str) -> String {
    let mut lines = error.lines().map(str::trim).filter(|line| !line.is_empty());
    let reason = lines.next_back().unwrap_or("unknown reason");
    format!("the advisory database cannot be fetched: {reason}")
}

const DENY: &str = "cargo deny --locked --all-features --config .cargo/deny.toml";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_database_that_cannot_be_fetched_is_reported_with_the_reason() {
        let error = "cargo deny ended with 1\nCloning ...\nfatal: no such host\n\n";
        assert_eq!(
            unavailable(error),
            "the advisory database cannot be fetched: fatal: no such host"
        );
    }
}
