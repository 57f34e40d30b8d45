use std::fmt;

use hyper::Uri;
use serde_json::{Map, Value};

use crate::replicate::problem::Invalid;

/// The type of a webhook event.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum WebhookEvent {
    /// The prediction has ended, with any status.
    Completed,
    /// There are new logs.
    Logs,
    /// There is new output.
    Output,
    /// The prediction has started.
    Start,
}

impl WebhookEvent {
    /// The spelling in `webhook_events_filter`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Completed => "completed",
            Self::Logs => "logs",
            Self::Output => "output",
            Self::Start => "start",
        }
    }
}

impl fmt::Display for WebhookEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The URL, and the events to send.
#[derive(Clone, Debug)]
pub(crate) struct Hook {
    pub(crate) url: Uri,
    events: Vec<WebhookEvent>,
}

impl Hook {
    /// Reads it from the body of a create request; `webhook_completed` is the older way to request
    /// only the end. Invalid values are added to `invalid`.
    pub(crate) fn read(body: &Map<String, Value>, invalid: &mut Vec<Invalid>) -> Option<Self> {
        let events = events(body.get("webhook_events_filter"), invalid);
        let webhook = url(body, "webhook", invalid);
        let completed = url(body, "webhook_completed", invalid);
        match (webhook, completed) {
            (Some(url), _) => Some(Self { url, events }),
            (None, Some(url)) => Some(Self {
                url,
                events: vec![WebhookEvent::Completed],
            }),
            (None, None) => None,
        }
    }

    pub(crate) fn wants(&self, event: WebhookEvent) -> bool {
        self.events.contains(&event)
    }
}

/// The default is new output and the end (Replicate, "Setup webhook").
fn events(filter: Option<&Value>, invalid: &mut Vec<Invalid>) -> Vec<WebhookEvent> {
    use WebhookEvent::{Completed, Logs, Output, Start};

    let Some(filter) = filter.and_then(Value::as_array) else {
        return vec![Output, Completed];
    };
    let known = |event: &Value| {
        [Start, Output, Logs, Completed]
            .into_iter()
            .find(|known| event == known.as_str())
    };
    let events: Vec<_> = filter.iter().filter_map(known).collect();
    if events.len() < filter.len() {
        let text = "webhook_events_filter must be one of the following: \"start\", \"output\", \
                    \"logs\", \"completed\"";
        invalid.push(Invalid::new("enum", "webhook_events_filter", text));
    }
    events
}

fn url(body: &Map<String, Value>, name: &str, invalid: &mut Vec<Invalid>) -> Option<Uri> {
    let text = body.get(name)?.as_str()?;
    let url = text
        .parse()
        .ok()
        .filter(|url: &Uri| matches!(url.scheme_str(), Some("http" | "https")));
    if url.is_none() {
        let text = "Does not match format 'uri'";
        invalid.push(Invalid::new("format", name, text));
    }
    url
}
