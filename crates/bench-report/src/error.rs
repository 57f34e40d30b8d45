use std::error::Error as StdError;
use std::io;
use std::path::PathBuf;

use llm_bench::FolderError;
use llm_provider::text::printable;

use crate::Format;

/// An error of writing a report.
#[non_exhaustive]
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// A file of an experiment's folder cannot be written.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// A file elsewhere cannot be written.
    #[error("cannot write {}", printable(&path.display().to_string()))]
    Io {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// The spreadsheet cannot be created.
    #[error("cannot create {}", printable(&path.display().to_string()))]
    Spreadsheet {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: Box<dyn StdError + Send + Sync>,
    },
    /// The Parquet file cannot be created.
    #[error("cannot create {}", printable(&path.display().to_string()))]
    Parquet {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: Box<dyn StdError + Send + Sync>,
    },
    /// A chart cannot be drawn as an image.
    #[error("cannot draw {}", printable(&path.display().to_string()))]
    Image {
        /// The file, or the folder if no image can be drawn.
        path: PathBuf,
        /// The cause.
        source: Box<dyn StdError + Send + Sync>,
    },
    /// This build cannot write the format: a feature is missing.
    #[error("the report format {0:?} is not supported by this build")]
    Unsupported(Format),
}
