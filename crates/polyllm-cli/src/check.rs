use std::collections::BTreeSet;
use std::process::ExitCode;

use anyhow::Result;
use llm_gateway::{Config, ConfigError, Problem, Severity};
use llm_provider::text::printable;
use serde_json::{Value, json};

use crate::args;
use crate::output::{print, print_message};

pub(crate) fn run(args: &args::Check) -> Result<ExitCode> {
    let outcome = Config::load(&args.config, &polyllm::registry());
    if args.json {
        let problems = match &outcome {
            Ok(config) => &config.warnings[..],
            Err(error) => error.problems(),
        };
        let problems: Vec<Value> = problems.iter().map(as_json).collect();
        print(format_args!(
            "{}\n",
            json!({ "ok": outcome.is_ok(), "problems": problems })
        ))?;
        return Ok(if outcome.is_ok() {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        });
    }
    let config = match outcome {
        Ok(config) => config,
        Err(error) => return report(&error),
    };
    let file = args.config.display();
    for warning in &config.warnings {
        print(format_args!("{file}:{warning}\n"))?;
    }
    let groups = config
        .deployments
        .iter()
        .map(|deployment| deployment.group.as_str());
    let models = Vec::from_iter(BTreeSet::from_iter(groups));
    print(format_args!(
        "{file}: valid: {} with {}: {}\n",
        count(models.len(), "model"),
        count(config.deployments.len(), "deployment"),
        printable(&models.join(", ")),
    ))?;
    Ok(ExitCode::SUCCESS)
}

/// Prints the problems of a configuration like a compiler.
pub(crate) fn report(error: &ConfigError) -> Result<ExitCode> {
    print_message(error);
    Ok(ExitCode::FAILURE)
}

fn as_json(problem: &Problem) -> Value {
    json!({
        "severity": match problem.severity {
            Severity::Error => "error",
            _ => "warning",
        },
        "line": problem.at.map(|at| at.line),
        "column": problem.at.map(|at| at.column),
        "message": problem.message,
        "help": problem.help,
    })
}

fn count(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}
