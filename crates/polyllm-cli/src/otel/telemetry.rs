//! The providers of traces and metrics, from the environment.

use std::env;
use std::fmt::Display;
use std::time::Duration;

use anyhow::{Result, anyhow, bail};
use opentelemetry::metrics::MeterProvider;
use opentelemetry::trace::TracerProvider;
use opentelemetry::{Key, KeyValue};
use opentelemetry_otlp::{
    MetricExporter, Protocol, SpanExporter, WithExportConfig, WithHttpConfig,
};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::metrics::SdkMeterProvider;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing::{Level, Metadata};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::filter_fn;

use super::collector::Collector;
use super::instruments::Instruments;
use super::layer::{self, SpanLayer};
use super::{Asked, METRICS_EXPORTER, Spans, TRACES_EXPORTER};

/// The exporters of a running gateway.
#[derive(Debug)]
pub(crate) struct Telemetry {
    traces: Option<SdkTracerProvider>,
    metrics: Option<SdkMeterProvider>,
}

/// Starts the exporters, if they are asked for. Call it within the runtime.
///
/// # Errors
/// If a variable has a value that is not supported.
pub(crate) fn start(is_configured: bool) -> Result<Option<Telemetry>> {
    if super::asked(is_configured) == Asked::Nobody {
        return Ok(None);
    }
    for variable in PROTOCOLS {
        check_value(
            variable,
            &["http/protobuf"],
            "with the collector's port for HTTP (4318)",
        )?;
    }
    let collector = Collector::new();
    let traces = is_exported(TRACES_EXPORTER)?
        .then(|| -> Result<_> {
            let exporter = SpanExporter::builder()
                .with_http()
                .with_http_client(collector.clone())
                .with_protocol(Protocol::HttpBinary)
                .build()
                .map_err(invalid)?;
            let provider = SdkTracerProvider::builder().with_resource(resource());
            Ok(provider.with_batch_exporter(exporter).build())
        })
        .transpose()?;
    let metrics = is_exported(METRICS_EXPORTER)?
        .then(|| -> Result<_> {
            let exporter = MetricExporter::builder()
                .with_http()
                .with_http_client(collector)
                .with_protocol(Protocol::HttpBinary)
                .build()
                .map_err(invalid)?;
            let provider = SdkMeterProvider::builder().with_resource(resource());
            Ok(provider.with_periodic_exporter(exporter).build())
        })
        .transpose()?;
    if traces.is_some() {
        llm_http::set_propagator(layer::inject);
    }
    Ok(Some(Telemetry { traces, metrics }))
}

impl Telemetry {
    /// The layer that makes spans and metrics of the spans of the gateway and its providers.
    pub(crate) fn spans(&self) -> Option<Spans> {
        let tracer = self.traces.as_ref().map(|traces| traces.tracer(SCOPE));
        let instruments = self.metrics.as_ref().map(|metrics| metrics.meter(SCOPE));
        let instruments = instruments.map(|meter| Instruments::new(&meter));
        let filter = filter_fn(is_exported_span).with_max_level_hint(Level::TRACE);
        Some(
            SpanLayer::new(tracer, instruments)
                .with_filter(filter)
                .boxed(),
        )
    }

    /// Exports what is left.
    pub(crate) async fn shutdown(self) {
        // The exporters block their caller, and need the runtime.
        let ended = tokio::task::spawn_blocking(move || {
            let ended = self
                .traces
                .map(|traces| traces.shutdown_with_timeout(SHUTDOWN));
            let metrics = self
                .metrics
                .map(|metrics| metrics.shutdown_with_timeout(SHUTDOWN));
            ended.into_iter().chain(metrics).find_map(Result::err)
        });
        if let Ok(Some(error)) = ended.await {
            tracing::warn!(%error, "the last traces or metrics were not exported");
        }
    }
}

fn is_exported_span(metadata: &Metadata<'_>) -> bool {
    metadata.is_span()
        && layer::NAMES.contains(&metadata.name())
        && ["llm_gateway", "llm_http"]
            .iter()
            .any(|name| metadata.target().starts_with(name))
}

/// Whether a signal is exported, which is the default.
fn is_exported(variable: &str) -> Result<bool> {
    check_value(variable, &["otlp", "none"], "")?;
    Ok(env::var(variable).map_or(true, |value| value != "none"))
}

/// The service `polyllm`, unless the environment names it, and its version.
fn resource() -> Resource {
    let version = KeyValue::new("service.version", env!("CARGO_PKG_VERSION"));
    let found = Resource::builder().build().get(&Key::from("service.name"));
    let has_name = found.is_some_and(|name| !name.as_str().starts_with("unknown_service"));
    let resource = Resource::builder().with_attribute(version);
    match has_name {
        true => resource.build(),
        false => resource.with_service_name("polyllm").build(),
    }
}

fn check_value(variable: &str, supported: &[&str], more: &str) -> Result<()> {
    match env::var(variable) {
        Ok(value) if !value.is_empty() && !supported.contains(&value.as_str()) => {
            let value = llm_provider::text::excerpt(&value).into_owned();
            let supported = supported.join(" or ");
            bail!("{variable}={value} is not supported: set {supported} {more}")
        }
        _ => Ok(()),
    }
}

fn invalid(error: impl Display) -> anyhow::Error {
    anyhow!("cannot export with OpenTelemetry: {error}")
}

/// The name of the instrumentation.
const SCOPE: &str = "polyllm";
const PROTOCOLS: [&str; 3] = [
    "OTEL_EXPORTER_OTLP_PROTOCOL",
    "OTEL_EXPORTER_OTLP_METRICS_PROTOCOL",
    "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL",
];
/// How long the last export may take.
const SHUTDOWN: Duration = Duration::from_secs(5);
