use std::env;
use std::fmt;

use http::HeaderValue;
use serde::{Deserialize, Deserializer};

use crate::{Error, ErrorKind, Result};

/// An API key that is not printed by accident.
///
/// `Debug` shows `ApiKey(***)`; there is no `Display` and no `Serialize`.
#[derive(Clone, Eq, PartialEq)]
pub struct ApiKey(String);

impl ApiKey {
    /// Creates a key. White space around it is removed, since keys are often pasted with a line end.
    pub fn new(key: impl AsRef<str>) -> Self {
        Self(key.as_ref().trim().to_owned())
    }

    /// The first of the environment variables `names` that is set and not empty.
    pub fn from_env(names: &[&str]) -> Option<Self> {
        names
            .iter()
            .filter_map(|name| env::var(name).ok())
            .map(Self::new)
            .find(|key| !key.is_empty())
    }

    /// Whether the key is empty.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The key itself, for comparing or sending it. Never log it.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// The value of an `Authorization` header, marked as sensitive.
    ///
    /// # Errors
    /// [`ErrorKind::Auth`] if the key contains characters that are not valid in a header.
    pub fn bearer(&self) -> Result<HeaderValue> {
        sensitive(format!("Bearer {}", self.0))
    }

    /// The key alone as the value of a header, marked as sensitive.
    ///
    /// # Errors
    /// Those of [`bearer`](Self::bearer).
    pub fn header_value(&self) -> Result<HeaderValue> {
        sensitive(self.0.clone())
    }
}

fn sensitive(value: String) -> Result<HeaderValue> {
    let mut value = HeaderValue::try_from(value).map_err(|_| {
        Error::new(
            ErrorKind::Auth,
            "the API key contains characters that are not valid in a header",
        )
    })?;
    value.set_sensitive(true);
    Ok(value)
}

impl From<&str> for ApiKey {
    fn from(key: &str) -> Self {
        Self::new(key)
    }
}

impl From<String> for ApiKey {
    fn from(key: String) -> Self {
        Self::new(key)
    }
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ApiKey(***)")
    }
}

impl<'de> Deserialize<'de> for ApiKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self::new)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_hides_the_key() {
        let key = ApiKey::new(" r8_secret\n");
        assert_eq!(key.expose(), "r8_secret");
        assert_eq!(format!("{key:?}"), "ApiKey(***)");
        assert!(!format!("{:?}", key.bearer().unwrap()).contains("secret"));
    }

    #[test]
    fn a_key_with_a_line_break_inside_is_an_error_not_a_panic() {
        assert_eq!(
            ApiKey::new("a\nb").bearer().unwrap_err().kind(),
            ErrorKind::Auth
        );
    }
}
