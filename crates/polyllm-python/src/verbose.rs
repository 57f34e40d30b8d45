//! `polyllm.set_verbose`: a line on standard error for each call and each HTTP request.

use std::io::{self, Write};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use pyo3::prelude::*;
use tracing::Metadata;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::fmt;
use tracing_subscriber::fmt::format::FmtSpan;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::Registry;

static IS_ON: AtomicBool = AtomicBool::new(false);

/// Turns the lines on or off, as the attribute `set_verbose` says. They have the provider, the
/// model, the host, the status and the time, and neither keys nor prompts.
pub(crate) fn set(attribute: Option<Bound<'_, PyAny>>) -> PyResult<()> {
    let is_on = attribute.is_some_and(|value| value.is_truthy().unwrap_or_default());
    IS_ON.store(is_on, Ordering::Relaxed);
    if is_on {
        install();
    }
    Ok(())
}

fn install() {
    static INSTALLED: OnceLock<()> = OnceLock::new();
    INSTALLED.get_or_init(|| {
        let lines = fmt::layer()
            .with_ansi(false)
            .with_span_events(FmtSpan::CLOSE)
            .with_writer(output)
            .with_filter(filter_fn(is_ours));
        let subscriber = Registry::default().with(lines.with_filter(LevelFilter::DEBUG));
        // Another extension may have installed one first.
        let _ = tracing::subscriber::set_global_default(subscriber);
    });
}

fn is_ours(metadata: &Metadata<'_>) -> bool {
    let ours = ["llm_", "polyllm", "provider_", "replicate_"];
    ours.iter()
        .any(|start| metadata.target().starts_with(start))
}

fn output() -> Box<dyn Write> {
    if IS_ON.load(Ordering::Relaxed) {
        Box::new(io::stderr())
    } else {
        Box::new(io::sink())
    }
}
