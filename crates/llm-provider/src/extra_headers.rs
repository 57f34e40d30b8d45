use std::fmt;

use http::header::{CONNECTION, CONTENT_LENGTH, HOST, HeaderName, TRANSFER_ENCODING, UPGRADE};
use http::{HeaderMap, HeaderValue};
use serde::{Deserialize, Deserializer};

use crate::text::excerpt;
use crate::{Error, ErrorKind, Result};

/// Headers to add to all requests of a deployment, such as the key of a proxy.
///
/// `Debug` shows their names only.
#[derive(Clone, Default, Eq, PartialEq)]
pub struct ExtraHeaders(HeaderMap);

impl ExtraHeaders {
    /// Adds a header; one of the same name is replaced.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidRequest`] for a name or a value that is not valid in a header, and for
    /// headers that frame the request, such as `host` and `content-length`.
    pub fn insert(&mut self, name: &str, value: &str) -> Result<()> {
        let named = HeaderName::try_from(name);
        let named = named
            .map_err(|_| invalid(format!("\"{}\" is not a valid header name", excerpt(name))))?;
        if FRAMING.contains(&named) {
            return Err(invalid(format!("the header {named} cannot be overridden")));
        }
        let value = HeaderValue::try_from(value);
        let mut value =
            value.map_err(|_| invalid(format!("the value of {named} is not valid in a header")))?;
        value.set_sensitive(true);
        self.0.insert(named, value);
        Ok(())
    }

    /// Adds a header, like [`insert`](Self::insert).
    ///
    /// # Errors
    /// Those of [`insert`](Self::insert).
    pub fn with(mut self, name: &str, value: &str) -> Result<Self> {
        self.insert(name, value)?;
        Ok(self)
    }

    /// The headers.
    pub fn as_map(&self) -> &HeaderMap {
        &self.0
    }
}

impl fmt::Debug for ExtraHeaders {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl<'de> Deserialize<'de> for ExtraHeaders {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let pairs = serde_json::Map::deserialize(deserializer)?;
        let mut headers = Self::default();
        for (name, value) in pairs {
            let value = value
                .as_str()
                .map_or_else(|| value.to_string(), str::to_owned);
            let inserted = headers.insert(&name, &value);
            inserted.map_err(serde::de::Error::custom)?;
        }
        Ok(headers)
    }
}

fn invalid(message: String) -> Error {
    Error::new(ErrorKind::InvalidRequest, message)
}

/// Headers that determine where a request is sent and where its body ends.
const FRAMING: [HeaderName; 5] = [CONNECTION, CONTENT_LENGTH, HOST, TRANSFER_ENCODING, UPGRADE];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extra_headers_are_read_and_not_shown() {
        let read = |json: &str| serde_json::from_str::<ExtraHeaders>(json);
        let headers = read(r#"{"X-Team": "blue", "x-tries": 3}"#).unwrap();
        assert_eq!(headers.0["x-team"], "blue");
        assert_eq!(headers.0["x-tries"], "3");
        assert_eq!(format!("{headers:?}"), r#"{"x-team", "x-tries"}"#);
        for bad in [
            r#"{"a b": "c"}"#,
            r#"{"a": "c\nd: e"}"#,
            r#"{"Host": "example.com"}"#,
            r#"{"content-length": "0"}"#,
            r#"["a"]"#,
        ] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }
}
