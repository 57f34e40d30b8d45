//! The crates of layer 0 and the router, by a benchmark named `instructions` in each.
//!
//! Without arguments, that program prints a line per case: its name, a tab, and the number of units,
//! such as events, in one pass. With a name and a number, it makes so many passes.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};
use serde_json::Value;

use super::callgrind;
use super::limits::{Count, report};
use crate::tool;

/// A crate, and the features that its benchmark needs.
pub(super) struct Leaf {
    pub(super) package: &'static str,
    features: &'static str,
}

pub(super) const ALL: [Leaf; 3] = [
    Leaf {
        package: "sse-codec",
        features: "encode,std",
    },
    Leaf {
        package: "prompt-templates",
        features: "jinja",
    },
    Leaf {
        package: "llm-router",
        features: "default",
    },
];

impl Leaf {
    /// Counts, prints and compares.
    pub(super) fn run(&self, json: bool) -> Result<()> {
        let program = self.build()?;
        let folder = tool::target()?.join("bench-instructions");
        fs::create_dir_all(&folder)?;
        let cases = tool::output(&mut std::process::Command::new(&program))?;
        let mut counts = Vec::new();
        for line in cases.lines() {
            let (case, units) = line
                .split_once('\t')
                .with_context(|| format!("not a case and its units: {line}"))?;
            let units: u64 = units.parse()?;
            let passes = |passes: u64| {
                callgrind::count_program(&program, &[case, &passes.to_string()], &folder)
            };
            // The difference has no start-up and no preparation in it.
            let (few, many) = (passes(FEW)?, passes(FEW + PASSES)?);
            counts.push(Count {
                subject: self.package,
                case: case.to_owned(),
                count: many.saturating_sub(few) / PASSES / units,
                against: None,
            });
        }
        report(&counts, json)
    }

    /// Builds the benchmark, and returns where it is.
    fn build(&self) -> Result<PathBuf> {
        let Self { package, features } = self;
        let line = format!(
            "cargo bench -p {package} --features {features} --bench instructions --no-run \
             --message-format json-render-diagnostics"
        );
        let messages = tool::output(&mut tool::command(&line))?;
        executable(&messages).with_context(|| format!("{package} has no benchmark `instructions`"))
    }
}

/// The program among the messages of Cargo.
fn executable(messages: &str) -> Option<PathBuf> {
    let messages = messages
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let mut found = messages.filter(|message| message["target"]["name"] == "instructions");
    found.find_map(|message| message["executable"].as_str().map(PathBuf::from))
}

/// Passes of the shorter run, which fills caches such as that of the CPU's features.
const FEW: u64 = 2;
/// Passes that are counted.
const PASSES: u64 = 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_program_is_found_in_the_messages_of_cargo() {
        let messages = r#"{"reason":"compiler-artifact","target":{"name":"a"},"executable":"/t/a"}
{"reason":"compiler-artifact","target":{"name":"instructions"},"executable":"/t/i-1"}
{"reason":"build-finished","success":true}"#;
        assert_eq!(executable(messages), Some(PathBuf::from("/t/i-1")));
        assert_eq!(executable("{}"), None);
    }
}
