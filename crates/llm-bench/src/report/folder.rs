use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::{ReportError, Results, csv, figures, genai_bench, html, markdown, write};
use crate::stats::Statistic;
use crate::summary::RunSummary;
use crate::{Experiment, RequestRecord, Run};

/// The folder of an experiment, while it is written.
///
/// Runs are added as they end, so that what was measured is on the disk whatever comes after.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
}

impl Folder {
    /// Makes the folder, with those above it, and writes what was asked for.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn create(path: impl Into<PathBuf>, experiment: &Experiment) -> Result<Self, ReportError> {
        let path = path.into();
        fs::create_dir_all(&path).map_err(|e| ReportError::io(&path, e))?;
        let file = path.join(genai_bench::METADATA);
        write(&file, genai_bench::metadata(experiment).as_bytes())?;
        Ok(Self { path })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes the files of a run, and gives its numbers.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn add(&self, experiment: &Experiment, run: &Run) -> Result<RunSummary, ReportError> {
        let summary = RunSummary::new(experiment, run);
        let stem = self.add_summary(experiment, &summary)?;
        let lines = self.path.join(format!("{stem}.jsonl"));
        write_lines(&lines, run).map_err(|e| ReportError::io(&lines, e))?;
        Ok(summary)
    }

    /// Writes the file of a run of which only the numbers are known, such as one joined from
    /// those of several machines, and tells the file's name without its ending.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn add_summary(
        &self,
        experiment: &Experiment,
        summary: &RunSummary,
    ) -> Result<String, ReportError> {
        let stem = self.free_stem(experiment, summary);
        let file = self.path.join(format!("{stem}.json"));
        write(&file, genai_bench::run(summary).as_bytes())?;
        Ok(stem)
    }

    /// Writes the reports: page, Markdown, CSV, plots and, with feature `xlsx`, the spreadsheet.
    /// Tells which files there are.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn write_reports(&self, results: &Results) -> Result<Vec<PathBuf>, ReportError> {
        let mut files = Vec::new();
        let mut add = |name: String, bytes: Vec<u8>| {
            let file = self.path.join(name);
            write(&file, &bytes)?;
            files.push(file);
            Ok(())
        };
        let all = std::slice::from_ref(results);
        add("report.html".to_owned(), html::page(all).into_bytes())?;
        add(
            "report.md".to_owned(),
            markdown::summary(results).into_bytes(),
        )?;
        add("runs.csv".to_owned(), csv::runs(results))?;
        add("requests.csv".to_owned(), csv::requests(results))?;
        #[cfg(feature = "xlsx")]
        {
            let name = format!(
                "{}_summary.xlsx",
                genai_bench::file_name(&results.experiment.name)
            );
            let book = super::xlsx::workbook(results)
                .map_err(|e| ReportError::spreadsheet(&self.path.join(&name), e))?;
            add(name, book)?;
        }
        // Not in a folder of their own: genai-bench takes a folder with folders for several
        // experiments.
        for figure in figures::overview(all) {
            for (statistic, chart) in figure.charts {
                let name = match statistic {
                    None => format!("plot_{}.svg", figure.name),
                    Some(statistic @ (Statistic::Mean | Statistic::Percentile(99.0))) => {
                        format!("plot_{}_{statistic}.svg", figure.name)
                    }
                    // The page has the others.
                    Some(_) => continue,
                };
                add(name, chart.to_svg_file().into_bytes())?;
            }
        }
        Ok(files)
    }

    /// The folder of an experiment that is there already.
    pub fn open(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// genai-bench's name for the run; with a number in it when there already is such a file.
    fn free_stem(&self, experiment: &Experiment, summary: &RunSummary) -> String {
        let mut stem = genai_bench::stem(experiment, summary, 1);
        let mut number = 1;
        while self.path.join(format!("{stem}.json")).exists() {
            number += 1;
            stem = genai_bench::stem(experiment, summary, number);
        }
        stem
    }
}

/// A record, and when it was by the clock on the wall.
#[derive(Serialize)]
struct Line<'a> {
    /// Milliseconds since the Unix epoch at the dispatch.
    at_ms: f64,
    #[serde(flatten)]
    record: &'a RequestRecord,
}

fn write_lines(path: &Path, run: &Run) -> std::io::Result<()> {
    let mut file = BufWriter::new(File::create(path)?);
    for record in &run.records {
        let line = Line {
            at_ms: run.started_at_ms as f64 + record.dispatched_ns as f64 / 1e6,
            record,
        };
        serde_json::to_writer(&mut file, &line)?;
        file.write_all(b"\n")?;
    }
    file.flush()
}
