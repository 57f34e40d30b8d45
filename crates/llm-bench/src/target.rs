use std::fmt;

use http::{HeaderMap, HeaderName, HeaderValue, Uri, header};
use llm_provider::text::printable;

use crate::command_line::without_userinfo;
use crate::error::Error;

/// The server that requests go to: an API's address, its dialect and its `authorization` header.
///
/// `Debug` and `Display` show no secret.
#[derive(Clone)]
pub struct ServerTarget {
    backend: Backend,
    origin: Origin,
    /// The prefix of endpoint paths, with the version and without a trailing slash.
    prefix: String,
    authorization: Option<HeaderValue>,
    /// Further headers of each request; their values may be secret.
    headers: HeaderMap,
}

/// The API dialect of a target.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Backend {
    /// Any OpenAI-compatible API.
    OpenAi,
    /// Replicate's predictions.
    Replicate,
    /// Together's API: like `OpenAi`, with its own address.
    Together,
}

impl Backend {
    /// The name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::OpenAi => "openai",
            Self::Replicate => "replicate",
            Self::Together => "together",
        }
    }

    /// The API's own address; `None` for OpenAI-compatible APIs.
    pub fn default_base(self) -> Option<&'static str> {
        match self {
            Self::OpenAi => None,
            Self::Replicate => Some("https://api.replicate.com"),
            Self::Together => Some("https://api.together.xyz"),
        }
    }
}

impl ServerTarget {
    /// An API at `base`, with or without `/v1`. Each request carries `authorization`.
    ///
    /// # Errors
    ///
    /// [`Error::Usage`] if `base` is not an `http://` or `https://` address.
    pub fn new(
        backend: Backend,
        base: &str,
        authorization: Option<HeaderValue>,
    ) -> Result<Self, Error> {
        let invalid = |reason: &str| Error::usage("--api-base", without_userinfo(base), reason);
        let uri: Uri = base
            .parse()
            .map_err(|_| invalid("expected an address such as https://api.together.xyz"))?;
        let origin =
            Origin::of(&uri).ok_or_else(|| invalid("expected http:// or https:// and a host"))?;
        let path = uri.path().trim_end_matches('/');
        let prefix = if path.ends_with("/v1") {
            path.to_owned()
        } else {
            format!("{path}/v1")
        };
        let authorization = authorization.map(|mut value| {
            value.set_sensitive(true);
            value
        });
        Ok(Self {
            backend,
            origin,
            prefix,
            authorization,
            headers: HeaderMap::new(),
        })
    }

    /// Adds a header to each request, such as one that a gateway requires. It replaces one of the
    /// same name, also `authorization`.
    ///
    /// # Errors
    ///
    /// [`Error::Usage`] for an invalid header, and for one that HTTP itself needs.
    pub fn with_header(mut self, name: &str, value: &str) -> Result<Self, Error> {
        let invalid = |reason: &str| Error::usage("--header", name, reason);
        let parsed = HeaderName::from_bytes(name.trim().as_bytes())
            .map_err(|_| invalid("invalid header name"))?;
        if RESERVED.contains(&parsed) {
            return Err(invalid("this header cannot be set"));
        }
        let mut value =
            HeaderValue::from_str(value.trim()).map_err(|_| invalid("invalid header value"))?;
        value.set_sensitive(true);
        match parsed == header::AUTHORIZATION {
            true => self.authorization = Some(value),
            false => drop(self.headers.insert(parsed, value)),
        }
        Ok(self)
    }

    /// The dialect.
    pub fn backend(&self) -> Backend {
        self.backend
    }

    /// Whether both have the same dialect, scheme, host, port and path.
    pub fn is_same_address(&self, other: &Self) -> bool {
        (self.backend, &self.origin, &self.prefix) == (other.backend, &other.origin, &other.prefix)
    }

    pub(crate) fn origin(&self) -> &Origin {
        &self.origin
    }

    /// The path of an endpoint, such as `/chat/completions`.
    pub(crate) fn path(&self, endpoint: &str) -> String {
        format!("{}{endpoint}", self.prefix)
    }

    pub(crate) fn authorization(&self) -> Option<&HeaderValue> {
        self.authorization.as_ref()
    }

    /// The further headers of each request.
    pub(crate) fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// The text of a server on one line: shortened, and without the key and control characters.
    pub(crate) fn clean(&self, message: &str) -> String {
        let key = self
            .authorization
            .as_ref()
            .and_then(|value| value.to_str().ok())
            .map_or("", |value| value.rsplit(' ').next().unwrap_or(value));
        let values = self
            .headers
            .values()
            .filter_map(|value| value.to_str().ok());
        let mut message = message.to_owned();
        for secret in values.chain([key]) {
            // A placeholder of a few letters would match in ordinary words.
            if secret.len() >= MIN_KEY {
                message = message.replace(secret, "***");
            }
        }
        let flat = message.split_whitespace().collect::<Vec<_>>().join(" ");
        match flat.char_indices().nth(MAX_MESSAGE) {
            Some((end, _)) => format!("{}…", printable(&flat[..end])),
            None => printable(&flat).into_owned(),
        }
    }
}

