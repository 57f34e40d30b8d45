//! Parses requests, and builds responses and bodies.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::Frame;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST, HeaderMap, HeaderName, HeaderValue};
use hyper::{Method, Response, StatusCode};
use percent_encoding::percent_decode_str;
use tokio::time::Instant;

use crate::fault::Faults;
use crate::trace::Trace;

pub(crate) type Body = UnsyncBoxBody<Bytes, io::Error>;
pub(crate) type Answer = Response<Body>;

/// One request, read completely.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) method: Method,
    /// The path's segments, percent-decoded.
    pub(crate) segments: Vec<String>,
    pub(crate) query: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    /// `http://host:port` as used by the client, for the URLs in bodies.
    pub(crate) base: String,
    /// The faults of the request.
    pub(crate) faults: Faults,
    /// The start of its time: when it was read, or after the delay of a fault.
    pub(crate) began: Instant,
    /// Records the times of a streamed response.
    pub(crate) trace: Arc<Trace>,
}

impl Call {
    pub(crate) fn segments_of(path: &str) -> Vec<String> {
        path.trim_start_matches('/')
            .split('/')
            .map(percent_decode)
            .collect()
    }

    /// The base URL that this client uses, or `local` if its `Host` is invalid.
    pub(crate) fn base_of(headers: &HeaderMap, local: &str) -> String {
        headers
            .get(HOST)
            .and_then(|host| host.to_str().ok())
            .filter(|host| !host.is_empty() && host.bytes().all(is_host_byte))
            .map_or_else(|| local.to_owned(), |host| format!("http://{host}"))
    }

    pub(crate) fn path(&self) -> Vec<&str> {
        self.segments.iter().map(String::as_str).collect()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    pub(crate) fn query(&self, name: &str) -> Option<String> {
        query_value(&self.query, name)
    }

    /// The key of `Authorization: SCHEME KEY`, for any of these schemes.
    pub(crate) fn key(&self, schemes: &[&str]) -> Option<&str> {
        let (scheme, key) = self
            .headers
            .get(AUTHORIZATION)?
            .to_str()
            .ok()?
            .split_once(' ')?;
        let known = schemes
            .iter()
            .any(|known| known.eq_ignore_ascii_case(scheme));
        known.then(|| key.trim())
    }
}

/// The first value with this name in a query.
pub(crate) fn query_value(query: &str, name: &str) -> Option<String> {
    query.split('&').find_map(|pair| {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        (key == name).then(|| percent_decode(value))
    })
}

pub(crate) fn full(status: u16, content_type: &'static str, body: impl Into<Bytes>) -> Answer {
    let body = Full::new(body.into())
        .map_err(|never| match never {})
        .boxed_unsync();
    respond(status, content_type, body)
}

pub(crate) fn empty(status: u16) -> Answer {
    let mut answer = full(status, "", Bytes::new());
    answer.headers_mut().remove(CONTENT_TYPE);
    answer
}

pub(crate) fn stream<S>(content_type: &'static str, events: S) -> Answer
where
    S: Stream<Item = io::Result<Bytes>> + Send + 'static,
{
    respond(200, content_type, frames(events))
}

pub(crate) fn frames<S>(chunks: S) -> Body
where
    S: Stream<Item = io::Result<Bytes>> + Send + 'static,
{
    StreamBody::new(chunks.map(|chunk| chunk.map(Frame::data))).boxed_unsync()
}

pub(crate) fn set(answer: &mut Answer, name: &'static str, value: &str) {
    // Values come from clocks and counters; an invalid header value is left out.
    if let Ok(value) = HeaderValue::from_str(value) {
        answer
            .headers_mut()
            .insert(HeaderName::from_static(name), value);
    }
}

fn respond(status: u16, content_type: &'static str, body: Body) -> Answer {
    let mut answer = Response::new(body);
    *answer.status_mut() =
        StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    answer
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    answer
}

fn is_host_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b':' | b'[' | b']' | b'_')
}

fn percent_decode(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_decoded() {
        assert_eq!(
            Call::segments_of("/v1/a%2Fb/%zz/%e7%a9%ba%"),
            ["v1", "a/b", "%zz", "空%"]
        );
    }

    #[test]
    fn an_unknown_host_is_not_echoed() {
        let mut headers = HeaderMap::new();
        assert_eq!(
            Call::base_of(&headers, "http://127.0.0.1:1"),
            "http://127.0.0.1:1"
        );
        headers.insert(HOST, HeaderValue::from_static("localhost:8001"));
        assert_eq!(Call::base_of(&headers, "x"), "http://localhost:8001");
        headers.insert(HOST, HeaderValue::from_static("evil/\"path"));
        assert_eq!(Call::base_of(&headers, "x"), "x");
    }
}
