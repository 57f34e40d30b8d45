//! The metrics of one HTTP request.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use bytes::Bytes;
use http::{Response, StatusCode};
use http_body::{Body, Frame, SizeHint};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Either};
use tracing::Span;

use super::Metrics;
use crate::activity::ActiveRequest;
use crate::request_log::LogLine;
use crate::response::ResponseBody;

/// A request that is being served. It is counted when it is dropped, however it ends.
pub(crate) struct RequestMetrics {
    metrics: Arc<Metrics>,
    route: &'static str,
    started: Instant,
    /// `None` until there is a response.
    status: Option<StatusCode>,
    /// Set for calls.
    active: Option<Arc<ActiveRequest>>,
    line: Option<Box<LogLine>>,
}

impl RequestMetrics {
    pub(crate) fn begin(
        metrics: &Arc<Metrics>,
        route: &'static str,
        started: Instant,
        active: Option<Arc<ActiveRequest>>,
    ) -> Self {
        metrics.in_flight.of(&[]).increment();
        Self {
            metrics: Arc::clone(metrics),
            route,
            started,
            status: None,
            active,
            line: None,
        }
    }

    /// Ends the request when the body of `response` ends or is dropped, and writes `line` then.
    ///
    /// What the body does is logged within `span`.
    pub(crate) fn end_with(
        mut self,
        response: Response<ResponseBody>,
        span: Span,
        line: Option<Box<LogLine>>,
    ) -> Response<ResponseBody> {
        self.line = line;
        self.status = Some(response.status());
        response.map(|body| match body {
            Either::Left(whole) => Either::Left(whole),
            Either::Right(stream) => {
                let body = Observed {
                    stream,
                    span,
                    _request: self,
                };
                Either::Right(body.boxed_unsync())
            }
        })
    }
}

impl Drop for RequestMetrics {
    fn drop(&mut self) {
        let metrics = &self.metrics;
        metrics.in_flight.of(&[]).decrement();
        let status = self.status.as_ref().map_or("closed", StatusCode::as_str);
        metrics.requests.of(&[self.route, status]).add(1);
        let duration = metrics.duration.of(&[self.route]);
        duration.observe(self.started.elapsed());
        let active = self.active.as_ref();
        if let Some(overhead) = active.and_then(|active| active.end(self.status)) {
            metrics.overhead.of(&[self.route]).observe(overhead);
        }
        if let Some(line) = self.line.take() {
            // The failure of a stream was logged.
            let has_failed = active.is_some_and(|active| active.has_failed());
            if !has_failed || line.has_prompt() {
                line.write();
            }
        }
    }
}

/// A stream whose end ends the request.
struct Observed {
    stream: UnsyncBoxBody<Bytes, Infallible>,
    span: Span,
    _request: RequestMetrics,
}

impl Body for Observed {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let Self { stream, span, .. } = &mut *self;
        let _entered = span.enter();
        Pin::new(stream).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.stream.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.stream.size_hint()
    }
}
