//! [`DatabaseUrl`]: the address of a database.

use std::fmt;
use std::path::Path;
use std::str::FromStr;

use crate::sql::Target;
use crate::{Error, Result};

/// The address of a database that this build supports; see [`Store::open_url`](crate::Store::open_url).
///
/// `Debug` shows neither user, password nor parameters.
#[derive(Clone, Eq, PartialEq)]
pub struct DatabaseUrl(String);

impl DatabaseUrl {
    /// A SQLite database in memory.
    pub fn memory() -> Self {
        Self("sqlite::memory:".to_owned())
    }

    /// A SQLite file. `None` if the path is not UTF-8 text.
    pub fn file(path: &Path) -> Option<Self> {
        let path = path.to_str()?;
        // `sqlite://PATH` is `sqlite:PATH`.
        Some(Self(format!("sqlite://{path}")))
    }

    /// The whole address, with the password.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// The address without user, password and parameters, for people.
    pub fn redacted(&self) -> String {
        let text = if self.0.starts_with("sqlite:") {
            self.0.as_str()
        } else {
            self.0.split('?').next().unwrap_or_default()
        };
        let place = match text.split_once("://") {
            Some((scheme, rest)) if scheme != "sqlite" => {
                format!("{scheme}://{}", rest.rsplit('@').next().unwrap_or_default())
            }
            _ => text.to_owned(),
        };
        llm_provider::text::printable(&place).into_owned()
    }
}

impl FromStr for DatabaseUrl {
    type Err = Error;

    /// # Errors
    /// [`ErrorKind::InvalidUrl`](crate::ErrorKind::InvalidUrl), and
    /// [`ErrorKind::Unsupported`](crate::ErrorKind::Unsupported) for PostgreSQL without its feature.
    fn from_str(url: &str) -> Result<Self> {
        Target::parse(url)?;
        Ok(Self(url.to_owned()))
    }
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DatabaseUrl({})", self.redacted())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_password_and_the_parameters_are_not_shown() {
        let url = DatabaseUrl("postgres://me:s3:cr@t@db:5432/app?password=s3cret".to_owned());
        assert_eq!(url.redacted(), "postgres://db:5432/app");
        assert!(!format!("{url:?}").contains("cr"), "{url:?}");
        let url: DatabaseUrl = "sqlite:/a/b.db".parse().unwrap();
        assert_eq!(url.redacted(), "sqlite:/a/b.db");
        let file = DatabaseUrl::file(Path::new("/a/b.db")).unwrap();
        assert_eq!(file.as_str(), "sqlite:///a/b.db");
        assert!(file.as_str().parse::<DatabaseUrl>().is_ok());
    }
}
