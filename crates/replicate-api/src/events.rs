//! The event streams of predictions.

use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, CACHE_CONTROL, CONTENT_TYPE, HeaderName};
use http::{HeaderValue, Request, Uri};
use llm_http::{Body, SendOptions, send};
use llm_provider::{Error, RequestBody, Result};

use crate::client::{NAME, ReplicateClient};
use crate::error::{self, unexpected};

impl ReplicateClient {
    /// Opens the event stream at `url`. If `last_event_id` is not empty, the stream resumes after that
    /// event. The URL comes from a [`Prediction`](crate::Prediction) and grants access without a token.
    ///
    /// The API token is sent only to the account's own address and, over TLS, to Replicate's hosts.
    ///
    /// # Errors
    /// HTTP errors, and [`ErrorKind::UnexpectedBody`](llm_provider::ErrorKind::UnexpectedBody) if
    /// the response is not an event stream, if the URL or the id is invalid, or if the account's
    /// address has TLS and the URL does not.
    pub async fn events(&self, url: &str, last_event_id: &str) -> Result<Body> {
        let opened = self.open(url, last_event_id).await;
        opened.map_err(|error| self.connection.redact(error.with_provider(NAME)))
    }

    async fn open(&self, url: &str, last_event_id: &str) -> Result<Body> {
        let uri = self.stream_uri(url)?;
        let mut request = Request::get(uri.clone())
            .header(ACCEPT, EVENT_STREAM)
            .header(CACHE_CONTROL, "no-store");
        if !last_event_id.is_empty() {
            request = request.header(LAST_EVENT_ID, last_event_id);
        }
        let mut request = request.body(RequestBody::default()).map_err(invalid_url)?;
        if self.may_see_token(&uri) {
            self.connection.authenticate(&mut request)?;
        }
        let timeouts = self.connection.timeouts();
        let first_byte = timeouts.first_byte.unwrap_or(FIRST_BYTE);
        let options = SendOptions::new(timeouts.idle.unwrap_or(IDLE)).with_first_byte(first_byte);
        let sent = send(self.connection.transport(), request, options);
        let (parts, body) = sent.await?.into_parts();
        if !parts.status.is_success() {
            let nothing = Bytes::new();
            return Err(error::from_response(parts.status, &parts.headers, nothing));
        }
        let kind = parts.headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes);
        if !kind.is_some_and(|kind| kind.starts_with(EVENT_STREAM.as_bytes())) {
            return Err(unexpected("the prediction's stream is not an event stream"));
        }
        Ok(body)
    }

    /// A stream may be on any host, but must use TLS if the account's address does.
    fn stream_uri(&self, url: &str) -> Result<Uri> {
        let uri: Uri = url.parse().map_err(invalid_url)?;
        match uri.scheme_str() {
            Some("https") => Ok(uri),
            Some("http") if !self.connection.base().is_secure() => Ok(uri),
            _ => Err(unexpected(
                "the URL of the prediction's stream is not an https URL",
            )),
        }
    }

    fn may_see_token(&self, uri: &Uri) -> bool {
        let host = uri.host().unwrap_or_default();
        let base = self.connection.base();
        let is_base = uri
            .authority()
            .is_some_and(|host| host.as_str() == base.host());
        is_base || is_replicate_host(host) && uri.scheme_str() == Some("https")
    }
}

/// Whether a host is one of Replicate's own, which may receive the API token over HTTPS. A
/// prediction may name any host for its stream.
pub fn is_replicate_host(host: &str) -> bool {
    [".replicate.com", ".replicate.net"]
        .iter()
        .any(|domain| host.ends_with(domain))
}

fn invalid_url(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    unexpected("the URL or the last event id of the prediction's stream is invalid")
        .with_source(error)
}

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
const EVENT_STREAM: &str = "text/event-stream";

const FIRST_BYTE: Duration = Duration::from_secs(30);
// Replicate closes idle streams after 30 s: a longer silence means that the connection is dead.
const IDLE: Duration = Duration::from_secs(45);

#[cfg(test)]
mod tests {
    use llm_provider::{ApiKey, Settings};

    use super::*;

    fn client(base: &str) -> ReplicateClient {
        let settings = Settings::new()
            .with_api_key(ApiKey::new("r8_x"))
            .with_api_base(base);
        ReplicateClient::new(settings).unwrap()
    }

    #[test]
    fn the_token_is_sent_only_to_replicate() {
        let client = client("https://api.replicate.com");
        let sees = |url: &str| client.may_see_token(&url.parse().unwrap());
        assert!(sees("https://api.replicate.com/v1/x"));
        assert!(sees("https://stream.replicate.com/v1/files/x"));
        assert!(sees("https://streaming-api.svc.us.c.replicate.net/v1/x"));
        assert!(!sees("http://stream.replicate.com/v1/files/x"));
        assert!(!sees("https://evilreplicate.com/"));
        assert!(!sees("https://replicate.com.evil.example/"));
        assert!(!sees("https://stream.replicate.com@evil.example/"));
    }

    #[test]
    fn a_secure_base_requires_a_secure_stream() {
        assert!(
            client("https://api.replicate.com")
                .stream_uri("http://x.replicate.com/")
                .is_err()
        );
        assert!(
            client("http://127.0.0.1:1")
                .stream_uri("http://127.0.0.1:2/")
                .is_ok()
        );
        for url in ["", "/v1/x", "ftp://x/", "not a url"] {
            assert!(
                client("http://127.0.0.1:1").stream_uri(url).is_err(),
                "{url}"
            );
        }
    }
}
