//! The folder of an experiment in genai-bench's layout: written run by run, and read.
//!
//! ```text
//! EXPERIMENT/
//!   experiment_metadata.json                              the configuration
//!   D100_100_text-to-text_num_concurrency_4_time_9s.json  a run: its statistics and requests
//!   D100_100_text-to-text_num_concurrency_4_time_9s.jsonl its records: a line per request
//! ```
//!
//! genai-bench's `excel` and `plot` read the JSON files. Our own data is beside its fields. Reports
//! are made from these files.

mod error;
mod genai_bench;
mod theirs;
mod validate;
mod write;

pub(crate) use error::shown;
pub use error::{FolderError, FolderErrorKind};
pub(crate) use genai_bench::{file_name, metadata};
pub(crate) use validate::{MAX_READINGS, MAX_VALUE};
pub use write::Folder;

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use crate::summary::RunSummary;
use crate::{Experiment, Run};

/// An experiment and the summaries of its runs: the content of a folder.
#[non_exhaustive]
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Results {
    /// The configuration.
    pub experiment: Experiment,
    /// The runs, by scenario, load and batch size.
    pub runs: Vec<RunSummary>,
}

impl Results {
    /// Computes the summaries of an experiment.
    pub fn new(experiment: Experiment, runs: &[Run]) -> Self {
        let runs = runs.iter().map(|run| RunSummary::new(&experiment, run));
        let mut results = Self {
            runs: runs.collect(),
            experiment,
        };
        results.sort();
        results
    }

    /// Reads the folder of an experiment: ours or genai-bench's. The statistics of genai-bench's
    /// own folders are computed again from the requests, since, for example, its error rate is
    /// always 0.
    ///
    /// # Errors
    /// If `experiment_metadata.json` is missing, or a file cannot be read or is invalid; the error
    /// names it.
    pub fn load(folder: &Path) -> Result<Self, FolderError> {
        genai_bench::load(folder)
    }

    /// Reads folders, each of one experiment or of folders of experiments.
    ///
    /// # Errors
    /// As [`Results::load`], and if a folder contains no experiment.
    pub fn load_all(folders: &[PathBuf]) -> Result<Vec<Self>, FolderError> {
        let mut all: Vec<Self> = Vec::new();
        for folder in folders {
            if folder.join(genai_bench::METADATA).is_file() {
                all.push(Self::load(folder)?);
                continue;
            }
            if !folder.is_dir() {
                return Err(FolderError::no_experiment(folder));
            }
            let entries = fs::read_dir(folder).map_err(|e| FolderError::io(folder, e))?;
            let mut inner: Vec<PathBuf> = entries
                .filter_map(|entry| Some(entry.ok()?.path()))
                .filter(|path| path.join(genai_bench::METADATA).is_file())
                .collect();
            inner.sort();
            if inner.is_empty() {
                return Err(FolderError::no_experiment(folder));
            }
            for folder in inner {
                if all.len() >= validate::MAX_RUNS {
                    return Err(FolderError::invalid(&folder, "too many experiments"));
                }
                all.push(Self::load(&folder)?);
            }
        }
        Ok(all)
    }

    /// Serializes everything for another machine.
    pub(crate) fn pack(&self) -> Vec<u8> {
        genai_bench::pack(self)
    }

    /// Deserializes what [`Results::pack`] serialized.
    pub(crate) fn unpack(bytes: &[u8]) -> Result<Self, serde_json::Error> {
        genai_bench::unpack(bytes)
    }

    /// Sorts runs by scenario, in the configured order, then by load and batch size.
    pub fn sort(&mut self) {
        let scenarios = &self.experiment.scenarios;
        self.runs.sort_by(|a, b| {
            let place = |run: &RunSummary| scenarios.iter().position(|s| *s == run.run.scenario);
            let load = |run: &RunSummary| run.run.load.value();
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

/// Replaces a file of an experiment's folder. The folder may come from elsewhere: a symbolic link
/// of that name is replaced, not followed.
fn replace(
    path: &Path,
    fill: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>,
) -> Result<(), FolderError> {
    let mut name = std::ffi::OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(format!(".{}", std::process::id()));
    let beside = path.with_file_name(name);
    let write = || {
        // A leftover of an earlier process with the same id.
        let _ = fs::remove_file(&beside);
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .open(&beside)?;
        let mut file = BufWriter::new(file);
        fill(&mut file)?;
        file.flush()?;
        fs::rename(&beside, path)
    };
    write().map_err(|error| {
        let _ = fs::remove_file(&beside);
        FolderError::io(path, error)
    })
}

#[cfg(test)]
mod tests;
