//! The HTTP calls.

use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, HeaderName};
use http::request::Builder;
use http::{Request, Uri};
use llm_provider::{Body, Error, ErrorKind, Result};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use crate::config::Config;
use crate::error;
use crate::wire::Prediction;

/// Replicate's HTTP API, one function per call. No call is tried again here.
#[derive(Clone, Debug)]
pub(crate) struct Client(pub(crate) Config);

/// A prediction to be made.
#[derive(Clone, Debug)]
pub(crate) struct Create {
    pub(crate) path: String,
    /// For `/v1/predictions` alone: the other endpoints refuse the key.
    pub(crate) version: Option<String>,
    pub(crate) input: Map<String, Value>,
    pub(crate) stream: bool,
    /// When Replicate is to give up by itself, should nobody be left to cancel.
    pub(crate) cancel_after: Duration,
}

impl Client {
    pub(crate) async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T> {
        let request = Request::get(self.0.base.join(path));
        self.json(request, Bytes::new(), FIRST_BYTE).await
    }

    pub(crate) async fn create(&self, create: &Create) -> Result<Prediction> {
        let mut body = json!({ "input": create.input });
        if let Some(version) = &create.version {
            body["version"] = version.as_str().into();
        }
        let mut request = Request::post(self.0.base.join(&create.path))
            .header(CONTENT_TYPE, "application/json")
            .header(CANCEL_AFTER, cancel_after(create.cancel_after));
        let mut first_byte = FIRST_BYTE;
        let wait = self.0.limits.wait.as_secs().min(60);
        if create.stream {
            body["stream"] = true.into();
        } else if wait > 0 {
            request = request.header(PREFER, format!("wait={wait}"));
            first_byte += self.0.limits.wait;
        }
        let prediction = self
            .json(request, body.to_string().into(), first_byte)
            .await?;
        checked(prediction)
    }

    pub(crate) async fn prediction(&self, id: &str) -> Result<Prediction> {
        self.get(&format!("/v1/predictions/{id}")).await
    }

    pub(crate) async fn cancel(&self, id: &str) -> Result<()> {
        let request = Request::post(self.0.base.join(&format!("/v1/predictions/{id}/cancel")));
        // The answer is the prediction, which nobody needs any more.
        let _: Value = self.json(request, Bytes::new(), FIRST_BYTE).await?;
        Ok(())
    }

    /// Opens an event stream at `url`, which came with a prediction and is a capability itself.
    ///
    /// # Errors
    /// Besides those of HTTP, [`ErrorKind::UnexpectedBody`] when the answer is no event stream.
    pub(crate) async fn events(&self, url: &str, last_event_id: &str) -> Result<Body> {
        let uri = self.stream_uri(url)?;
        let mut request = Request::get(uri.clone())
            .header(ACCEPT, EVENT_STREAM)
            .header(CACHE_CONTROL, "no-store");
        if self.may_see_token(&uri) {
            request = request.header(AUTHORIZATION, self.0.authorization.clone());
        }
        if !last_event_id.is_empty() {
            request = request.header(LAST_EVENT_ID, last_event_id);
        }
        let request = request.body(Bytes::new()).map_err(bad_url)?;
        let response = self
            .0
            .http
            .send(request, Some(FIRST_BYTE), STREAM_IDLE)
            .await?;
        let (parts, body) = response.into_parts();
        let kind = parts
            .headers
            .get(CONTENT_TYPE)
            .and_then(|value| value.to_str().ok());
        let is_stream = kind.is_some_and(|kind| kind.trim_start().starts_with(EVENT_STREAM));
        match (parts.status.is_success(), is_stream) {
            (true, true) => Ok(body),
            (true, false) => Err(Error::new(
                ErrorKind::UnexpectedBody,
                "the prediction's stream is no event stream",
            )),
            (false, _) => Err(error::from_response(
                parts.status,
                &parts.headers,
                Bytes::new(),
            )),
        }
    }

