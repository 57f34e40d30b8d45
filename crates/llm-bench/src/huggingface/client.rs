use std::env;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Request, Uri, header, response};
use http_body_util::Full;

use crate::client::{Connector, ResponseSink, TlsTrust};
use crate::clock::Clock;
use crate::response::ResponseHead;
use crate::target::Origin;

/// A client for one service of Hugging Face.
#[derive(Debug)]
pub(crate) struct Hub {
    base: String,
}

/// Why a request to the hub failed.
#[derive(Debug)]
pub(crate) struct HubError {
    /// The status, if the service answered.
    pub(crate) status: Option<u16>,
    pub(crate) message: String,
}

impl Hub {
    /// The hub itself: `HF_ENDPOINT`, or its public address.
    pub(crate) fn models() -> Self {
        Self::at("HF_ENDPOINT", "https://huggingface.co")
    }

    /// The viewer of datasets: `HF_DATASETS_SERVER`, or its public address.
    pub(crate) fn viewer() -> Self {
        Self::at(
            "HF_DATASETS_SERVER",
            "https://datasets-server.huggingface.co",
        )
    }

    fn at(variable: &str, default: &str) -> Self {
        let base = env::var(variable).ok().filter(|base| !base.is_empty());
        let base = base.unwrap_or_else(|| default.to_owned());
        Self {
            base: base.trim_end_matches('/').to_owned(),
        }
    }

    /// Whether this machine must not use the network (`HF_HUB_OFFLINE`).
    pub(crate) fn is_offline() -> bool {
        let value = env::var("HF_HUB_OFFLINE").unwrap_or_default();
        ["1", "true", "yes", "on"].contains(&value.to_ascii_lowercase().as_str())
    }

    /// The address, for messages.
    pub(crate) fn base(&self) -> &str {
        &self.base
    }

    /// Gets the body at a path, and follows redirects.
    pub(crate) async fn get(&self, path: &str) -> Result<Vec<u8>, HubError> {
        if Self::is_offline() {
            return Err(HubError::new("HF_HUB_OFFLINE is set"));
        }
        let mut url = format!("{}{path}", self.base);
        let own = origin(&url)?.0;
        for _ in 0..MAX_REDIRECTS {
            let (origin, path) = origin(&url)?;
            // The token is for the service alone, not for where it redirects to.
            let sending = exchange(&origin, &path, origin == own);
            let answer = match tokio::time::timeout(TIMEOUT, sending).await {
                Ok(answer) => answer?,
                Err(_) => return Err(HubError::new(format!("no response from {origin}"))),
            };
            let status = answer.head.status.map(|status| status.as_u16());
            match (status, answer.location) {
                (Some(301 | 302 | 303 | 307 | 308), Some(to)) => url = resolved(&origin, &to),
                _ => match answer.head.failure() {
                    None => return Ok(answer.body),
                    Some(failure) => {
                        return Err(HubError {
                            status,
                            message: format!("{origin}: {}", failure.message),
                        });
                    }
                },
            }
        }
        Err(HubError::new(format!("{}: too many redirects", self.base)))
    }
}

impl HubError {
    fn new(message: impl Into<String>) -> Self {
        Self {
            status: None,
            message: message.into(),
        }
    }

    /// Whether the service does not know the repository, or does not show it without a token.
    pub(crate) fn is_unknown(&self) -> bool {
        matches!(self.status, Some(401 | 404))
    }
}

fn origin(url: &str) -> Result<(Origin, String), HubError> {
    let uri: Option<Uri> = url.parse().ok();
    let found = uri.and_then(|uri| {
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        Some((Origin::of(&uri)?, path.to_owned()))
    });
    found.ok_or_else(|| HubError::new(format!("{url:?} is not a valid address")))
}

/// The address that a `Location` header names.
fn resolved(origin: &Origin, location: &str) -> String {
    match location.starts_with('/') && !location.starts_with("//") {
        true => format!("{origin}{location}"),
        false => location.to_owned(),
    }
}

async fn exchange(origin: &Origin, path: &str, with_token: bool) -> Result<Answer, HubError> {
    let trust = TlsTrust::default();
    let connector = Connector::new(Clock::start(), origin.tls.then_some(&trust))
        .map_err(|error| HubError::new(error.to_string()))?;
    let (mut connection, _) = connector
        .connect(origin)
        .await
        .map_err(|error| HubError::new(error.message))?;
    let mut answer = Answer::default();
    connection
        .exchange(request(origin, path, with_token), &mut answer)
        .await
        .map_err(|error| HubError::new(format!("{origin}: {}", error.source)))?;
    Ok(answer)
}

fn request(origin: &Origin, path: &str, with_token: bool) -> Request<Full<Bytes>> {
    let mut request = Request::new(Full::default());
    if let Ok(uri) = path.parse() {
        *request.uri_mut() = uri;
    }
    let headers = request.headers_mut();
    if let Ok(host) = HeaderValue::from_str(&origin.authority()) {
        headers.insert(header::HOST, host);
    }
    let token = env::var("HF_TOKEN").unwrap_or_default();
    if with_token
        && !token.is_empty()
        && let Ok(mut value) = HeaderValue::from_str(&format!("Bearer {token}"))
    {
        value.set_sensitive(true);
        headers.insert(header::AUTHORIZATION, value);
    }
    request
}

#[derive(Debug, Default)]
struct Answer {
    head: ResponseHead,
    location: Option<String>,
    body: Vec<u8>,
}

impl ResponseSink for Answer {
    fn head(&mut self, head: &response::Parts) {
        self.head.read(head);
        let location = head.headers.get(header::LOCATION);
        self.location = location
            .and_then(|value| value.to_str().ok())
            .map(str::to_owned);
    }

    fn data(&mut self, data: &[u8], _at: u64) -> bool {
        if self.head.body(data) {
            self.body.extend_from_slice(data);
        }
        self.head.is_within_limit()
    }
}

const MAX_REDIRECTS: u32 = 6;

const TIMEOUT: Duration = Duration::from_secs(60);
