use std::error::Error as StdError;
use std::io;
use std::path::PathBuf;

use llm_bench::FolderError;
use llm_provider::text::printable;

use crate::Format;

/// A report that could not be written.
#[non_exhaustive]
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// A file of an experiment's folder could not be written.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// A file elsewhere could not be written.
    #[error("{} cannot be written", printable(&path.display().to_string()))]
    Io {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The spreadsheet could not be made.
    #[error("{} cannot be made", printable(&path.display().to_string()))]
    Spreadsheet {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: Box<dyn StdError + Send + Sync>,
    },
    /// This build cannot write the format: it lacks a feature.
    #[error("the report format {0:?} is not supported by this build")]
    Unsupported(Format),
}
