use std::io;
use std::path::PathBuf;

/// Why a benchmark cannot be run as asked. What goes wrong *during* a run is in its records.
#[non_exhaustive]
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A dataset or a trace that is not what it should be.
    #[error("{}{}: {reason}", path.display(), at_line(*line))]
    Dataset {
        /// The file, or the name of a dataset on a hub.
        path: PathBuf,
        /// The line, from 1, where one can be told.
        line: Option<u64>,
        /// What was found, and what was expected.
        reason: String,
    },
    /// A file that cannot be read.
    #[error("{}: cannot be read", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A thread or a runtime that the system does not give.
    #[error("cannot start measuring")]
    Start(#[source] io::Error),
    /// An option's value that makes no sense; the text says what would.
    #[error("{option} {value:?}: {reason}")]
    Usage {
        /// The option, as it is written on the command line.
        option: &'static str,
        /// What was given.
        value: String,
        /// What is wrong with it.
        reason: String,
    },
}

impl Error {
    pub(crate) fn usage(
        option: &'static str,
        value: impl Into<String>,
        reason: impl Into<String>,
    ) -> Self {
        Self::Usage {
            option,
            value: value.into(),
            reason: reason.into(),
        }
    }

    pub(crate) fn dataset(
        path: impl Into<PathBuf>,
        line: Option<u64>,
        reason: impl Into<String>,
    ) -> Self {
        Self::Dataset {
            path: path.into(),
            line,
            reason: reason.into(),
        }
    }
}

fn at_line(line: Option<u64>) -> String {
    line.map_or_else(String::new, |line| format!(":{line}"))
}
