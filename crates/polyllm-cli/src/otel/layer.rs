//! [`SpanLayer`]: makes spans and metrics of OpenTelemetry of the spans of `tracing`.

use std::time::{Duration, Instant};

use http::HeaderMap;
use opentelemetry::Context as TraceContext;
use opentelemetry::propagation::{Extractor, TextMapPropagator};
use opentelemetry::trace::{Span as _, SpanBuilder, SpanContext, TraceContextExt, Tracer};
use opentelemetry_http::HeaderInjector;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{SdkTracer, Span};
use tracing::Subscriber;
use tracing::span::{Attributes, Id, Record};
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::{Layer, Registry};

use super::conventions::Kind;
use super::fields::Fields;
use super::instruments::Instruments;

/// The names of the spans that are exported.
pub(super) const NAMES: [&str; 3] = ["server", "call", "http"];

/// Exports spans when they are closed, with the attributes of the conventions.
#[derive(Debug)]
pub(super) struct SpanLayer {
    tracer: Option<SdkTracer>,
    instruments: Option<Instruments>,
}

/// A span that is open.
struct Open {
    kind: Kind,
    fields: Fields,
    started: Instant,
    first_output: Option<Duration>,
    span: Option<Span>,
}

impl SpanLayer {
    pub(super) fn new(tracer: Option<SdkTracer>, instruments: Option<Instruments>) -> Self {
        Self {
            tracer,
            instruments,
        }
    }
}

impl<S> Layer<S> for SpanLayer
where
    S: Subscriber + for<'s> LookupSpan<'s>,
{
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let Some(kind) = Kind::of(attributes.metadata().name()) else {
            return;
        };
        let Some(span) = context.span(id) else { return };
        let mut fields = Fields::default();
        attributes.record(&mut fields);
        let started = self.tracer.as_ref().map(|tracer| {
            let parent = span.parent().and_then(|parent| {
                let extensions = parent.extensions();
                let span = extensions.get::<Open>()?.span.as_ref()?;
                Some(TraceContext::new().with_remote_span_context(span.span_context().clone()))
            });
            // A request continues the trace of its client.
            let parent = parent.unwrap_or_else(|| TraceContextPropagator::new().extract(&fields));
            let builder = SpanBuilder::from_name(kind.name(&fields)).with_kind(kind.span_kind());
            tracer.build_with_context(builder, &parent)
        });
        span.extensions_mut().insert(Open {
            kind,
            fields,
            started: Instant::now(),
            first_output: None,
            span: started,
        });
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        if let Some(span) = context.span(id)
            && let Some(open) = span.extensions_mut().get_mut::<Open>()
        {
            values.record(&mut open.fields);
            if open.first_output.is_none() && open.fields.get("first_output").is_some() {
                open.first_output = Some(open.started.elapsed());
            }
        }
    }

    fn on_close(&self, id: Id, context: Context<'_, S>) {
        let open = context.span(&id);
        let open = open.and_then(|span| span.extensions_mut().remove::<Open>());
        let Some(Open {
            kind,
            fields,
            started,
            first_output,
            span,
        }) = open
        else {
            return;
        };
        if let Some(instruments) = &self.instruments {
            instruments.record(kind, &fields, started.elapsed(), first_output);
        }
        if let Some(mut span) = span {
            span.set_attributes(kind.attributes(&fields));
            span.set_status(kind.status(&fields));
            span.end();
        }
    }
}

/// Adds the trace context of a span to the headers of a request.
pub(super) fn inject(span: &tracing::Span, headers: &mut HeaderMap) {
    if let Some(context) = span_context(span) {
        let context = TraceContext::new().with_remote_span_context(context);
        TraceContextPropagator::new().inject_context(&context, &mut HeaderInjector(headers));
        // An empty list is not a valid header.
        if headers
            .get("tracestate")
            .is_some_and(|state| state.is_empty())
        {
            headers.remove("tracestate");
        }
    }
}

fn span_context(span: &tracing::Span) -> Option<SpanContext> {
    let context = span.with_subscriber(|(id, subscriber)| {
        let span = subscriber.downcast_ref::<Registry>()?.span(id)?;
        let extensions = span.extensions();
        let span = extensions.get::<Open>()?.span.as_ref()?;
        Some(span.span_context().clone())
    });
    context.flatten()
}

impl Extractor for Fields {
    fn get(&self, key: &str) -> Option<&str> {
        self.text(key)
    }

    fn keys(&self) -> Vec<&str> {
        vec!["traceparent", "tracestate"]
    }
}