    fn stream_uri(&self, url: &str) -> Result<Uri> {
        let uri: Uri = url.parse().map_err(bad_url)?;
        let ours = uri
            .authority()
            .is_some_and(|host| host.as_str() == self.0.base.host());
        match uri.scheme_str() {
            Some("https") => Ok(uri),
            Some("http") if ours || !self.0.base.join("").starts_with("https:") => Ok(uri),
            _ => Err(Error::new(
                ErrorKind::UnexpectedBody,
                "the prediction's stream is not secure",
            )),
        }
    }

    /// The token goes to the base's host and to Replicate's own hosts, and nowhere else.
    fn may_see_token(&self, uri: &Uri) -> bool {
        let Some(authority) = uri.authority() else {
            return false;
        };
        let under = |domain: &str| {
            authority
                .host()
                .strip_suffix(domain)
                .is_some_and(|rest| rest.ends_with('.'))
        };
        authority.as_str() == self.0.base.host()
            || uri.scheme_str() == Some("https")
                && (under("replicate.com") || under("replicate.net"))
    }

    async fn json<T: DeserializeOwned>(
        &self,
        request: Builder,
        body: Bytes,
        first_byte: Duration,
    ) -> Result<T> {
        let request = request
            .header(ACCEPT, "application/json")
            .header(AUTHORIZATION, self.0.authorization.clone())
            .body(body)
            .map_err(bad_url)?;
        let response = self.0.http.send(request, Some(first_byte), IDLE).await?;
        let (parts, body) = response.into_parts();
        if !parts.status.is_success() {
            let body = body.collect(MAX_ERROR_BODY).await.unwrap_or_default();
            return Err(error::from_response(parts.status, &parts.headers, body));
        }
        let body = body.collect(MAX_BODY).await?;
        serde_json::from_slice(&body).map_err(|error| {
            Error::new(
                ErrorKind::UnexpectedBody,
                "Replicate's answer cannot be understood",
            )
            .with_status(parts.status)
            .with_body(body)
            .with_source(error)
        })
    }
}

/// The id becomes part of URL paths.
fn checked(prediction: Prediction) -> Result<Prediction> {
    let id = &prediction.id;
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    if !id.is_empty() && id.bytes().all(plain) {
        return Ok(prediction);
    }
    Err(Error::new(
        ErrorKind::UnexpectedBody,
        "the prediction's id cannot be understood",
    ))
}

/// `1h30m45s`, at least the 5 s that Replicate allows.
fn cancel_after(limit: Duration) -> String {
    let seconds = limit.as_secs().max(5);
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    [(hours, 'h'), (minutes, 'm'), (seconds, 's')]
        .into_iter()
        .filter(|(number, _)| *number > 0)
        .map(|(number, unit)| format!("{number}{unit}"))
        .collect()
}

fn bad_url(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    Error::new(ErrorKind::UnexpectedBody, "not a URL").with_source(error)
}

const CANCEL_AFTER: HeaderName = HeaderName::from_static("cancel-after");
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
const PREFER: HeaderName = HeaderName::from_static("prefer");
const EVENT_STREAM: &str = "text/event-stream";

const FIRST_BYTE: Duration = Duration::from_secs(30);
const IDLE: Duration = Duration::from_secs(30);
// Replicate closes idle streams after 30 s, so that a longer silence is a dead connection.
const STREAM_IDLE: Duration = Duration::from_secs(45);
const MAX_BODY: usize = 64 << 20;
const MAX_ERROR_BODY: usize = 1 << 20;

#[cfg(test)]
mod tests {
    use llm_provider::{ApiKey, Settings};

    use super::*;

    fn client(base: &str) -> Client {
        let settings = Settings::new()
            .with_api_key(ApiKey::new("r8_x"))
            .with_api_base(base);
        Client(Config::new(settings).unwrap())
    }

    #[test]
    fn the_token_stays_with_replicate() {
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
    fn a_secure_base_is_not_left_for_an_insecure_stream() {
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

    #[test]
    fn deadlines_are_written_as_replicate_reads_them() {
        let written = |seconds| cancel_after(Duration::from_secs(seconds));
        assert_eq!(written(5445), "1h30m45s");
        assert_eq!(written(300), "5m");
        assert_eq!(written(1), "5s");
    }
}
