use std::fmt;

use bytes::Bytes;
use futures_core::future::BoxFuture;
use futures_core::stream::BoxStream;
use http::{Request, Response};

use crate::{RequestBody, Result};

/// The pieces of a response's body, as they arrive. Dropping it gives the response up.
pub type BodyStream = BoxStream<'static, Result<Bytes>>;

/// Sends requests to upstreams.
///
/// `llm-http` has three: `HttpClient` (hyper, the default), `ReqwestTransport` (a
/// `reqwest::Client` of the caller's own) and `MemoryTransport` (a function, for tests). Timeouts,
/// retries, authentication and the size limits of bodies are above it.
///
/// An implementation
/// - returns a response whatever its status is, and follows no redirect: a key must not follow
///   one to another host;
/// - stops the exchange when the future or the body is dropped;
/// - names the host in its errors and nothing else of the URL, which may be a capability, and
///   marks what never left by [`Error::with_unsent`](crate::Error::with_unsent).
pub trait Transport: fmt::Debug + Send + Sync + 'static {
    /// Sends a request and waits for the head of the response.
    ///
    /// # Errors
    /// [`ErrorKind::Transport`](crate::ErrorKind::Transport) and
    /// [`ErrorKind::Timeout`](crate::ErrorKind::Timeout), also as items of the body.
    fn send(&self, request: Request<RequestBody>) -> BoxFuture<'_, Result<Response<BodyStream>>>;
}
