use std::error::Error as StdError;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use llm_provider::text::{EXCERPT, excerpt, printable};
use serde::de::Error as _;

/// An error of reading or writing an experiment.
#[derive(Debug)]
pub struct FolderError(Box<Inner>);

#[derive(Debug)]
struct Inner {
    kind: FolderErrorKind,
    path: PathBuf,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

/// The kind of the error.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum FolderErrorKind {
    /// A file cannot be read or written.
    Io,
    /// A file has invalid content; the source contains line and column.
    Malformed,
    /// A folder contains no experiment.
    NoExperiment,
}

impl FolderError {
    /// The kind of the error.
    pub fn kind(&self) -> FolderErrorKind {
        self.0.kind
    }

    /// The file or folder.
    pub fn path(&self) -> &Path {
        &self.0.path
    }

    pub(super) fn io(path: &Path, error: io::Error) -> Self {
        Self::new(FolderErrorKind::Io, path, error)
    }

    pub(super) fn malformed(path: &Path, error: serde_json::Error) -> Self {
        Self::new(FolderErrorKind::Malformed, path, shown(&error))
    }

    pub(super) fn invalid(path: &Path, reason: &'static str) -> Self {
        Self::new(FolderErrorKind::Malformed, path, reason)
    }

    pub(super) fn no_experiment(path: &Path) -> Self {
        Self(Box::new(Inner {
            kind: FolderErrorKind::NoExperiment,
            path: path.to_owned(),
            source: None,
        }))
    }

    fn new(
        kind: FolderErrorKind,
        path: &Path,
        source: impl Into<Box<dyn StdError + Send + Sync>>,
    ) -> Self {
        Self(Box::new(Inner {
            kind,
            path: path.to_owned(),
            source: Some(source.into()),
        }))
    }
}

/// The error in a form that can be shown: it may quote any amount of the file.
pub(crate) fn shown(error: &serde_json::Error) -> serde_json::Error {
    let text = error.to_string();
    let quoted = excerpt(&text);
    if error.line() == 0 || text.len() <= EXCERPT {
        return serde_json::Error::custom(quoted);
    }
    let (line, column) = (error.line(), error.column());
    serde_json::Error::custom(format_args!("{quoted} at line {line} column {column}"))
}

impl fmt::Display for FolderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.0.path.display().to_string();
        let path = printable(&path);
        match self.0.kind {
            FolderErrorKind::Io => write!(f, "cannot read or write {path}"),
            FolderErrorKind::Malformed => write!(f, "invalid benchmark file {path}"),
            FolderErrorKind::NoExperiment => write!(
                f,
                "no experiment in {path}: experiment_metadata.json is missing"
            ),
        }
    }
}

impl StdError for FolderError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        let source = self.0.source.as_deref()?;
        Some(source)
    }
}
