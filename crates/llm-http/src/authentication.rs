use std::fmt;
use std::sync::Arc;

use http::header::{AUTHORIZATION, HeaderName};
use http::uri::PathAndQuery;
use http::{HeaderValue, Request, Uri};
use llm_provider::{ApiKey, Error, ErrorKind, RequestBody, Result, Secrets};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// How requests authenticate at the upstream.
///
/// Most upstreams take a key as a bearer token: an [`ApiKey`] converts to that.
///
/// ```
/// use http::HeaderName;
/// use llm_http::Authentication;
/// use llm_provider::ApiKey;
///
/// let bearer = Authentication::from(ApiKey::new("key")); // Authorization: Bearer key
/// let header = Authentication::header(HeaderName::from_static("x-api-key"), "key");
/// let query = Authentication::query("key", "key"); // https://api.acme.example/v1/chat?key=key
/// ```
///
/// An empty key adds nothing to requests. `Debug` shows no key.
#[derive(Clone, Debug, Default)]
pub struct Authentication(Scheme);

#[derive(Clone, Debug, Default)]
enum Scheme {
    Header(HeaderName, ApiKey),
    Bearer(ApiKey),
    #[default]
    None,
    Query(String, ApiKey),
    Signature(Arc<dyn Signer>),
}

/// Signs requests, for upstreams that take a signature in place of a key, such as an HMAC of the
/// body.
pub trait Signer: fmt::Debug + Send + Sync + 'static {
    /// Signs a request that is otherwise complete.
    ///
    /// It is called for each attempt, so that a signature can contain the time. Mark the header of
    /// the signature as [sensitive](HeaderValue::set_sensitive): its value is then redacted when the
    /// upstream repeats it in an error.
    ///
    /// # Errors
    /// [`ErrorKind::Auth`] when the request cannot be signed; nothing is sent then.
    fn sign(&self, request: &mut Request<RequestBody>) -> Result<()>;

    /// The secrets used for signing. They are redacted from the upstream's texts.
    fn secrets(&self) -> Vec<String>;
}

impl Authentication {
    /// No authentication, such as for a local server.
    pub fn none() -> Self {
        Self::default()
    }

    /// The header `Authorization: Bearer KEY`.
    pub fn bearer(key: impl Into<ApiKey>) -> Self {
        Self(Scheme::Bearer(key.into()))
    }

    /// The key as the value of the header `name`, such as `x-api-key`.
    pub fn header(name: HeaderName, key: impl Into<ApiKey>) -> Self {
        Self(Scheme::Header(name, key.into()))
    }

    /// The key as the query parameter `name` of each URL.
    pub fn query(name: impl Into<String>, key: impl Into<ApiKey>) -> Self {
        Self(Scheme::Query(name.into(), key.into()))
    }

    /// A signature of each request.
    pub fn signature(signer: impl Signer) -> Self {
        Self(Scheme::Signature(Arc::new(signer)))
    }

    /// The secrets to redact.
    pub(crate) fn secrets(&self) -> Vec<String> {
        match &self.0 {
            Scheme::None => Vec::new(),
            Scheme::Bearer(key) | Scheme::Header(_, key) | Scheme::Query(_, key) => {
                vec![key.expose().to_owned()]
            }
            Scheme::Signature(signer) => signer.secrets(),
        }
    }

    /// The credentials to add to requests.
    ///
    /// # Errors
    /// [`ErrorKind::Auth`] for a key that is not valid in a header.
    pub(crate) fn credentials(&self) -> Result<Credentials> {
        Ok(match &self.0 {
            Scheme::None => Credentials::None,
            Scheme::Bearer(key) | Scheme::Header(_, key) | Scheme::Query(_, key)
                if key.is_empty() =>
            {
                Credentials::None
            }
            Scheme::Bearer(key) => Credentials::Header(AUTHORIZATION, key.bearer()?),
            Scheme::Header(name, key) => Credentials::Header(name.clone(), key.header_value()?),
            Scheme::Query(name, key) => Credentials::Query(query_pair(name, key)),
            Scheme::Signature(signer) => Credentials::Signature(Arc::clone(signer)),
        })
    }
}

/// Converts a key to a bearer token.
impl From<ApiKey> for Authentication {
    fn from(key: ApiKey) -> Self {
        Self::bearer(key)
    }
}

/// The credentials of requests, ready to be added.
#[derive(Clone)]
pub(crate) enum Credentials {
    Header(HeaderName, HeaderValue),
    None,
    /// `name=value`, percent-encoded.
    Query(String),
    Signature(Arc<dyn Signer>),
}

impl Credentials {
    /// Adds a key. A header of the same name is replaced.
    pub(crate) fn add_key(&self, request: &mut Request<RequestBody>) -> Result<()> {
        match self {
            Self::None | Self::Signature(_) => {}
            Self::Header(name, value) => {
                request.headers_mut().insert(name, value.clone());
            }
            Self::Query(pair) => *request.uri_mut() = with_query(request.uri(), pair)?,
        }
        Ok(())
    }

    /// Adds a signature to the complete request.
    pub(crate) fn add_signature(&self, request: &mut Request<RequestBody>) -> Result<()> {
        match self {
            Self::Signature(signer) => signer.sign(request),
            _ => Ok(()),
        }
    }

    /// The secrets of one signed request: the values of its sensitive headers.
    pub(crate) fn secrets_of(&self, request: &Request<RequestBody>) -> Secrets {
        match self {
            Self::Signature(_) => {
                let values = request.headers().values();
                let sensitive = values.filter(|value| value.is_sensitive());
                Secrets::new(sensitive.flat_map(Secrets::in_header))
            }
            _ => Secrets::default(),
        }
    }
}

/// Shows only the kind.
impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Header(..) => "Header(***)",
            Self::None => "None",
            Self::Query(_) => "Query(***)",
            Self::Signature(_) => "Signature(***)",
        })
    }
}

fn query_pair(name: &str, key: &ApiKey) -> String {
    let encode = |text| utf8_percent_encode(text, RESERVED).to_string();
    format!("{}={}", encode(name), encode(key.expose()))
}

fn with_query(uri: &Uri, pair: &str) -> Result<Uri> {
    let mut parts = uri.clone().into_parts();
    let path = parts
        .path_and_query
        .as_ref()
        .map_or("/", PathAndQuery::as_str);
    let separator = if path.contains('?') { '&' } else { '?' };
    let whole = format!("{path}{separator}{pair}");
    let made = PathAndQuery::from_maybe_shared(whole).map_err(http::Error::from);
    made.and_then(|path| {
        parts.path_and_query = Some(path);
        Ok(Uri::from_parts(parts)?)
    })
    // Without the source, which may contain the key.
    .map_err(|_| Error::new(ErrorKind::Auth, "the API key is not valid in a URL"))
}

/// All but RFC 3986's unreserved characters.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');
