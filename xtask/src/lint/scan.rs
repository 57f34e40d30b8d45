//! The places of a file that match a rule. The sources are formatted by rustfmt: a block ends at
//! the first `}` that is indented as the line that began it.

use std::ops::RangeInclusive;

use super::rules::{Rule, Scope};

/// The lines, from 0, at which the rule is broken.
pub(super) fn lines(rule: &Rule, lines: &[&str]) -> Vec<usize> {
    let is_allowed = |text: &str| rule.unless.iter().any(|word| text.contains(word));
    let is_found = |at: usize| match rule.scope {
        Scope::Line => has(rule, lines[at]) && !is_allowed(lines[at]),
        Scope::Function => {
            has(rule, lines[at])
                && !enclosing(lines, at, is_function)
                    .unwrap_or(at..=at)
                    .any(|line| is_allowed(lines[line]))
        }
        Scope::Async => {
            has(rule, lines[at])
                && !is_allowed(lines[at])
                && enclosing(lines, at, is_async).is_some_and(|outer| {
                    // A blocking closure or a function inside the async block.
                    let inner = |line: &str| line.contains("spawn_blocking(") || is_sync(line);
                    enclosing(lines, at, inner).is_none_or(|inner| inner.start() < outer.start())
                })
        }
        Scope::Test => has(rule, lines[at]) && !is_allowed(lines[at]) && is_in_test(lines, at),
        Scope::Logging => {
            logged(lines, at).is_some_and(|part| has(rule, part) && !is_allowed(part))
        }
    };
    (0..lines.len()).filter(|&at| is_found(at)).collect()
}

fn has(rule: &Rule, text: &str) -> bool {
    rule.words.iter().any(|word| text.contains(word))
}

/// Whether a line belongs to a test itself, not to a closure or an async block in it.
fn is_in_test(lines: &[&str], at: usize) -> bool {
    let Some(function) = enclosing(lines, at, is_function) else {
        return false;
    };
    let attributes = lines[..*function.start()].iter().rev();
    let mut attributes = attributes.take_while(|line| line.trim_start().starts_with("#["));
    let is_test = attributes.any(|line| {
        let name = line.trim_start().trim_start_matches("#[");
        name.starts_with("test]") || name.starts_with("tokio::test")
    });
    // A case of a property may be skipped.
    let is_property = enclosing(lines, at, |line| line.contains("proptest! {")).is_some();
    let inner = |line: &str| line.contains("async ") || line.trim_end().ends_with("| {");
    let inner = enclosing(lines, at, inner);
    is_test && !is_property && inner.is_none_or(|inner| inner.start() <= function.start())
}

/// The lines of the innermost block around a line whose first line satisfies `opener`.
fn enclosing(
    lines: &[&str],
    at: usize,
    opener: impl Fn(&str) -> bool,
) -> Option<RangeInclusive<usize>> {
    let mut inside = indent(lines[at]);
    if opener(lines[at]) {
        return Some(at..=end(lines, at));
    }
    for line in (0..at).rev() {
        let text = lines[line];
        if text.trim().is_empty() || indent(text) >= inside {
            continue;
        }
        if opener(text) && end(lines, line) >= at {
            return Some(line..=end(lines, line));
        }
        // A line such as `) -> Result<()> {` ends a signature: its beginning has the same indent.
        if !text.trim_start().starts_with([')', '>']) {
            inside = indent(text);
        } else {
            inside = indent(text) + 1;
        }
    }
    None
}

/// The last line of a block.
fn end(lines: &[&str], begin: usize) -> usize {
    let outer = indent(lines[begin]);
    let closes = |line: &str| indent(line) == outer && line.trim_start().starts_with('}');
    let after = lines[begin + 1..].iter().position(|line| closes(line));
    after.map_or(begin, |after| begin + 1 + after)
}

fn indent(line: &str) -> usize {
    line.len() - line.trim_start().len()
}

fn is_function(line: &str) -> bool {
    line.trim_start().starts_with("fn ") || line.contains(" fn ")
}

fn is_sync(line: &str) -> bool {
    is_function(line) && !line.contains("async fn ")
}

fn is_async(line: &str) -> bool {
    [
        "async fn ",
        "async {",
        "async move {",
        "async |",
        "async move |",
    ]
    .iter()
    .any(|word| line.contains(word))
}

/// The part of a line before its first string, if the line belongs to a call of a `tracing` macro.
fn logged<'a>(lines: &[&'a str], at: usize) -> Option<&'a str> {
    let begins = |line: &str| line.contains("tracing::") && line.contains("!(");
    let line = lines[at];
    let part = if begins(line) {
        line
    } else {
        let begin = (0..at)
            .rev()
            .find(|&before| indent(lines[before]) < indent(line))?;
        let opens = begins(lines[begin]) && lines[begin].ends_with('(');
        opens.then_some(line)?
    };
    Some(part.split('"').next().unwrap_or(part))
}
