//! OpenTelemetry: traces and metrics of `polyllm serve`, by OTLP over HTTP. The feature `otel`.
//!
//! It is on if the configuration has the callback `otel`, or the environment names a collector. The
//! environment variables are those of OpenTelemetry.

#[cfg(feature = "otel")]
mod collector;
#[cfg(feature = "otel")]
mod conventions;
#[cfg(feature = "otel")]
mod fields;
#[cfg(feature = "otel")]
mod instruments;
#[cfg(feature = "otel")]
mod layer;
#[cfg(feature = "otel")]
mod telemetry;

use std::env;

use tracing_subscriber::{Layer, Registry};

#[cfg(feature = "otel")]
pub(crate) use self::telemetry::{Telemetry, start};

/// A layer, whatever its type.
pub(crate) type Spans = Box<dyn Layer<Registry> + Send + Sync>;

/// Who asks for OpenTelemetry.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Asked {
    Nobody,
    Environment,
    Config,
}

fn asked(is_configured: bool) -> Asked {
    let has = |name: &str| env::var_os(name).is_some_and(|value| !value.is_empty());
    let is = |name: &str, value: &str| env::var(name).is_ok_and(|set| set == value);
    if is("OTEL_SDK_DISABLED", "true") {
        Asked::Nobody
    } else if is_configured {
        Asked::Config
    } else if ENDPOINTS.iter().any(|name| has(name))
        || EXPORTERS.iter().any(|name| is(name, "otlp"))
    {
        Asked::Environment
    } else {
        Asked::Nobody
    }
}

/// The variables with the address of a collector.
const ENDPOINTS: [&str; 3] = [
    "OTEL_EXPORTER_OTLP_ENDPOINT",
    "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT",
    "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
];
/// The variables with the exporter of each signal: `otlp` or `none`.
const EXPORTERS: [&str; 2] = [METRICS_EXPORTER, TRACES_EXPORTER];
const METRICS_EXPORTER: &str = "OTEL_METRICS_EXPORTER";
const TRACES_EXPORTER: &str = "OTEL_TRACES_EXPORTER";

/// Nothing: this build has no OpenTelemetry.
#[cfg(not(feature = "otel"))]
pub(crate) enum Telemetry {}

#[cfg(not(feature = "otel"))]
pub(crate) fn start(is_configured: bool) -> anyhow::Result<Option<Telemetry>> {
    use crate::output::{Colour, note};

    const INSTALL: &str = "this build has no OpenTelemetry; `cargo install --path crates/polyllm-cli --features otel` \
         adds it";
    match asked(is_configured) {
        Asked::Nobody => {}
        Asked::Environment => note(
            "warning",
            Colour::Yellow,
            format_args!("the variables OTEL_* have no effect: {INSTALL}"),
        ),
        Asked::Config => anyhow::bail!("litellm_settings.callbacks has `otel`, but {INSTALL}"),
    }
    Ok(None)
}

#[cfg(not(feature = "otel"))]
impl Telemetry {
    pub(crate) fn spans(&self) -> Option<Spans> {
        match *self {}
    }

    pub(crate) async fn shutdown(self) {
        match self {}
    }
}
