//! From numbers to files: an experiment's folder as genai-bench lays it out, what it is read
//! back from, and the reports that are made of it.
//!
//! ```text
//! EXPERIMENT/
//!   experiment_metadata.json                              what was asked for
//!   D100_100_text-to-text_num_concurrency_4_time_9s.json  a run: its numbers and requests
//!   D100_100_text-to-text_num_concurrency_4_time_9s.jsonl its records: a line per request
//!   report.html  report.md  runs.csv  requests.csv  EXPERIMENT_summary.xlsx  plot_*.svg
//! ```
//!
//! The JSON files are genai-bench's: its `excel` and `plot` read them. What it lacks stands
//! beside its fields. Everything below the JSON files can be made again from them.

mod chart;
mod csv;
mod error;
mod figures;
mod folder;
mod genai_bench;
mod html;
mod markdown;
mod number;
#[cfg(feature = "xlsx")]
mod xlsx;

pub(crate) use number::{duration, number, percent};

pub use error::{ReportError, ReportErrorKind};
pub use folder::Folder;

use std::fs;
use std::path::{Path, PathBuf};

use crate::summary::RunSummary;
use crate::{Experiment, Run};

/// An experiment and the numbers of its runs: what reports are made of.
#[non_exhaustive]
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Results {
    /// What was asked for.
    pub experiment: Experiment,
    /// The runs, by scenario, load and batch size.
    pub runs: Vec<RunSummary>,
}

impl Results {
    /// Computes the numbers of an experiment.
    pub fn new(experiment: Experiment, runs: &[Run]) -> Self {
        let runs = runs.iter().map(|run| RunSummary::new(&experiment, run));
        let mut results = Self {
            runs: runs.collect(),
            experiment,
        };
        results.sort();
        results
    }

    /// Reads the folder of an experiment: one of ours, or one of genai-bench's own, whose numbers
    /// are computed anew from its requests (its error rate, for one, is always 0).
    ///
    /// # Errors
    /// When there is no `experiment_metadata.json`, or a file cannot be read; the error names it.
    pub fn load(folder: &Path) -> Result<Self, ReportError> {
        genai_bench::load(folder)
    }

    /// Reads folders, each of an experiment or of folders of experiments.
    ///
    /// # Errors
    /// As [`Results::load`], and when a folder holds no experiment at all.
    pub fn load_all(folders: &[PathBuf]) -> Result<Vec<Self>, ReportError> {
        let mut all = Vec::new();
        for folder in folders {
            if folder.join(genai_bench::METADATA).is_file() {
                all.push(Self::load(folder)?);
                continue;
            }
            let entries = fs::read_dir(folder).map_err(|e| ReportError::io(folder, e))?;
            let mut inner: Vec<PathBuf> = entries
                .filter_map(|entry| Some(entry.ok()?.path()))
                .filter(|path| path.join(genai_bench::METADATA).is_file())
                .collect();
            inner.sort();
            if inner.is_empty() {
                return Err(ReportError::no_experiment(folder));
            }
            for folder in inner {
                all.push(Self::load(&folder)?);
            }
        }
        Ok(all)
    }

    /// All of it as bytes, for another machine.
    #[cfg(any(feature = "nats", feature = "redis"))]
    pub(crate) fn pack(&self) -> Vec<u8> {
        genai_bench::pack(self)
    }

    /// From the bytes that [`Results::pack`] made.
    #[cfg(any(feature = "nats", feature = "redis"))]
    pub(crate) fn unpack(bytes: &[u8]) -> Result<Self, serde_json::Error> {
        genai_bench::unpack(bytes)
    }

    /// Sorts runs by scenario, in the order in which they were asked for, load and batch size.
    pub(crate) fn sort(&mut self) {
        let scenarios = &self.experiment.scenarios;
        self.runs.sort_by(|a, b| {
            let place = |run: &RunSummary| scenarios.iter().position(|s| *s == run.run.scenario);
            let load = |run: &RunSummary| figures::load_value(&run.run.load);
            let by_load = load(a).total_cmp(&load(b));
            let by_batch = a.run.batch_size.cmp(&b.run.batch_size);
            let by_time = a.run.started_at_ms.cmp(&b.run.started_at_ms);
            place(a)
                .cmp(&place(b))
                .then(by_load)
                .then(by_batch)
                .then(by_time)
        });
    }
}

/// Writes a page that compares several experiments.
///
/// # Errors
/// When the file cannot be written.
pub fn write_comparison(path: &Path, all: &[Results]) -> Result<(), ReportError> {
    write(path, html::page(all).as_bytes())
}

/// The summary of an experiment in Markdown, as it stands in `report.md`.
pub fn markdown(results: &Results) -> String {
    markdown::summary(results)
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), ReportError> {
    fs::write(path, bytes).map_err(|e| ReportError::io(path, e))
}

#[cfg(test)]
mod tests;
