//! `polyllm providers`: the providers and the settings that they declare.

use std::process::ExitCode;

use anyhow::Result;
use llm_provider::{COMMON_SETTINGS, ProviderSpec, SettingSpec};
use serde_json::{Value, json};

use crate::output::{self, Printed, print};
use crate::request;

/// List the providers and their settings
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Settings belong in `litellm_params` of a config.yaml, beside `model` and `api_key`:\n\n  litellm_params:\n    model: PROVIDER/MODEL\n    idle_timeout: 30"
)]
pub(crate) struct Providers {
    /// The provider; all by default
    provider: Option<String>,
    /// Print a line of JSON for each provider, with its settings and parameters
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &Providers) -> Result<ExitCode> {
    let registry = polyllm::registry();
    let name = args.provider.as_ref();
    let name = name.map(|name| registry.find(name)).transpose();
    let name = name.map_err(request::misuse)?;
    let specs = registry.specs();
    let specs = specs.filter(|spec| name.is_none_or(|name| spec.name() == name));
    if args.json {
        for spec in specs {
            if print(format_args!("{}\n", as_json(spec)))? == Printed::ReaderGone {
                break;
            }
        }
        return Ok(ExitCode::SUCCESS);
    }
    let mut sections = Vec::new();
    if name.is_none() {
        sections.push(section("all providers", COMMON_SETTINGS));
        sections.extend(specs.map(|spec| section(spec.name(), spec.specific_settings())));
    } else {
        sections.extend(specs.map(|spec| section(spec.name(), spec.settings())));
    }
    print(sections.join("\n"))?;
    Ok(ExitCode::SUCCESS)
}

/// A title and a table of settings.
fn section<'s>(title: &str, settings: impl IntoIterator<Item = &'s SettingSpec>) -> String {
    let head = ["SETTING", "TYPE", "DEFAULT", "MEANING"].map(str::to_owned);
    let rows = settings.into_iter().map(row);
    let rows: Vec<Vec<String>> = [head].into_iter().chain(rows).map(Vec::from).collect();
    format!("{title}:\n{}", output::table(&rows, 4))
}

fn row(setting: &SettingSpec) -> [String; 4] {
    let variables = setting.variables.iter().map(|name| format!("${name}"));
    let default = setting.default.map(|default| default.to_string());
    let defaults: Vec<String> = variables.chain(default).collect();
    [
        setting.name.to_owned(),
        setting.kind.to_string(),
        defaults.join(", "),
        setting.doc.to_owned(),
    ]
}

fn as_json(spec: &ProviderSpec) -> Value {
    let settings = spec.settings().iter().map(|setting| {
        json!({
            "name": setting.name,
            "type": setting.kind.to_string(),
            "default": setting.default.map(Value::from),
            "variables": setting.variables,
            "meaning": setting.doc,
        })
    });
    let params = spec.params().iter();
    let params = params.map(|param| json!({ "name": param.name, "type": param.kind.to_string() }));
    json!({
        "provider": spec.name(),
        "settings": settings.collect::<Vec<_>>(),
        "params": params.collect::<Vec<_>>(),
    })
}
