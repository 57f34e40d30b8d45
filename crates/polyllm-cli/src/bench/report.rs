//! `bench report` and `bench merge`: from folders to folders.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Result, bail};
use llm_bench::report::{Folder, Results, markdown, write_comparison};
use serde_json::json;

use crate::bench::after;
use crate::output::{Printed, print};

pub(crate) fn run(args: &after::Report) -> Result<ExitCode> {
    let all = Results::load_all(&args.folders)?;
    let files = match (&all[..], &args.folders[..]) {
        ([one], [folder]) if folder.join("experiment_metadata.json").is_file() => {
            Folder::open(folder).write_reports(one)?
        }
        _ => {
            write_comparison(&args.output, &all)?;
            vec![args.output.clone()]
        }
    };
    if args.json {
        for results in &all {
            for run in &results.runs {
                let line = json!({
                    "experiment": results.experiment.name,
                    "run": run.label(),
                    "aggregated_metrics": run.aggregated,
                });
                if print(format_args!("{line}\n"))? == Printed::ReaderGone {
                    return Ok(ExitCode::SUCCESS);
                }
            }
        }
        return Ok(ExitCode::SUCCESS);
    }
    for results in &all {
        print(format_args!("{}\n", markdown(results)))?;
    }
    wrote(&files)?;
    Ok(ExitCode::SUCCESS)
}

pub(crate) fn merge(args: &after::Merge) -> Result<ExitCode> {
    if args.output.join("experiment_metadata.json").exists() {
        bail!("{} already holds an experiment", args.output.display());
    }
    let mut joined = llm_bench::merge::merge(&Results::load_all(&args.folders)?)?;
    if let Some(name) = args.output.file_name() {
        joined.experiment.name = name.to_string_lossy().into_owned();
    }
    let folder = Folder::create(&args.output, &joined.experiment)?;
    for run in &joined.runs {
        folder.add_summary(&joined.experiment, run)?;
    }
    let files = folder.write_reports(&joined)?;
    print(format_args!("{}\n", markdown(&joined)))?;
    wrote(&files)?;
    Ok(ExitCode::SUCCESS)
}

/// Tells the page, which is what one wants to open.
fn wrote(files: &[PathBuf]) -> Result<()> {
    let page = files
        .iter()
        .find(|file| file.extension().is_some_and(|end| end == "html"));
    if let Some(page) = page {
        print(format_args!("wrote {}\n", page.display()))?;
    }
    Ok(())
}
