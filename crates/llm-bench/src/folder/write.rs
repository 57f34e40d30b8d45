use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::{FolderError, genai_bench, replace};
use crate::summary::RunSummary;
use crate::{Experiment, RequestRecord, Run};

/// The folder of an experiment that is being written.
///
/// Each run is written when it ends, so that its measurements are not lost.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
}

impl Folder {
    /// Creates the folder and its parents, and writes the configuration.
    ///
    /// # Errors
    /// If writing fails.
    pub fn create(path: impl Into<PathBuf>, experiment: &Experiment) -> Result<Self, FolderError> {
        let path = path.into();
        fs::create_dir_all(&path).map_err(|e| FolderError::io(&path, e))?;
        let folder = Self { path };
        folder.update(experiment)?;
        Ok(folder)
    }

    /// Writes the configuration again, with what became known since.
    ///
    /// # Errors
    /// If writing fails.
    pub fn update(&self, experiment: &Experiment) -> Result<(), FolderError> {
        let metadata = genai_bench::pretty(&genai_bench::metadata(experiment));
        write(&self.path.join(genai_bench::METADATA), metadata.as_bytes())
    }

    /// The path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes the files of a run and returns its summary.
    ///
    /// # Errors
    /// If writing fails.
    pub fn add(&self, experiment: &Experiment, run: &Run) -> Result<RunSummary, FolderError> {
        let summary = RunSummary::new(experiment, run);
        let stem = self.add_summary(experiment, &summary)?;
        let lines = self.path.join(format!("{stem}.jsonl"));
        replace(&lines, |file| write_lines(file, run))?;
        Ok(summary)
    }

    /// Writes the file of a run of which only the summary is known, such as a merged one, and
    /// returns the file's name without its extension.
    ///
    /// # Errors
    /// If writing fails.
    pub fn add_summary(
        &self,
        experiment: &Experiment,
        summary: &RunSummary,
    ) -> Result<String, FolderError> {
        let stem = self.free_stem(experiment, summary);
        let file = self.path.join(format!("{stem}.json"));
        write(&file, genai_bench::run(summary).as_bytes())?;
        Ok(stem)
    }

    /// Writes another file into the folder, such as a report, and returns its path. An existing
    /// file is replaced, and a symbolic link is not followed, since the folder may come from
    /// elsewhere.
    ///
    /// # Errors
    /// If the file cannot be written, or `name` is not a plain file name.
    pub fn write(&self, name: &str, bytes: &[u8]) -> Result<PathBuf, FolderError> {
        let file = self.path.join(name);
        if Path::new(name).file_name() != Some(name.as_ref()) {
            let error = std::io::Error::new(std::io::ErrorKind::InvalidInput, "not a file name");
            return Err(FolderError::io(&file, error));
        }
        write(&file, bytes)?;
        Ok(file)
    }

    /// An existing folder of an experiment.
    pub fn open(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// genai-bench's name for the run, with a number if the file exists.
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

/// A record with its wall-clock time.
#[derive(Serialize)]
struct RecordLine<'a> {
    /// The dispatch, in milliseconds since the Unix epoch.
    at_ms: f64,
    #[serde(flatten)]
    record: &'a RequestRecord,
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), FolderError> {
    replace(path, |file| file.write_all(bytes))
}

fn write_lines(file: &mut impl Write, run: &Run) -> std::io::Result<()> {
    for record in &run.records {
        let line = RecordLine {
            at_ms: run.started_at_ms as f64 + record.dispatched_ns as f64 / 1e6,
            record,
        };
        serde_json::to_writer(&mut *file, &line)?;
        file.write_all(b"\n")?;
    }
    Ok(())
}
