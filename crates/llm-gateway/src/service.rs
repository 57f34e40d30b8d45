use std::convert::Infallible;
use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_core::future::BoxFuture;
use http::{Request, Response};
use tower_service::Service;

use crate::gateway::State;
use crate::guard::Exposure;
use crate::response::ResponseBody;
use crate::routes;

/// A gateway as a service for the server of another program, such as axum's
/// (`Router::fallback_service`) or hyper's.
///
/// The program has to await [`llm_provider::cleanup::finish`] before it exits, as
/// [`Gateway::serve`](crate::Gateway::serve) does.
///
/// Without a master key, the service accepts every request: it does not know the server's address,
/// so it does not check `Host`, `Origin` and `Content-Type` as `Gateway::serve` does. The server also
/// has to limit the time of clients that do not read.
#[derive(Clone)]
pub struct GatewayService(pub(crate) Arc<State>);

impl<B> Service<Request<B>> for GatewayService
where
    B: http_body::Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Send,
{
    type Response = Response<ResponseBody>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response<ResponseBody>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let shared = self.0.current();
        Box::pin(async { Ok(routes::serve(shared, Exposure::Embedded, request).await) })
    }
}

impl fmt::Debug for GatewayService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("GatewayService").field(&self.0).finish()
    }
}
