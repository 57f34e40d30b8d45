//! `bench excel` and `bench plot`: genai-bench's commands on our folders and on its own.

use std::process::ExitCode;

use anyhow::Result;
use bench_report::{Format, write_plots, write_spreadsheet};
use llm_bench::{Error, Experiment, Folder, Results};
use serde_json::{Map, Value};

use crate::bench::{commands, features};
use crate::output::{Colour, note, print};

pub(crate) fn excel(args: &commands::Excel) -> Result<ExitCode> {
    features::check_spreadsheet()?;
    if args.metrics_time_unit != "s" {
        let text = format_args!(
            "--metrics-time-unit {} has no effect: the titles of the columns name seconds",
            args.metrics_time_unit
        );
        note("note", Colour::Yellow, text);
    }
    if args.excel_name.contains(['/', '\\']) {
        let reason = "expected a name without a folder";
        return Err(usage("--excel-name", &args.excel_name, reason));
    }
    let results = Results::load(&args.experiment_folder)?;
    let folder = Folder::open(&args.experiment_folder);
    let file = write_spreadsheet(&folder, &results, &args.excel_name, args.metric_percentile)?;
    print(format_args!("wrote {}\n", file.display()))?;
    Ok(ExitCode::SUCCESS)
}

pub(crate) fn plot(args: &commands::Plot) -> Result<ExitCode> {
    let format = Format::from(args.format);
    features::check_formats(&[format])?;
    let layout = args.preset.is_some() || args.plot_config.is_some();
    if layout || args.metrics_time_unit.is_some() {
        let text = "--preset, --plot-config and --metrics-time-unit have no effect: every chart is \
                    a file, and its axis names the unit";
        note("note", Colour::Yellow, text);
    }
    let criteria = args.filter_criteria.as_deref().map(criteria).transpose()?;
    let mut all = Results::load_all(std::slice::from_ref(&args.experiments_folder))?;
    if let Some(criteria) = &criteria {
        for results in &all {
            check_fields(&results.experiment, criteria)?;
        }
        all.retain_mut(|results| filter(results, criteria));
    }
    if all.is_empty() {
        return Err(usage(
            "--filter-criteria",
            args.filter_criteria.as_deref().unwrap_or_default(),
            "no experiment in the folder has these values; --list-fields prints the fields",
        ));
    }
    if args.list_fields {
        for field in fields(&all[0].experiment) {
            print(format_args!("{field}\n"))?;
        }
        return Ok(ExitCode::SUCCESS);
    }
    if !["none", SCENARIOS].contains(&args.group_key.as_str()) {
        for results in &mut all {
            name_by(&mut results.experiment, &args.group_key)?;
        }
    }
    if args.validate_only {
        print("the options and the folder are valid\n")?;
        return Ok(ExitCode::SUCCESS);
    }
    for file in write_plots(&Folder::open(&args.experiments_folder), &all, format)? {
        print(format_args!("wrote {}\n", file.display()))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Whether an experiment has the values, as in genai-bench: a list is compared as a whole, except that of
/// scenarios, of which only the runs with one of them are kept.
fn filter(results: &mut Results, criteria: &Map<String, Value>) -> bool {
    let metadata = results.experiment.metadata();
    let mut others = criteria.iter().filter(|(field, _)| *field != SCENARIOS);
    if !others.all(|(field, value)| metadata.get(field) == Some(value)) {
        return false;
    }
    let Some(wanted) = criteria.get(SCENARIOS) else {
        return true;
    };
    let is_wanted = |scenario: &str| match wanted {
        Value::Array(wanted) => wanted.iter().any(|wanted| wanted == scenario),
        wanted => wanted == scenario,
    };
    // The name in genai-bench's files has the load, too, where it is a rate.
    results
        .runs
        .retain(|run| is_wanted(&run.run.scenario) || is_wanted(&run.aggregated.scenario));
    !results.runs.is_empty()
}

/// Checks that an experiment has the fields of the criteria.
fn check_fields(experiment: &Experiment, criteria: &Map<String, Value>) -> Result<()> {
    let known: Vec<String> = fields(experiment).collect();
    match criteria.keys().find(|field| !known.contains(field)) {
        None => Ok(()),
        Some(field) => {
            let reason = format!("unknown field; expected one of {}", known.join(", "));
            Err(usage("--filter-criteria", field, &reason))
        }
    }
}

fn criteria(text: &str) -> Result<Map<String, Value>> {
    serde_json::from_str(text).map_err(|error| {
        let reason = format!("expected a JSON object such as {{\"model\": \"m\"}}: {error}");
        usage("--filter-criteria", text, &reason)
    })
}

/// Names an experiment by a field of its metadata.
fn name_by(experiment: &mut Experiment, field: &str) -> Result<()> {
    match experiment.metadata().get(field) {
        Some(Value::String(text)) => experiment.name.clone_from(text),
        Some(value) => experiment.name = value.to_string(),
        None => {
            let all: Vec<String> = fields(experiment).collect();
            let reason = format!("expected one of {}", all.join(", "));
            return Err(usage("--group-key", field, &reason));
        }
    }
    Ok(())
}

/// The names of genai-bench's metadata.
fn fields(experiment: &Experiment) -> impl Iterator<Item = String> + use<> {
    let metadata = match experiment.metadata() {
        Value::Object(fields) => fields,
        _ => Map::new(),
    };
    let names = metadata.into_iter().map(|(name, _)| name);
    names.filter(|name| name != "polyllm" && name != "auth_config")
}

fn usage(option: &'static str, value: &str, reason: &str) -> anyhow::Error {
    let value = llm_provider::text::excerpt(value).into_owned();
    let reason = reason.to_owned();
    Error::Usage {
        option,
        value,
        reason,
    }
    .into()
}

/// The field of the metadata with the scenarios.
const SCENARIOS: &str = "traffic_scenario";
