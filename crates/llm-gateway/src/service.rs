use std::convert::Infallible;
use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_core::future::BoxFuture;
use http::{Request, Response};
use tower_service::Service;

use crate::gateway::Shared;
use crate::response::Body;
use crate::routes;

/// A gateway as a service for a program's own server, such as axum's
/// (`Router::fallback_service`) or hyper's.
///
/// Whoever serves it has to await [`llm_provider::cleanup::finish`] before the process ends, as
/// [`Gateway::serve`](crate::Gateway::serve) does.
#[derive(Clone)]
pub struct GatewayService(pub(crate) Arc<Shared>);

impl<B> Service<Request<B>> for GatewayService
where
    B: http_body::Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Send,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let shared = Arc::clone(&self.0);
        Box::pin(async { Ok(routes::serve(shared, request).await) })
    }
}

impl fmt::Debug for GatewayService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("GatewayService").field(&self.0).finish()
    }
}
