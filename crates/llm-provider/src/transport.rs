use std::fmt;

use bytes::Bytes;
use futures_core::future::BoxFuture;
use futures_core::stream::BoxStream;
use http::{Request, Response};

use crate::{RequestBody, Result};

/// The pieces of a response's body, as they arrive. Dropping it cancels the response.
pub type BodyStream = BoxStream<'static, Result<Bytes>>;

/// Sends requests to upstreams.
///
/// `llm-http` has three: `HttpClient` (hyper, the default), `ReqwestTransport` (the caller's
/// `reqwest::Client`) and `MemoryTransport` (a function, for tests). Timeouts, retries,
/// authentication and the size limits of bodies are implemented on top of it.
///
/// An implementation
/// - returns every response, whatever its status, and follows no redirect, which could send the key
///   to another host;
/// - stops the request when the future or the body is dropped;
/// - names the host in its errors, but no other part of the URL, which may grant access, and marks
///   requests that were not sent by [`Error::with_unsent`](crate::Error::with_unsent).
pub trait Transport: fmt::Debug + Send + Sync + 'static {
    /// Sends a request and waits for the head of the response.
    ///
    /// # Errors
    /// [`ErrorKind::Transport`](crate::ErrorKind::Transport) and
    /// [`ErrorKind::Timeout`](crate::ErrorKind::Timeout), also as items of the body.
    fn send(&self, request: Request<RequestBody>) -> BoxFuture<'_, Result<Response<BodyStream>>>;
}
