use std::collections::HashSet;
use std::error::Error as StdError;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// An error or a warning about a configuration file.
///
/// ```
/// # use llm_gateway::Config;
/// # use llm_provider::Registry;
/// let text = "model_list: []\nrouter_setings: {}\n";
/// let error = Config::parse(text, &Registry::new(), &|_| None).unwrap_err();
/// assert_eq!(
///     error.problems()[1].to_string(),
///     "2:1: warning: `router_setings` is not a known key and is ignored\n    \
///      help: did you mean `router_settings`?",
/// );
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Problem {
    /// Whether the gateway can start.
    pub severity: Severity,
    /// The position in the file; `None` if the file cannot be read.
    pub at: Option<Position>,
    /// What is wrong. It never quotes a value, which may be a secret.
    pub message: String,
    /// How to fix it.
    pub help: Option<String>,
}

/// The severity of a [`Problem`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Severity {
    /// The gateway cannot start.
    Error,
    /// The gateway starts, but a part of the file has no effect.
    Warning,
}

/// A position in a text. Lines and columns are counted from 1, columns in characters.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[allow(
    clippy::exhaustive_structs,
    reason = "a position has a line and a column"
)]
pub struct Position {
    /// The line.
    pub line: usize,
    /// The column.
    pub column: usize,
}

/// A configuration that cannot be used, with all its problems.
#[derive(Debug)]
pub struct ConfigError {
    file: Option<PathBuf>,
    problems: Vec<Problem>,
    source: Option<io::Error>,
}

impl Problem {
    pub(crate) fn error(at: Position, message: impl Into<String>) -> Self {
        Self {
            severity: Severity::Error,
            at: Some(at),
            message: message.into(),
            help: None,
        }
    }

    pub(crate) fn warning(at: Position, message: impl Into<String>) -> Self {
        Self {
            severity: Severity::Warning,
            ..Self::error(at, message)
        }
    }

    pub(crate) fn with_help(mut self, help: impl Into<Option<String>>) -> Self {
        self.help = help.into();
        self
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(at) = self.at {
            write!(f, "{at}: ")?;
        }
        let severity = match self.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        write!(f, "{severity}: {}", self.message)?;
        if let Some(help) = &self.help {
            write!(f, "\n    help: {help}")?;
        }
        Ok(())
    }
}

impl Position {
    /// The beginning of the text.
    pub(crate) const START: Self = Self { line: 1, column: 1 };

    /// The position of a byte. As in YAML, a line ends with `\n`, `\r\n` or `\r`.
    pub(crate) fn of(text: &[u8], byte: usize) -> Self {
        let before = String::from_utf8_lossy(&text[..byte]);
        let before = before.strip_prefix('\u{feff}').unwrap_or(&before);
        let line_start = before.rfind(['\n', '\r']).map_or(0, |end| end + 1);
        let pairs = before.matches("\r\n").count();
        Self {
            line: before.matches(['\n', '\r']).count() - pairs + 1,
            column: before[line_start..].chars().count() + 1,
        }
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.line, self.column)
    }
}

impl ConfigError {
    /// Sorts the problems by position, and removes those that YAML aliases repeat.
    pub(crate) fn new(mut problems: Vec<Problem>) -> Self {
        let mut seen = HashSet::new();
        problems.retain(|problem| seen.insert((problem.at, problem.message.clone())));
        problems.sort_by_key(|problem| problem.at);
        Self {
            file: None,
            problems,
            source: None,
        }
    }

    /// The problems, if all of them are warnings.
    pub(crate) fn into_warnings(self) -> Result<Vec<Problem>, Self> {
        let is_error = |problem: &Problem| problem.severity == Severity::Error;
        if self.problems.iter().any(is_error) {
            Err(self)
        } else {
            Ok(self.problems)
        }
    }

    pub(crate) fn unreadable(file: &Path, source: io::Error) -> Self {
        let message = format!("the file cannot be read: {source}");
        let problem = Problem {
            severity: Severity::Error,
            at: None,
            message,
            help: None,
        };
        Self {
            file: Some(file.to_owned()),
            problems: vec![problem],
            source: Some(source),
        }
    }

    pub(crate) fn in_file(mut self, file: &Path) -> Self {
        self.file = Some(file.to_owned());
        self
    }

    /// All problems, including warnings, in the order of the file.
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }

    /// The file, unless the configuration was read from a text.
    pub fn file(&self) -> Option<&Path> {
        self.file.as_deref()
    }
}

/// All problems, each with file, line and column like a compiler's.
impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.problems.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            if let Some(file) = &self.file {
                write!(f, "{}:", file.display())?;
                f.write_str(if problem.at.is_none() { " " } else { "" })?;
            }
            write!(f, "{problem}")?;
        }
        Ok(())
    }
}

impl StdError for ConfigError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source
            .as_ref()
            .map(|source| source as &(dyn StdError + 'static))
    }
}
