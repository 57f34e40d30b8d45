//! The log: its filter, and the format of log lines, in which foreign text cannot forge anything.

mod json;
mod sampling;

use std::env;
use std::fmt::{self, Write};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use llm_provider::text::printable;
use tracing::field::Field;
use tracing_subscriber::field::MakeExt;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt::FormatFields;
use tracing_subscriber::fmt::format::{Writer, debug_fn};
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;

pub(crate) use self::json::message;

use self::json::JsonLines;
use self::sampling::Sampling;
use crate::otel::Spans;
use crate::output::{errors_are_coloured, log_stream};

/// The target of the lines with prompts, which only `--log-prompts` turns on.
pub(crate) const PROMPTS: &str = "llm_gateway::prompts";

/// The form of log lines.
#[derive(Clone, Copy, Debug, Eq, PartialEq, clap::ValueEnum)]
pub(crate) enum LogFormat {
    /// One JSON object per line
    Json,
    Text,
}

/// Starts the log on standard error: warnings, and more with each `-v`. `POLYLLM_LOG` overrides it.
pub(crate) fn start(verbosity: u8) {
    start_with(filter(verbosity), verbosity, LogFormat::Text, None);
}

/// Starts the log with a filter. `spans` receives spans besides.
pub(crate) fn start_with(filter: Targets, verbosity: u8, format: LogFormat, spans: Option<Spans>) {
    let lines: Spans = if format == LogFormat::Json {
        IS_JSON.store(true, Relaxed);
        Sampling::default()
            .and_then(JsonLines::new(log_stream))
            .boxed()
    } else {
        let lines = tracing_subscriber::fmt::layer()
            .fmt_fields(fields())
            // Otherwise a closed standard error panics.
            .log_internal_errors(false)
            .with_writer(log_stream)
            .with_ansi(errors_are_coloured())
            .with_target(verbosity > 1);
        Sampling::default().and_then(lines).boxed()
    };
    let registry = tracing_subscriber::registry();
    match spans {
        // One filter for all costs less than one for each layer.
        None => registry.with(lines).with(filter).init(),
        Some(spans) => registry
            .with(vec![lines.with_filter(filter).boxed(), spans])
            .init(),
    }
}

/// Whether the log is JSON, so that all lines on standard error have to be.
pub(crate) fn is_json() -> bool {
    IS_JSON.load(Relaxed)
}

static IS_JSON: AtomicBool = AtomicBool::new(false);

/// The filter: that of `POLYLLM_LOG`, else by the number of `-v`.
pub(crate) fn filter(verbosity: u8) -> Targets {
    filter_of(verbosity, env::var("POLYLLM_LOG").ok().as_deref())
}

/// The filter: `set`, such as `warn,llm_gateway=debug`, else the number of `-v`.
///
/// `EnvFilter` would add regex-automata to the build, for filters by span and field.
fn filter_of(verbose: u8, set: Option<&str>) -> Targets {
    let set = set.filter(|text| !text.trim().is_empty());
    if let Some(filter) = set.and_then(|text| text.parse().ok()) {
        return filter;
    }
    let ours = ["llm_gateway", "llm_router", "llm_provider"];
    match verbose {
        0 => Targets::new().with_default(LevelFilter::WARN),
        1 => Targets::new().with_default(LevelFilter::INFO),
        2 => Targets::new()
            .with_default(LevelFilter::INFO)
            .with_targets(ours.map(|name| (name, LevelFilter::DEBUG))),
        _ => Targets::new().with_default(LevelFilter::DEBUG),
    }
}

/// Formats the message and each `name=value` of an event.
///
/// Escapes control characters, however a field was recorded: `tracing-subscriber` itself keeps line
/// ends, and in fields recorded with `%` also escape sequences.
pub(crate) fn fields() -> impl for<'w> FormatFields<'w> + 'static {
    debug_fn(write_field).delimited(" ")
}

fn write_field(writer: &mut Writer<'_>, field: &Field, value: &dyn fmt::Debug) -> fmt::Result {
    if field.name() != "message" {
        write!(writer, "{}=", field.name())?;
    }
    write!(Printable(writer), "{value:?}")
}

struct Printable<'a, 'w>(&'a mut Writer<'w>);

impl Write for Printable<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.write_str(&printable(text))
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::{Arc, Mutex};

    use tracing::Level;

    use super::*;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn each_v_logs_more_and_the_variable_overrides() {
        let levels = |verbose, set| {
            let filter = filter_of(verbose, set);
            ["llm_gateway::server", "hyper"].map(|target| {
                let levels = [Level::WARN, Level::INFO, Level::DEBUG, Level::TRACE];
                let enabled = levels.iter().filter(|l| filter.would_enable(target, l));
                enabled.count()
            })
        };
        assert_eq!(levels(0, None), [1, 1]);
        assert_eq!(levels(1, None), [2, 2]);
        assert_eq!(levels(2, None), [3, 2]);
        assert_eq!(levels(3, None), [3, 3]);
        assert_eq!(levels(3, Some("llm_gateway=trace,warn")), [4, 1]);
        assert_eq!(levels(0, Some("info")), [2, 2]);
        for ignored in ["", "x=y=z"] {
            assert_eq!(levels(1, Some(ignored)), [2, 2], "{ignored}");
        }
    }

    #[test]
    fn control_characters_in_events_are_escaped() {
        let hostile = "x\nWARN forged\r\u{1b}[2J\u{9b}1m\0\u{202e}\u{2028}";
        let lines = Lines::default();
        let writer = lines.clone();
        let subscriber = tracing_subscriber::fmt()
            .fmt_fields(fields())
            .with_ansi(false)
            .with_writer(move || writer.clone())
            .finish();
        tracing::subscriber::with_default(subscriber, || {
            let span = tracing::info_span!("span", name = %hostile);
            let _entered = span.enter();
            tracing::warn!(shown = %hostile, debug = ?hostile, text = hostile, n = 1, "said {hostile}");
            tracing::warn!("{hostile}");
        });
        let log = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
        assert_eq!(log.lines().count(), 2, "{log}");
        assert!(log.lines().all(|line| printable(line) == line), "{log:?}");
        assert!(log.contains("WARN span{name=x\\nWARN forged"), "{log}");
        assert!(log.contains(" n=1"), "{log}");
    }
}
