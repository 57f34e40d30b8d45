//! `cargo xtask lint`: rules for kinds of mistakes that were found before.

mod rules;
mod scan;

use anyhow::{Result, bail};

use crate::Command;
use crate::layers::{File, code, files};
use crate::tool;
use rules::{Exception, RULES, Rule};

pub(crate) const COMMAND: Command = Command {
    name: "lint",
    usage: "",
    about: "Check the sources for known kinds of mistakes",
    details: "\
Each rule of xtask/src/lint/rules.rs has a pattern, the files to which it applies, and a reason. It
prints `ok    RULE` or `FAIL  RULE: WHERE: WHY`. To allow an occurrence, add it to the rule's list of
exceptions, with the reason. Comments are not checked. Tests are checked only by the rules for
tests.",
    run,
};

fn run(mut args: lexopt::Parser) -> Result<()> {
    if let Some(arg) = args.next()? {
        return Err(arg.unexpected().into());
    }
    check()
}

/// Prints the findings of every rule, and fails if there are any.
pub(crate) fn check() -> Result<()> {
    let files = files(&tool::root())?;
    let mut broken = 0;
    for rule in RULES {
        let findings = find(rule, &files);
        if findings.is_empty() {
            println!("ok    {}", rule.name);
        }
        for finding in &findings {
            let Finding { path, line, text } = finding;
            println!(
                "FAIL  {}: {path}:{line}: {}\n      {text}",
                rule.name, rule.why
            );
        }
        broken += usize::from(!findings.is_empty());
        for Exception { path, reason, .. } in unused(rule, &files) {
            println!("note  {}: unused exception for {path}: {reason}", rule.name);
        }
    }
    if broken > 0 {
        bail!("{broken} of {} rules are violated", RULES.len());
    }
    Ok(())
}

/// A place that a rule matches.
#[derive(Debug, Eq, PartialEq)]
struct Finding {
    path: String,
    /// From 1.
    line: usize,
    text: String,
}

fn find(rule: &Rule, files: &[File]) -> Vec<Finding> {
    let mut findings = matches(rule, files);
    findings.retain(|finding| {
        let mut exceptions = rule.exceptions.iter();
        !exceptions.any(|exception| exception.covers(&finding.path, &finding.text))
    });
    findings
}

