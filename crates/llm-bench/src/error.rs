use std::io;
use std::path::PathBuf;

use llm_provider::text::{EXCERPT, printable};

/// Why a benchmark cannot start. Failures *during* a run are in its records.
#[non_exhaustive]
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A dataset or a trace is invalid, or unknown to the hub.
    #[error("{}{}: {reason}", path.display(), at_line(*line))]
    Dataset {
        /// The file, or the name of a dataset on a hub.
        path: PathBuf,
        /// The line, from 1, if it is known.
        line: Option<u64>,
        /// What was found, and what was expected.
        reason: String,
    },
    /// A file or dataset may not be read; see [`crate::Access`].
    #[error("{}: not allowed on this machine; {option} allows it", printable(what))]
    NotAllowed {
        /// The file or dataset.
        what: String,
        /// The option of the worker that allows it.
        option: &'static str,
    },
    /// A file cannot be read.
    #[error("{}: cannot be read", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// The system cannot start a thread or a runtime.
    #[error("cannot start the measurement")]
    Start(#[source] io::Error),
    /// A dataset can be read neither from a hub, which did not answer, nor from the cache on this machine.
    #[error("{name}: {reason}")]
    Unavailable {
        /// The name of the dataset.
        name: String,
        /// What failed, and how to get the dataset.
        reason: String,
    },
    /// The value of an option is invalid.
    #[error("{option} {value:?}: {reason}")]
    Usage {
        /// The option, as written on the command line.
        option: &'static str,
        /// The value.
        value: String,
        /// What is wrong, and what is expected.
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
            value: cut(value.into(), EXCERPT),
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
            // It may quote the dataset.
            reason: printable(&cut(reason.into(), MAX_REASON)).into_owned(),
        }
    }

    pub(crate) fn unavailable(name: &str, reason: &str) -> Self {
        Self::Unavailable {
            name: printable(name).into_owned(),
            reason: printable(reason).into_owned(),
        }
    }
}

/// The beginning of a text that quotes something.
fn cut(text: String, max: usize) -> String {
    if text.len() <= max {
        return text;
    }
    format!("{}…", &text[..text.floor_char_boundary(max)])
}

/// Bytes of a reason, which may list a dataset's columns.
const MAX_REASON: usize = 1000;

fn at_line(line: Option<u64>) -> String {
    line.map_or_else(String::new, |line| format!(":{line}"))
}
