//! Trace context in the headers of requests to upstreams.

use std::sync::OnceLock;

use http::HeaderMap;
use tracing::Span;

type Propagator = dyn Fn(&Span, &mut HeaderMap) + Send + Sync;

static PROPAGATOR: OnceLock<Box<Propagator>> = OnceLock::new();

/// Sets the function that adds the trace context, such as `traceparent`, to the headers of each
/// request to an upstream. Its span is that of the request (`http`). Without it, nothing is added.
///
/// It applies to the whole process. `false` if there is one already, which stays.
pub fn set_propagator(propagator: impl Fn(&Span, &mut HeaderMap) + Send + Sync + 'static) -> bool {
    PROPAGATOR.set(Box::new(propagator)).is_ok()
}

/// Adds the trace context of `span`, if there is a propagator.
pub(crate) fn inject(span: &Span, headers: &mut HeaderMap) {
    if let Some(propagator) = PROPAGATOR.get() {
        propagator(span, headers);
    }
}
