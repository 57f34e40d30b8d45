//! Log lines in JSON, one object per line.

use std::fmt;
use std::io::Write;
use std::time::SystemTime;

use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::LookupSpan;

/// Writes each event as an object with `time`, `level`, `target`, `message` and the fields of the
/// event. The fields of a span are in an object with its name, such as `"request": {"id": "…"}`.
pub(crate) struct JsonLines<W> {
    writer: fn() -> W,
}

impl<W: Write> JsonLines<W> {
    pub(crate) fn new(writer: fn() -> W) -> Self {
        Self { writer }
    }
}

impl<S, W> Layer<S> for JsonLines<W>
where
    S: Subscriber + for<'s> LookupSpan<'s>,
    W: Write + 'static,
{
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let mut fields = Fields::default();
        attributes.record(&mut fields);
        if let Some(span) = context.span(id) {
            span.extensions_mut().insert(fields);
        }
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        if let Some(span) = context.span(id)
            && let Some(fields) = span.extensions_mut().get_mut::<Fields>()
        {
            values.record(fields);
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let metadata = event.metadata();
        let mut line = head(metadata.level().as_str(), metadata.target());
        let mut fields = Fields::default();
        event.record(&mut fields);
        line.extend(fields.0);
        for span in context.event_scope(event).into_iter().flatten() {
            if let Some(fields) = span.extensions().get::<Fields>() {
                let fields = Value::Object(fields.0.clone());
                // A field of the event keeps its name.
                line.entry(span.name()).or_insert(fields);
            }
        }
        let mut line = Value::Object(line).to_string();
        line.push('\n');
        // A closed standard error cannot be reported.
        let _ = (self.writer)().write_all(line.as_bytes());
    }
}

/// A message of the command line itself as a log line.
pub(crate) fn message(level: &str, text: &str) -> String {
    let mut line = head(level, "polyllm");
    line.insert("message".to_owned(), text.into());
    Value::Object(line).to_string()
}

fn head(level: &str, target: &str) -> Map<String, Value> {
    let time = humantime::format_rfc3339_millis(SystemTime::now()).to_string();
    let members = [
        ("time", time.as_str()),
        ("level", level),
        ("target", target),
    ];
    let members = members.map(|(name, value)| (name.to_owned(), value.into()));
    members.into_iter().collect()
}

/// The fields of an event or a span.
#[derive(Default)]
struct Fields(Map<String, Value>);

impl Fields {
    fn insert(&mut self, field: &Field, value: impl Into<Value>) {
        self.0.insert(field.name().to_owned(), value.into());
    }
}

impl Visit for Fields {
    fn record_bool(&mut self, field: &Field, value: bool) {
        self.insert(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.insert(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.insert(field, value);
    }

    fn record_u128(&mut self, field: &Field, value: u128) {
        // Milliseconds are of this type, and fit.
        self.insert(field, u64::try_from(value).unwrap_or(u64::MAX));
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.insert(field, value);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.insert(field, value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.insert(field, format!("{value:?}"));
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::io;

    use tracing_subscriber::layer::SubscriberExt;

    use super::*;

    thread_local! {
        static LOG: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
    }

    struct Lines;

    impl Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            LOG.with_borrow_mut(|log| log.extend_from_slice(bytes));
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn each_event_is_one_object_with_the_fields_of_its_spans() {
        let layer = JsonLines::new(|| Lines);
        let subscriber = tracing_subscriber::registry().with(layer);
        tracing::subscriber::with_default(subscriber, || {
            let span = tracing::error_span!("request", id = "req_1");
            let _entered = span.enter();
            let hostile = "a\n\"b\u{1b}[2J";
            tracing::warn!(error = %hostile, ms = 7_u128, ok = true, "it failed\nhere");
            tracing::info!(request = "own", "second");
        });
        let log = LOG.take();
        let log = String::from_utf8(log).unwrap();
        let lines: Vec<Value> = log
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        assert_eq!(lines.len(), 2, "{log}");
        assert_eq!(lines[0]["level"], "WARN");
        assert_eq!(lines[0]["message"], "it failed\nhere");
        assert_eq!(lines[0]["error"], "a\n\"b\u{1b}[2J");
        assert_eq!(lines[0]["ms"], 7);
        assert_eq!(lines[0]["ok"], true);
        assert_eq!(lines[0]["request"]["id"], "req_1");
        assert!(humantime::parse_rfc3339(lines[0]["time"].as_str().unwrap()).is_ok());
        assert_eq!(lines[1]["request"], "own");
        assert!(!log.contains('\u{1b}'), "{log}");
    }
}
