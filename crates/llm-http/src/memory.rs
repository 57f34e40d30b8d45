use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use futures_core::future::BoxFuture;
use futures_util::{StreamExt, stream};
use http::{Request, Response};
use http_body_util::BodyExt;
use llm_provider::{BodyStream, RequestBody, Result, Transport};

type Handler = dyn Fn(Request<Bytes>) -> Result<Response<Bytes>> + Send + Sync;

/// A transport for tests: a function answers the requests, without a network.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().enable_time().build()?.block_on(async {
/// use std::time::Duration;
///
/// use http::{Request, Response};
/// use llm_http::{MemoryTransport, SendOptions, send};
///
/// let echo = MemoryTransport::new(|request| Ok(Response::new(request.into_body())));
/// let request = Request::post("http://upstream.example/").body("hello".to_owned()).unwrap();
/// let response = send(&echo, request, SendOptions::new(Duration::from_secs(1))).await?;
/// assert_eq!(response.into_body().collect(100).await?, "hello");
/// # Ok::<(), llm_provider::Error>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct MemoryTransport(Arc<Handler>);

impl MemoryTransport {
    /// Creates a transport that answers every request with `handler`. The body of a response is sent
    /// in one piece.
    pub fn new(
        handler: impl Fn(Request<Bytes>) -> Result<Response<Bytes>> + Send + Sync + 'static,
    ) -> Self {
        Self(Arc::new(handler))
    }
}

impl Transport for MemoryTransport {
    fn send(&self, request: Request<RequestBody>) -> BoxFuture<'_, Result<Response<BodyStream>>> {
        Box::pin(async move {
            let (parts, body) = request.into_parts();
            // A request's body cannot fail.
            let body = body
                .collect()
                .await
                .map_or_else(|never| match never {}, |b| b.to_bytes());
            let response = (self.0)(Request::from_parts(parts, body))?;
            Ok(response.map(|body| stream::iter([Ok(body)]).boxed()))
        })
    }
}

impl fmt::Debug for MemoryTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryTransport").finish_non_exhaustive()
    }
}
