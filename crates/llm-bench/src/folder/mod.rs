//! The folder of an experiment as genai-bench lays it out: written run by run, and read back.
//!
//! ```text
//! EXPERIMENT/
//!   experiment_metadata.json                              what was asked for
//!   D100_100_text-to-text_num_concurrency_4_time_9s.json  a run: its numbers and requests
//!   D100_100_text-to-text_num_concurrency_4_time_9s.jsonl its records: a line per request
//! ```
//!
//! The JSON files are genai-bench's: its `excel` and `plot` read them. What it lacks stands
//! beside its fields. Reports are made from these files.

mod error;
mod genai_bench;
mod sound;
mod write;

pub(crate) use error::shown;
pub use error::{FolderError, FolderErrorKind};
pub(crate) use genai_bench::{file_name, metadata};
pub use write::Folder;

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use crate::summary::RunSummary;
use crate::{Experiment, Run};

/// An experiment and the numbers of its runs: the content of a folder.
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
    /// When there is no `experiment_metadata.json`, or a file cannot be read or holds what no
    /// benchmark writes; the error names it.
    pub fn load(folder: &Path) -> Result<Self, FolderError> {
        genai_bench::load(folder)
    }

    /// Reads folders, each of an experiment or of folders of experiments.
    ///
    /// # Errors
    /// As [`Results::load`], and when a folder holds no experiment at all.
    pub fn load_all(folders: &[PathBuf]) -> Result<Vec<Self>, FolderError> {
        let mut all: Vec<Self> = Vec::new();
        for folder in folders {
            if folder.join(genai_bench::METADATA).is_file() {
                all.push(Self::load(folder)?);
                continue;
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
                if all.len() >= sound::MOST_RUNS {
                    return Err(FolderError::unsound(&folder, "too many experiments"));
                }
                all.push(Self::load(&folder)?);
            }
        }
        Ok(all)
    }

    /// All of it as bytes, for another machine.
    pub(crate) fn pack(&self) -> Vec<u8> {
        genai_bench::pack(self)
    }

    /// From the bytes that [`Results::pack`] made.
    pub(crate) fn unpack(bytes: &[u8]) -> Result<Self, serde_json::Error> {
        genai_bench::unpack(bytes)
    }

    /// Sorts runs by scenario, in the order in which they were asked for, load and batch size.
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

/// Writes a file of an experiment's folder, which may come from elsewhere: what has its name there
/// is replaced and never written through, as a symbolic link would be.
fn replace(
    path: &Path,
    fill: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>,
) -> Result<(), FolderError> {
    let mut name = std::ffi::OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(format!(".{}", std::process::id()));
    let beside = path.with_file_name(name);
    let write = || {
        // What an earlier process of the same number left behind.
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
