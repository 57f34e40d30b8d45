//! The span of a request in traces.

use http::request::Parts;
use llm_provider::text::excerpt;
use tracing::field::Empty;
use tracing::{Span, trace_span};

/// The span `server` of a request, within its span for the log: for programs that export traces.
/// `None` without such a program, which costs nothing.
///
/// At trace level, so that it is in no log unless it is asked for by name.
pub(crate) fn server_span(log: &Span, id: &str, head: &Parts, route: &'static str) -> Option<Span> {
    let header = |name| head.headers.get(name)?.to_str().ok();
    let span = trace_span!(
        parent: log,
        "server",
        id,
        method = &*excerpt(head.method.as_str()),
        route,
        traceparent = header("traceparent"),
        tracestate = header("tracestate"),
        status = Empty,
    );
    (!span.is_disabled()).then_some(span)
}
