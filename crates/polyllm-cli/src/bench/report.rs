//! `bench report` and `bench merge`.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Result;
use bench_report::{Format, markdown, write_comparison, write_reports};
use llm_bench::{Folder, Results};
use serde_json::json;

use crate::bench::mlflow::TrackingServer;
use crate::bench::{Misuse, commands, features};
use crate::output::{Colour, Printed, note, print};

pub(crate) async fn run(args: &commands::Report) -> Result<ExitCode> {
    let server = args.mlflow.server()?;
    let formats: Vec<Format> = args.format.iter().copied().map(Format::from).collect();
    features::check_formats(&formats)?;
    let all = Results::load_all(&args.folders)?;
    let files = match (&all[..], &args.folders[..]) {
        ([one], [folder]) if folder.join("experiment_metadata.json").is_file() => {
            let folder = Folder::open(folder);
            match formats.is_empty() {
                true => write(&folder, one)?,
                false => write_reports(&folder, one, &formats)?,
            }
        }
        _ if !formats.is_empty() => {
            let text = "--format needs a single experiment; several are written to one HTML page";
            return Err(Misuse(text.to_owned()).into());
        }
        _ => {
            write_comparison(&args.output, &all)?;
            vec![args.output.clone()]
        }
    };
    if let Some(server) = &server {
        for results in &all {
            server.export(results).await?;
        }
    }
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
    print_page(&files)?;
    Ok(ExitCode::SUCCESS)
}

pub(crate) fn merge(args: &commands::Merge) -> Result<ExitCode> {
    if args.output.join("experiment_metadata.json").exists() {
        return Err(Misuse::occupied(&args.output).into());
    }
    let mut known = HashSet::new();
    for folder in &args.folders {
        // A folder that is missing is reported when it is read.
        if let Ok(path) = folder.canonicalize()
            && !known.insert(path)
        {
            let folder = folder.display();
            return Err(Misuse(format!("{folder} is given twice")).into());
        }
    }
    let joined = bench_report::merge(&Results::load_all(&args.folders)?);
    let mut joined = joined.map_err(|error| Misuse(error.to_string()))?;
    if let Some(name) = args.output.file_name() {
        joined.experiment.name = name.to_string_lossy().into_owned();
    }
    let folder = Folder::create(&args.output, &joined.experiment)?;
    for run in &joined.runs {
        folder.add_summary(&joined.experiment, run)?;
    }
    let files = write(&folder, &joined)?;
    print(format_args!("{}\n", markdown(&joined)))?;
    print_page(&files)?;
    Ok(ExitCode::SUCCESS)
}

/// Writes the reports that this build supports, and prints a note about others.
pub(crate) fn write(folder: &Folder, results: &Results) -> Result<Vec<PathBuf>> {
    let mut formats = Vec::from(Format::ALL);
    // Images are the same as the SVG files, and need a font. Parquet has the rows of the CSV file.
    let on_demand = [Format::Parquet, Format::Png];
    formats.retain(|format| format.is_supported() && !on_demand.contains(format));
    let files = write_reports(folder, results, &formats)?;
    features::note_spreadsheet();
    Ok(files)
}

/// Exports the runs to a tracking server. Prints a warning if that fails: they are in the folder.
pub(crate) async fn export(server: Option<&TrackingServer>, folder: &Path, results: &Results) {
    let Some(server) = server else { return };
    if let Err(error) = server.export(results).await {
        let text = format_args!(
            "{error}; try again with `polyllm bench report {} --mlflow URL`",
            folder.display()
        );
        note("warning", Colour::Yellow, text);
    }
}

/// Prints the path of the HTML page.
fn print_page(files: &[PathBuf]) -> Result<()> {
    let page = files
        .iter()
        .find(|file| file.extension().is_some_and(|end| end == "html"));
    if let Some(page) = page {
        print(format_args!("wrote {}\n", page.display()))?;
    }
    Ok(())
}
