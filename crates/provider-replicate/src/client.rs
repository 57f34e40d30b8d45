//! The HTTP calls.

use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, HeaderName};
use http::request::Builder;
use http::{HeaderValue, Method, Request, Uri};
use llm_provider::{Body, Error, Result};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::config::Config;
use crate::error::{self, unexpected};
use crate::run::Order;
use crate::target::is_plain;
use crate::wire::Prediction;

/// Replicate's HTTP API, one function per call. No call is tried again here.
#[derive(Clone, Debug)]
pub(crate) struct Client(pub(crate) Config);

impl Client {
    pub(crate) async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T> {
        self.call(Method::GET, path, None).await
    }

    /// Any call that is answered at once, with JSON or nothing.
    pub(crate) async fn call<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<T> {
        let mut request = Request::builder()
            .method(method)
            .uri(self.0.base.join(path)?);
        if body.is_some() {
            request = request.header(CONTENT_TYPE, "application/json");
        }
        let body = body.map(|body| body.to_string().into());
        self.json(request, body.unwrap_or_default(), FIRST_BYTE)
            .await
    }

    /// Makes a prediction.
    pub(crate) async fn create(&self, order: &Order) -> Result<Prediction> {
        let limit = format!("{}s", order.cancel_after.as_secs().max(5)); // less is refused
        let mut request = Request::post(self.0.base.join(&order.path)?)
            .header(CONTENT_TYPE, "application/json")
            .header(CANCEL_AFTER, limit);
        let wait = self.0.limits.wait.min(order.cancel_after);
        let wait = wait.as_secs().min(60);
        if order.body["stream"] != true && wait > 0 {
            request = request.header(PREFER, format!("wait={wait}"));
        }
        let first_byte = FIRST_BYTE + self.0.limits.wait;
        let body = Bytes::from(order.body.to_string());
        let prediction: Prediction = self.json(request, body, first_byte).await?;
        // The id becomes part of URL paths.
        if !is_plain(&prediction.id) {
            return Err(unexpected("the prediction's id cannot be understood"));
        }
        Ok(prediction)
    }

    pub(crate) async fn prediction(&self, id: &str) -> Result<Prediction> {
        let prediction: Prediction = self.get(&format!("/v1/predictions/{id}")).await?;
        if prediction.id != id {
            return Err(unexpected("Replicate tells of another prediction"));
        }
        Ok(prediction)
    }

    pub(crate) async fn cancel(&self, id: &str) -> Result<Value> {
        let path = format!("/v1/predictions/{id}/cancel");
        self.call(Method::POST, &path, None).await
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
        let http = &self.0.http;
        let first_byte = self.0.timeouts.first_byte.unwrap_or(FIRST_BYTE);
        let idle = self.0.timeouts.idle.unwrap_or(STREAM_IDLE);
        let response = http.send(request, Some(first_byte), idle).await?;
        let (parts, body) = response.into_parts();
        if !parts.status.is_success() {
            return Err(error::from_response(
                parts.status,
                &parts.headers,
                Bytes::new(),
            ));
        }
        let kind = parts.headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes);
        if !kind.is_some_and(|kind| kind.starts_with(EVENT_STREAM.as_bytes())) {
            return Err(unexpected("the prediction's stream is no event stream"));
        }
        Ok(body)
    }

    /// A stream may be anywhere, but where the base is secure, it has to be so, too.
    fn stream_uri(&self, url: &str) -> Result<Uri> {
        let uri: Uri = url.parse().map_err(bad_url)?;
        match uri.scheme_str() {
            Some("https") => Ok(uri),
            Some("http") if !self.0.base.is_secure() => Ok(uri),
            _ => Err(unexpected("the prediction's stream is not secure")),
        }
    }

    /// The token goes to the base's host and to Replicate's own hosts, and nowhere else.
    fn may_see_token(&self, uri: &Uri) -> bool {
        let host = uri.host().unwrap_or_default();
        let is_replicate = host.ends_with(".replicate.com") || host.ends_with(".replicate.net");
        let is_base = uri
            .authority()
            .is_some_and(|host| host.as_str() == self.0.base.host());
        is_base || is_replicate && uri.scheme_str() == Some("https")
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
        let first_byte = self.0.timeouts.first_byte.unwrap_or(first_byte);
        let idle = self.0.timeouts.idle.unwrap_or(IDLE);
        let response = self.0.http.send(request, Some(first_byte), idle).await?;
        let (parts, body) = response.into_parts();
        if !parts.status.is_success() {
            let body = body.collect(MAX_ERROR_BODY).await.unwrap_or_default();
            let error = error::from_response(parts.status, &parts.headers, body);
            return Err(error.without_key(&self.0.api_key));
        }
        let body = body.collect(MAX_BODY).await?;
        let nothing = Bytes::from_static(b"null");
        let body = Some(body)
            .filter(|body| !body.is_empty())
            .unwrap_or(nothing);
        serde_json::from_slice(&body).map_err(|error| {
            unexpected("Replicate's answer cannot be understood")
                .with_status(parts.status)
                .with_body(body)
                .with_source(error)
        })
    }
}

fn bad_url(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    unexpected("the prediction's stream has no URL").with_source(error)
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
}
