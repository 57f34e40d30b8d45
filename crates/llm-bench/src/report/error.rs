use std::error::Error as StdError;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// A report that could not be written, or an experiment that could not be read.
#[derive(Debug)]
pub struct ReportError(Box<Inner>);

#[derive(Debug)]
struct Inner {
    kind: ReportErrorKind,
    path: PathBuf,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

/// What went wrong.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ReportErrorKind {
    /// A file could not be read or written.
    Io,
    /// A file does not hold what it should; the source tells line and column.
    Malformed,
    /// A folder holds no experiment.
    NoExperiment,
    /// A spreadsheet could not be made.
    Spreadsheet,
}

impl ReportError {
    /// What went wrong.
    pub fn kind(&self) -> ReportErrorKind {
        self.0.kind
    }

    /// The file or folder that it went wrong with.
    pub fn path(&self) -> &Path {
        &self.0.path
    }

    pub(super) fn io(path: &Path, error: io::Error) -> Self {
        Self::new(ReportErrorKind::Io, path, error)
    }

    pub(super) fn malformed(path: &Path, error: serde_json::Error) -> Self {
        Self::new(ReportErrorKind::Malformed, path, error)
    }

    #[cfg(feature = "xlsx")]
    pub(super) fn spreadsheet(path: &Path, error: rust_xlsxwriter::XlsxError) -> Self {
        Self::new(ReportErrorKind::Spreadsheet, path, error)
    }

    pub(super) fn no_experiment(path: &Path) -> Self {
        Self(Box::new(Inner {
            kind: ReportErrorKind::NoExperiment,
            path: path.to_owned(),
            source: None,
        }))
    }

    fn new(
        kind: ReportErrorKind,
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

impl fmt::Display for ReportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.0.path.display();
        match self.0.kind {
            ReportErrorKind::Io => write!(f, "{path} cannot be read or written"),
            ReportErrorKind::Malformed => write!(f, "{path} is not what a benchmark writes"),
            ReportErrorKind::NoExperiment => write!(
                f,
                "{path} holds no experiment: there is no experiment_metadata.json in it"
            ),
            ReportErrorKind::Spreadsheet => write!(f, "{path} cannot be made"),
        }
    }
}

impl StdError for ReportError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        let source = self.0.source.as_deref()?;
        Some(source)
    }
}
