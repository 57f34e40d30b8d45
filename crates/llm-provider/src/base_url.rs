use std::fmt;
use std::str::FromStr;

use bytes::Bytes;
use http::Uri;
use http::uri::{Authority, PathAndQuery, Scheme};

use crate::{Error, ErrorKind, Result};

/// The address of an upstream, accepted with or without its `/v1`. One whose path has another version, or
/// parts after it, is used as it is.
///
/// It is parsed once; the URLs of requests are built from its parts.
///
/// ```
/// use llm_provider::BaseUrl;
///
/// for given in ["https://api.together.ai", "https://api.together.ai/v1/"] {
///     let base = BaseUrl::parse(given)?;
///     assert_eq!(base.join("/v1/models")?, "https://api.together.ai/v1/models");
/// }
/// let base = BaseUrl::parse("https://example.com/v1beta/openai")?;
/// assert_eq!(base.join("/v1/models")?, "https://example.com/v1beta/openai/models");
/// # Ok::<(), llm_provider::Error>(())
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct BaseUrl {
    scheme: Scheme,
    authority: Authority,
    /// The path before `/v1`, without a trailing slash.
    prefix: String,
    /// Whether the prefix takes the place of `/v1`.
    is_versioned: bool,
}

impl BaseUrl {
    /// Reads an address.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidRequest`] if it is not an absolute `http` or `https` URL, or contains
    /// a user or a password, which would not be sent.
    pub fn parse(text: &str) -> Result<Self> {
        let invalid = |message| Error::new(ErrorKind::InvalidRequest, message);
        let not_a_url =
            || invalid("api_base has to be an absolute URL such as https://api.example.com");
        let uri: Uri = text.trim().parse().map_err(|_| not_a_url())?;
        let parts = uri.into_parts();
        let (Some(scheme), Some(authority), Some(path)) =
            (parts.scheme, parts.authority, parts.path_and_query)
        else {
            return Err(not_a_url());
        };
        if !(scheme == Scheme::HTTP || scheme == Scheme::HTTPS) || path.query().is_some() {
            return Err(not_a_url());
        }
        if authority.as_str().contains('@') {
            return Err(invalid(
                "api_base must not contain a user or a password: put the key into api_key",
            ));
        }
        let path = path.path().trim_end_matches('/');
        let before = path.strip_suffix(V1);
        let prefix = before.unwrap_or(path);
        Ok(Self {
            scheme,
            authority,
            is_versioned: before.is_none() && has_version(path),
            prefix: prefix.trim_end_matches('/').to_owned(),
        })
    }

    /// The URL of `path`, which begins with a slash, such as `/v1/models`.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidRequest`] if `path` is not valid in a URL.
    pub fn join(&self, path: &str) -> Result<Uri> {
        let path = match path.strip_prefix(V1) {
            Some(rest) if self.is_versioned => rest,
            _ => path,
        };
        let whole = [self.prefix.as_str(), path].concat();
        let mut parts = http::uri::Parts::default();
        parts.scheme = Some(self.scheme.clone());
        parts.authority = Some(self.authority.clone());
        let made = PathAndQuery::from_maybe_shared(Bytes::from(whole)).map_err(http::Error::from);
        made.and_then(|path| {
            parts.path_and_query = Some(path);
            Ok(Uri::from_parts(parts)?)
        })
        .map_err(|error| {
            let message = "the request's path is not valid in a URL";
            Error::new(ErrorKind::InvalidRequest, message).with_source(error)
        })
    }

    /// Host and port, for messages and for comparison with other URLs.
    pub fn host(&self) -> &str {
        self.authority.as_str()
    }

    /// Whether the connection is encrypted.
    pub fn is_secure(&self) -> bool {
        self.scheme == Scheme::HTTPS
    }
}

impl FromStr for BaseUrl {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Self::parse(text)
    }
}

impl TryFrom<&str> for BaseUrl {
    type Error = Error;

    fn try_from(text: &str) -> Result<Self> {
        Self::parse(text)
    }
}

/// The address, usually without its `/v1`. It contains no credentials.
impl fmt::Display for BaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}{}", self.scheme, self.authority, self.prefix)?;
        match !self.is_versioned && has_version(&self.prefix) {
            true => f.write_str(V1),
            false => Ok(()),
        }
    }
}

/// Whether a path has a segment such as `v1beta` or `v4`.
fn has_version(path: &str) -> bool {
    path.split('/').any(|segment| {
        let rest = segment.strip_prefix('v').unwrap_or_default();
        rest.starts_with(|first: char| first.is_ascii_digit())
            && rest.bytes().all(|byte| byte.is_ascii_alphanumeric())
    })
}

const V1: &str = "/v1";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_is_kept_and_v1_is_not_doubled() {
        for (base, url) in [
            ("http://h:1", "http://h:1/v1/x?y=1"),
            ("http://h:1/v1", "http://h:1/v1/x?y=1"),
            ("http://h:1/together/v1//", "http://h:1/together/v1/x?y=1"),
            ("http://h/vllm", "http://h/vllm/v1/x?y=1"),
            // Another version, and parts after the version.
            ("https://h/v1beta", "https://h/v1beta/x?y=1"),
            ("https://h/v1beta/openai/", "https://h/v1beta/openai/x?y=1"),
            ("https://h/v1/openai", "https://h/v1/openai/x?y=1"),
            ("https://h/api/paas/v4", "https://h/api/paas/v4/x?y=1"),
            ("https://h/v2/x/v1", "https://h/v2/x/v1/x?y=1"),
        ] {
            let base = BaseUrl::parse(base).unwrap();
            assert_eq!(base.join("/v1/x?y=1").unwrap(), url);
            assert_eq!(base.to_string().parse::<BaseUrl>().unwrap(), base);
        }
    }

    #[test]
    fn an_invalid_url_is_rejected_and_not_quoted() {
        for text in [
            "",
            "api.together.ai",
            "ftp://host",
            "http://",
            "https://host?x=1",
            "https://user:secret@relay.example/v1",
        ] {
            let error = BaseUrl::parse(text).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidRequest, "{text}");
            assert!(!format!("{error:?}").contains("secret"));
        }
    }

    #[test]
    fn a_path_that_is_not_valid_in_a_url_is_an_error() {
        let base = BaseUrl::parse("http://host").unwrap();
        for path in ["/v1/a b", "/v1/\n", "v1", "/v1/\u{7f}"] {
            let error = base.join(path).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidRequest, "{path:?}");
        }
    }
}
