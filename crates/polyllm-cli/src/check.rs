use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::process::ExitCode;

use anyhow::Result;
use llm_gateway::{Config, ConfigError, Deployment, PriceTable, Problem, Severity};
use llm_provider::text::printable;
use serde_json::{Value, json};

use crate::output::{print, print_message};
use crate::{args, database};

pub(crate) fn run(args: &args::Check) -> Result<ExitCode> {
    let registry = polyllm::registry();
    let Some(file) = args.config.as_deref() else {
        // Without a file, the arguments ask for the schema.
        let schema = serde_json::to_string_pretty(&Config::schema(&registry))?;
        print(format_args!("{schema}\n"))?;
        return Ok(ExitCode::SUCCESS);
    };
    let outcome = Config::load(file, &registry);
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
    let name = file.display();
    for warning in &config.warnings {
        print(format_args!("{name}:{warning}\n"))?;
    }
    print(plan(&config, file))?;
    let models: Vec<_> = groups(&config).into_keys().collect();
    print(format_args!(
        "{name}: valid: {} with {}: {}\n",
        count(models.len(), "model"),
        count(config.deployments.len(), "deployment"),
        printable(&models.join(", ")),
    ))?;
    Ok(ExitCode::SUCCESS)
}

/// Which deployments serve which model, by which limits, and where keys and spend are kept.
fn plan(config: &Config, file: &Path) -> String {
    let mut text = String::new();
    for (group, deployments) in groups(config) {
        let _ = writeln!(text, "{}", printable(group));
        for deployment in deployments {
            let provider = deployment.provider.name();
            let model = printable(&deployment.model);
            let details = details(deployment).join(", ");
            let _ = writeln!(text, "  {provider}/{model}: {details}");
        }
    }
    let access = match config.master_key {
        Some(_) => "the master key and virtual keys",
        None => "everyone: there is no master_key",
    };
    let _ = writeln!(text, "access: {access}");
    if let Some((url, _)) = database::url(config, Some(file)) {
        let _ = writeln!(text, "database of keys and spend: {}", url.redacted());
    }
    text
}

fn details(deployment: &Deployment) -> Vec<String> {
    let limits = &deployment.limits;
    let mut details = vec![format!("weight {}", deployment.weight)];
    if deployment.order > 0 {
        details.push(format!("order {}", deployment.order));
    }
    for (limit, what) in [
        (limits.rpm, "requests per minute"),
        (limits.tpm, "tokens per minute"),
        (
            limits.max_parallel_requests.map(u64::from),
            "parallel requests",
        ),
        (deployment.context_window, "tokens of context"),
    ] {
        details.extend(limit.map(|limit| format!("{limit} {what}")));
    }
    let prices = deployment.prices_in(&PriceTable::default(), None);
    let prices = prices.unwrap_or_default();
    let price = match (prices.input_token, prices.output_token) {
        (Some(input), Some(output)) => format!(
            "${} and ${} per million tokens of prompt and reply",
            per_million(input),
            per_million(output)
        ),
        _ => "price unknown".to_owned(),
    };
    details.push(price);
    details
}

/// The price of a million tokens, without the errors of the multiplication.
fn per_million(price: f64) -> String {
    let text = format!("{:.6}", price * 1e6);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn groups(config: &Config) -> BTreeMap<&str, Vec<&Deployment>> {
    let mut groups: BTreeMap<&str, Vec<&Deployment>> = BTreeMap::new();
    for deployment in &config.deployments {
        groups
            .entry(&deployment.group)
            .or_default()
            .push(deployment);
    }
    groups
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
