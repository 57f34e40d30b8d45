use std::io;
use std::path::PathBuf;

use llm_provider::text::{EXCERPT, printable};

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
    /// Something that may not be read: see [`crate::Access`].
    #[error("{}: not allowed on this machine; {option} allows it", printable(what))]
    NotAllowed {
        /// What was asked for.
        what: String,
        /// The worker's option that allows it.
        option: &'static str,
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
            reason: printable(&cut(reason.into(), LONGEST_REASON)).into_owned(),
        }
    }
}

/// The beginning of a text that quotes something.
fn cut(text: String, most: usize) -> String {
    if text.len() <= most {
        return text;
    }
    format!("{}…", &text[..text.floor_char_boundary(most)])
}

/// Bytes of a reason, which may list a dataset's columns.
const LONGEST_REASON: usize = 1000;

fn at_line(line: Option<u64>) -> String {
    line.map_or_else(String::new, |line| format!(":{line}"))
}