impl fmt::Debug for ServerTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ServerTarget({} {self})", self.backend.name())
    }
}

impl fmt::Display for ServerTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.origin, self.prefix)
    }
}

/// The peer of a connection.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(crate) struct Origin {
    pub(crate) tls: bool,
    pub(crate) host: String,
    pub(crate) port: u16,
}

impl Origin {
    pub(crate) fn of(uri: &Uri) -> Option<Self> {
        let tls = match uri.scheme_str()? {
            "http" => false,
            "https" => true,
            _ => return None,
        };
        let host = uri.host().filter(|host| !host.is_empty())?;
        let host = host.to_ascii_lowercase();
        let port = uri.port_u16().unwrap_or(if tls { 443 } else { 80 });
        Some(Self { tls, host, port })
    }

    /// The value of the `Host` header; it omits the scheme's default port.
    pub(crate) fn authority(&self) -> String {
        match (self.tls, self.port) {
            (true, 443) | (false, 80) => self.host.clone(),
            _ => format!("{}:{}", self.host, self.port),
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.tls { "https" } else { "http" };
        write!(f, "{scheme}://{}", self.authority())
    }
}

/// Headers that describe the message itself.
const RESERVED: [HeaderName; 5] = [
    header::CONNECTION,
    header::CONTENT_LENGTH,
    header::CONTENT_TYPE,
    header::HOST,
    header::TRANSFER_ENCODING,
];

const MIN_KEY: usize = 8;

/// The longest message of a server, in characters.
const MAX_MESSAGE: usize = 300;

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(base: &str, shown: &str) {
        let target = ServerTarget::new(Backend::Together, base, None).unwrap();
        assert_eq!(target.to_string(), shown);
    }

    #[test]
    fn a_base_may_have_a_version_or_not() {
        check("https://api.together.xyz", "https://api.together.xyz/v1");
        check(
            "https://api.together.xyz/v1/",
            "https://api.together.xyz/v1",
        );
        check("http://me:secret@[::1]:8000/x", "http://[::1]:8000/x/v1");
    }

    #[test]
    fn addresses_are_equal_only_if_all_parts_are() {
        let target = |backend, base| ServerTarget::new(backend, base, None).unwrap();
        let one = target(Backend::OpenAi, "https://h:8000/x");
        for same in [
            "https://H:8000/x/",
            "https://h:8000/x/v1",
            "https://u:p@h:8000/x",
        ] {
            assert!(
                one.is_same_address(&target(Backend::OpenAi, same)),
                "{same}"
            );
        }
        for other in [
            "http://h:8000/x",
            "https://h/x",
            "https://h:8001/x",
            "https://h:8000",
            "https://h:8000/x/../y",
            "https://h:8000/X",
            "https://h.evil:8000/x",
            "https://h:8000@evil/x",
        ] {
            assert!(
                !one.is_same_address(&target(Backend::OpenAi, other)),
                "{other}"
            );
        }
        assert!(!one.is_same_address(&target(Backend::Together, "https://h:8000/x")));
    }

    #[test]
    fn an_invalid_address_is_an_error() {
        for base in ["", "api.together.xyz", "ftp://x", "https://", "http:// x"] {
            let error = ServerTarget::new(Backend::OpenAi, base, None).unwrap_err();
            assert!(error.to_string().starts_with("--api-base"), "{error}");
        }
    }

    #[test]
    fn neither_debug_nor_messages_show_the_key() {
        let key = HeaderValue::from_static("Bearer tgp_v1_secret");
        let target = ServerTarget::new(Backend::Together, "http://h", Some(key)).unwrap();
        assert!(!format!("{target:?}").contains("secret"));
        assert_eq!(
            target.clean("Incorrect key:\n tgp_v1_secret."),
            "Incorrect key: ***."
        );
        let target = target.with_header("x-team", "secret-of-team").unwrap();
        assert!(!format!("{target:?}").contains("secret"));
        assert_eq!(target.clean("no secret-of-team"), "no ***");
        for (name, value) in [("host", "h"), ("a b", "c"), ("a", "b\nc")] {
            assert!(target.clone().with_header(name, value).is_err(), "{name}");
        }
        assert_eq!(target.clean(&"é".repeat(400)).chars().count(), 301);
        assert_eq!(
            target.clean("a\u{1b}[2J\0\u{202e}"),
            "a\\u{1b}[2J\\0\\u{202e}"
        );
    }
}
