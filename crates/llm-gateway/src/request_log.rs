//! [`LogLine`]: the line that the log has of a request.

use std::time::Instant;

use bytes::Bytes;
use http::Response;
use http::request::Parts;
use llm_provider::text::{excerpt, printable};
use llm_types::{Map, Value};
use tracing::{Level, Span, enabled, info};

use crate::headers;

/// The line of one request, written at its end. A failure has its own line instead, which the error
/// writes.
pub(crate) struct LogLine {
    span: Span,
    started: Instant,
    method: String,
    path: String,
    status: u16,
    deployment: Option<String>,
    prompt: Option<String>,
}

impl LogLine {
    /// The line of a request, if the log has such lines. `was_logged` says whether the log has its
    /// failure already; `body` is that of a call whose prompt is logged.
    pub(crate) fn new<B>(
        span: &Span,
        started: Instant,
        head: &Parts,
        response: &Response<B>,
        was_logged: bool,
        body: Option<&Bytes>,
    ) -> Option<Box<Self>> {
        let prompt = body.filter(|_| enabled!(target: PROMPTS, Level::INFO));
        if prompt.is_none() && (was_logged || !enabled!(Level::INFO)) {
            return None;
        }
        let deployment = response.headers().get(headers::DEPLOYMENT);
        Some(Box::new(Self {
            span: span.clone(),
            started,
            method: excerpt(head.method.as_str()).into_owned(),
            path: excerpt(head.uri.path()).into_owned(),
            status: response.status().as_u16(),
            deployment: deployment.and_then(|id| Some(id.to_str().ok()?.to_owned())),
            prompt: prompt.map(|body| prompt_of(body)),
        }))
    }

    /// Whether the line has a prompt.
    pub(crate) fn has_prompt(&self) -> bool {
        self.prompt.is_some()
    }

    /// Writes the line.
    pub(crate) fn write(self) {
        let Self {
            method,
            path,
            status,
            deployment,
            ..
        } = self;
        let ms = self.started.elapsed().as_millis();
        self.span.in_scope(|| match self.prompt {
            None => info!(method, path, status, deployment, ms, "served"),
            Some(prompt) => {
                info!(target: PROMPTS, method, path, status, deployment, ms, prompt, "served");
            }
        });
    }
}

/// The members of a request's body that are its prompt, as one line of limited length. Other members,
/// which may be keys, are not logged.
fn prompt_of(body: &[u8]) -> String {
    let mut members: Map<String, Value> = serde_json::from_slice(body).unwrap_or_default();
    members.retain(|name, _| MEMBERS.contains(&name.as_str()));
    let text = Value::Object(members).to_string();
    printable(&text[..text.floor_char_boundary(MAX_PROMPT)]).into_owned()
}

/// The target of lines with a prompt.
const PROMPTS: &str = "llm_gateway::prompts";
const MEMBERS: [&str; 7] = [
    "documents",
    "input",
    "instructions",
    "messages",
    "prompt",
    "query",
    "system",
];
/// The maximum length of a prompt in the log, in bytes.
const MAX_PROMPT: usize = 16 << 10;