/// The exceptions that no longer match a line.
fn unused(rule: &'static Rule, files: &[File]) -> Vec<&'static Exception> {
    let findings = matches(rule, files);
    let exceptions = rule.exceptions.iter();
    exceptions
        .filter(|exception| {
            let mut findings = findings.iter();
            !findings.any(|finding| exception.covers(&finding.path, &finding.text))
        })
        .collect()
}

fn matches(rule: &Rule, files: &[File]) -> Vec<Finding> {
    let files = files.iter().filter(|file| rule.is_for(&file.path));
    files
        .flat_map(|file| {
            let lines = code(&file.text);
            let found = scan::lines(rule, &lines);
            let finding = |at: usize| Finding {
                path: file.path.clone(),
                line: at + 1,
                text: lines[at].trim().to_owned(),
            };
            found.into_iter().map(finding).collect::<Vec<_>>()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The lines that a rule finds in a file of this path.
    #[track_caller]
    fn check(name: &str, path: &str, text: &str, expected: &[usize]) {
        let rule = RULES.iter().find(|rule| rule.name == name).unwrap();
        let file = File {
            path: path.to_owned(),
            text: text.to_owned(),
        };
        let found = find(rule, &[file]);
        let lines: Vec<_> = found.iter().map(|finding| finding.line).collect();
        assert_eq!(lines, expected, "{name} in {path}");
    }

    #[test]
    fn input_that_is_quoted_without_a_limit_is_found() {
        let text = "fn no_model(name: &str) -> Error {\n    \
                        let message = format!(\"the model \\\"{name}\\\" does not exist\");\n    \
                        Error::new(ErrorKind::NotFound, message)\n}\n\n\
                    fn cut(name: &str) -> Error {\n    \
                        let name = excerpt(name);\n    \
                        let message = format!(\"the model \\\"{name}\\\" does not exist\");\n    \
                        Error::new(ErrorKind::NotFound, message)\n}\n";
        check("quoted-input", "crates/llm-router/src/a.rs", text, &[2]);
        check("quoted-input", "crates/llm-bench/src/a.rs", text, &[]);
        check("quoted-input", "crates/llm-router/tests/a.rs", text, &[]);
    }

    #[test]
    fn a_print_without_escaping_is_found() {
        let text = "fn show(model: &Model) {\n    \
                        let _ = writeln!(stdout(), \"{}\", model.description);\n    \
                        if stdout().is_terminal() {}\n    \
                        output::print(&model.description);\n}\n";
        check(
            "raw-terminal-text",
            "crates/polyllm-cli/src/a.rs",
            text,
            &[2],
        );
        check(
            "raw-terminal-text",
            "crates/polyllm-cli/src/output.rs",
            text,
            &[],
        );
    }

    #[test]
    fn raw_text_in_a_log_is_found() {
        let text = "fn log(model: &str, error: Error) {\n    \
                        tracing::warn!(%error, model, \"failed\");\n    \
                        tracing::warn!(%model, \"failed\");\n    \
                        tracing::info!(\n        \
                            path = %head.uri,\n        \
                            \"50 % of %all\",\n    \
                        );\n    \
                        let a = b %model;\n}\n";
        check("raw-log-text", "crates/llm-gateway/src/a.rs", text, &[3, 5]);
    }

    #[test]
    fn a_count_of_attempts_that_may_wrap_is_found() {
        let text = "fn f() {\n    left.truncate(self.retries + 1);\n    \
                        let n = self.max_retries.saturating_add(1);\n    retries += 1;\n}\n";
        check(
            "wrapping-attempts",
            "crates/llm-router/src/a.rs",
            text,
            &[2],
        );
    }

    #[test]
    fn a_blocking_call_in_async_code_is_found() {
        let text = "async fn read(path: &Path) {\n    let bytes = std::fs::read(path);\n}\n\n\
                    fn read_now(path: &Path) {\n    let bytes = std::fs::read(path);\n}\n\n\
                    fn read_later(path: &Path) {\n    \
                        tokio::spawn(async move {\n        \
                            std::thread::sleep(SECOND);\n    \
                        });\n}\n\n\
                    async fn read_apart(path: &Path) {\n    \
                        let read = tokio::task::spawn_blocking(move || {\n        \
                            std::fs::read(path)\n    \
                        });\n    \
                        let _ = std::fs::read(path);\n}\n";
        check(
            "blocking-in-async",
            "crates/llm-gateway/src/a.rs",
            text,
            &[2, 11, 19],
        );
    }

    #[test]
    fn an_exposed_secret_is_found_but_for_exceptions() {
        let text = "fn f(key: &ApiKey) {\n    log(key.expose());\n}\n";
        check("exposed-secret", "crates/llm-router/src/a.rs", text, &[2]);
        check(
            "exposed-secret",
            "crates/llm-gateway/src/auth.rs",
            text,
            &[2],
        );
        let compares = "fn f() {\n    given.ct_eq(master_key.expose().as_bytes())\n}\n";
        check(
            "exposed-secret",
            "crates/llm-gateway/src/auth.rs",
            compares,
            &[],
        );
    }

    #[test]
    fn tests_and_comments_are_not_read() {
        let text = "// retries + 1\n#[cfg(test)]\nmod tests {\n    fn f() {\n        \
                        let n = retries + 1;\n    }\n}\n";
        check("wrapping-attempts", "crates/llm-router/src/a.rs", text, &[]);
    }

    #[test]
    fn a_test_that_returns_early_is_found() {
        let text = "#[test]\nfn needs_a_tool() {\n    let Some(tool) = tool() else {\n        \
                        return;\n    };\n    \
                        thread::spawn(move || {\n        return;\n    });\n}\n\n\
                    fn helper() {\n    return;\n}\n\n\
                    #[tokio::test(start_paused = true)]\nasync fn waits() {\n    \
                        if !has_tool() { return }\n    \
                        tokio::spawn(async move {\n        return;\n    });\n}\n";
        check("skipped-test", "crates/a/tests/a.rs", text, &[4, 17]);
        check("skipped-test", "crates/a/src/a.rs", text, &[]);
    }

    #[test]
    fn a_test_server_that_reads_once_or_keeps_connections_is_found() {
        let text = "fn serve() {\n    let read = socket.read(&mut request);\n    \
                        let head = \"HTTP/1.1 200 OK\\r\\n\\r\\n\";\n}\n\n\
                    fn serve_whole() {\n    while !is_whole(&request) {\n        \
                            socket.read(&mut request);\n    }\n    \
                        let head = \"HTTP/1.1 200 OK\\r\\nconnection: close\\r\\n\\r\\n\";\n}\n";
        check("partial-request", "crates/a/tests/a.rs", text, &[2]);
        check("kept-connection", "crates/a/tests/a.rs", text, &[3]);
    }

    #[test]
    fn a_test_of_wall_clock_times_is_found() {
        let text = "use std::time::{Duration, Instant};\nuse tokio::time::{Duration, Instant};\n";
        check("wall-clock", "crates/a/tests/a.rs", text, &[1]);
    }

    #[test]
    fn every_exception_has_a_reason() {
        for rule in RULES {
            for exception in rule.exceptions {
                assert!(
                    exception.reason.len() > 10,
                    "{}: {}",
                    rule.name,
                    exception.path
                );
            }
            assert!(
                !rule.words.is_empty() && !rule.why.is_empty(),
                "{}",
                rule.name
            );
        }
    }
}
