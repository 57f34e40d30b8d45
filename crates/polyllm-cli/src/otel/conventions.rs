//! The names and attributes of OpenTelemetry's semantic conventions: HTTP, and generative AI.

use opentelemetry::trace::{SpanKind, Status};
use opentelemetry::{KeyValue, Value};

use super::fields::Fields;

/// What a span of the gateway is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Kind {
    /// A request of a client.
    Server,
    /// A call at one deployment, with its retries.
    Call,
    /// A request to an upstream.
    Http,
}

impl Kind {
    /// The kind of a span with this name.
    pub(super) fn of(name: &str) -> Option<Self> {
        match name {
            "server" => Some(Self::Server),
            "call" => Some(Self::Call),
            "http" => Some(Self::Http),
            _ => None,
        }
    }

    pub(super) fn span_kind(self) -> SpanKind {
        match self {
            Self::Server => SpanKind::Server,
            Self::Call | Self::Http => SpanKind::Client,
        }
    }

    /// The name of the span: of few values, except for the model of a call.
    pub(super) fn name(self, fields: &Fields) -> String {
        match self {
            Self::Server => match fields.text("route") {
                Some(route) if route != UNKNOWN => format!("{} {route}", method(fields)),
                _ => method(fields).to_owned(),
            },
            Self::Call => match (operation(fields), fields.text("model")) {
                (Some(operation), Some(model)) => format!("{operation} {model}"),
                _ => fields.text("operation").unwrap_or("call").to_owned(),
            },
            Self::Http => method(fields).to_owned(),
        }
    }

    /// The attributes of a span, known when it has ended.
    pub(super) fn attributes(self, fields: &Fields) -> Vec<KeyValue> {
        let mut attributes = match self {
            Self::Server => server(fields),
            Self::Call => call(fields),
            Self::Http => http(fields),
        };
        attributes.extend(error_type(self, fields).map(|error| KeyValue::new(ERROR_TYPE, error)));
        attributes
    }

    /// Whether a span failed.
    pub(super) fn status(self, fields: &Fields) -> Status {
        match error_type(self, fields) {
            Some(_) => Status::error(""),
            None => Status::Unset,
        }
    }
}

/// The attributes of the metrics of requests.
pub(super) fn server_metric(fields: &Fields) -> Vec<KeyValue> {
    let mut attributes = request(fields);
    let error = error_type(Kind::Server, fields);
    attributes.extend(error.map(|error| KeyValue::new(ERROR_TYPE, error)));
    attributes
}

/// The attributes of the metrics of calls; `None` for operations that are not calls.
pub(super) fn call_metric(fields: &Fields) -> Option<Vec<KeyValue>> {
    let mut attributes = vec![KeyValue::new("gen_ai.operation.name", operation(fields)?)];
    copy(fields, "provider", "gen_ai.provider.name", &mut attributes);
    copy(fields, "model", "gen_ai.request.model", &mut attributes);
    Some(attributes)
}

/// The kind of a failure: for requests, the status of a server error.
pub(super) fn error_type(kind: Kind, fields: &Fields) -> Option<String> {
    match kind {
        Kind::Server => {
            let status = fields.number("status").filter(|status| *status >= 500);
            status.map(|status| status.to_string())
        }
        Kind::Call => fields.text("error").map(|error| error.replace(' ', "_")),
        Kind::Http => {
            let status = fields.number("status").filter(|status| *status >= 400);
            let failed = || fields.text("error").map(|error| error.replace(' ', "_"));
            status.map(|status| status.to_string()).or_else(failed)
        }
    }
}

fn server(fields: &Fields) -> Vec<KeyValue> {
    let mut attributes = request(fields);
    copy(fields, "id", "polyllm.request.id", &mut attributes);
    attributes
}

/// The attributes that spans and metrics of requests share.
fn request(fields: &Fields) -> Vec<KeyValue> {
    let mut attributes = vec![KeyValue::new("http.request.method", method(fields))];
    copy(fields, "route", "http.route", &mut attributes);
    copy(
        fields,
        "status",
        "http.response.status_code",
        &mut attributes,
    );
    attributes
}

fn call(fields: &Fields) -> Vec<KeyValue> {
    let mut attributes = call_metric(fields).unwrap_or_default();
    for (field, name) in [
        ("stream", "gen_ai.request.stream"),
        ("input_tokens", "gen_ai.usage.input_tokens"),
        ("cached_tokens", "gen_ai.usage.cache_read.input_tokens"),
        ("output_tokens", "gen_ai.usage.output_tokens"),
    ] {
        copy(fields, field, name, &mut attributes);
    }
    attributes
}

fn http(fields: &Fields) -> Vec<KeyValue> {
    let mut attributes = vec![KeyValue::new("http.request.method", method(fields))];
    let host = fields.text("host").unwrap_or_default();
    let (name, port) = match host.rsplit_once(':') {
        Some((name, port)) => (name, port.parse::<i64>().ok()),
        None => (host, None),
    };
    attributes.push(KeyValue::new("server.address", name.to_owned()));
    attributes.extend(port.map(|port| KeyValue::new("server.port", port)));
    copy(
        fields,
        "status",
        "http.response.status_code",
        &mut attributes,
    );
    let resent = fields.number("attempt").filter(|attempt| *attempt > 0);
    attributes.extend(resent.map(|count| KeyValue::new("http.request.resend_count", count)));
    attributes
}

fn copy(fields: &Fields, field: &str, name: &'static str, attributes: &mut Vec<KeyValue>) {
    if let Some(value) = fields.get(field) {
        attributes.push(KeyValue::new(name, value.clone()));
    }
}

/// The operation of a call. The conventions name most of them; others are named like their path.
fn operation(fields: &Fields) -> Option<Value> {
    let path = fields.text("endpoint")?;
    let path = path.strip_prefix("/v1/").unwrap_or(path);
    Some(match path {
        "chat/completions" => "chat".into(),
        "completions" => "text_completion".into(),
        other => other.replace('/', "_").into(),
    })
}

/// The method, of few values whatever clients send.
fn method(fields: &Fields) -> &'static str {
    let method = fields.text("method").unwrap_or_default();
    let known = METHODS.iter().find(|known| **known == method);
    known.copied().unwrap_or("_OTHER")
}

const METHODS: [&str; 9] = [
    "CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE",
];
const ERROR_TYPE: &str = "error.type";
/// The route of a request to an unknown path.
const UNKNOWN: &str = "unknown";
