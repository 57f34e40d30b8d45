use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::{FolderError, genai_bench, replace};
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
    pub fn create(path: impl Into<PathBuf>, experiment: &Experiment) -> Result<Self, FolderError> {
        let path = path.into();
        fs::create_dir_all(&path).map_err(|e| FolderError::io(&path, e))?;
        let file = path.join(genai_bench::METADATA);
        write(
            &file,
            genai_bench::pretty(&genai_bench::metadata(experiment)).as_bytes(),
        )?;
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
    pub fn add(&self, experiment: &Experiment, run: &Run) -> Result<RunSummary, FolderError> {
        let summary = RunSummary::new(experiment, run);
        let stem = self.add_summary(experiment, &summary)?;
        let lines = self.path.join(format!("{stem}.jsonl"));
        replace(&lines, |file| write_lines(file, run))?;
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
    ) -> Result<String, FolderError> {
        let stem = self.free_stem(experiment, summary);
        let file = self.path.join(format!("{stem}.json"));
        write(&file, genai_bench::run(summary).as_bytes())?;
        Ok(stem)
    }

    /// Writes another file into the folder, such as a report, and returns its path. A file of
    /// that name is replaced, and a link is not followed: the folder may come from elsewhere.
    ///
    /// # Errors
    /// When the file cannot be written, or `name` is more than a file's name.
    pub fn write(&self, name: &str, bytes: &[u8]) -> Result<PathBuf, FolderError> {
        let file = self.path.join(name);
        if Path::new(name).file_name() != Some(name.as_ref()) {
            let error = std::io::Error::new(std::io::ErrorKind::InvalidInput, "not a file name");
            return Err(FolderError::io(&file, error));
        }
        write(&file, bytes)?;
        Ok(file)
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

fn write(path: &Path, bytes: &[u8]) -> Result<(), FolderError> {
    replace(path, |file| file.write_all(bytes))
}

fn write_lines(file: &mut impl Write, run: &Run) -> std::io::Result<()> {
    for record in &run.records {
        let line = Line {
            at_ms: run.started_at_ms as f64 + record.dispatched_ns as f64 / 1e6,
            record,
        };
        serde_json::to_writer(&mut *file, &line)?;
        file.write_all(b"\n")?;
    }
    Ok(())
}
