//! Continuation of a stream that breaks after its first output.
//!
//! Another deployment of the group gets the request with the text so far, as the beginning of its
//! reply, and its chunks follow those that the client has.

use std::borrow::Cow;
use std::fmt;

use llm_provider::{Call, Chunk, Document, Error, Result};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::attempt::Attempt;
use crate::plan::Plan;
use crate::tail::Tail;

/// What is needed to continue a stream.
#[derive(Debug)]
pub(crate) struct Continuation {
    plan: Plan,
    call: Call,
    written: Written,
}

impl Continuation {
    /// Prepares for a failure of the stream of `call`; `None` if such a stream cannot be continued.
    pub(crate) fn new(plan: Plan, call: Call) -> Option<Self> {
        let has_choices = call.body.u64("n").is_some_and(|choices| choices > 1);
        let is_bound = BOUND.iter().any(|key| call.body.has_value(key));
        (!has_choices && !is_bound).then(|| Self {
            plan,
            call,
            written: Written::default(),
        })
    }

    /// Records a chunk that is passed on; the chunk as the client gets it.
    pub(crate) fn pass(&mut self, chunk: Chunk) -> Option<Chunk> {
        self.written.pass(chunk)
    }

    /// Opens the stream that continues the one of the deployment `failed`.
    ///
    /// # Errors
    /// `error`, if no other deployment can continue it, or the error of the last one that tried.
    pub(crate) async fn resume(&mut self, mut failed: u32, mut error: Error) -> Result<Box<Tail>> {
        loop {
            let Some(call) = self.written.continued(&self.call) else {
                return Err(error);
            };
            let lease = self.plan.resume(failed, error).await?;
            let attempt = Attempt::continued(&self.plan, &lease, &call);
            match attempt.open_to_output().await {
                Ok(mut opened) => {
                    lease.describe(&mut opened.stream.metadata);
                    self.written.is_continued = true;
                    return Ok(Box::new(Tail::of(opened, lease)));
                }
                Err(next) => {
                    (failed, error) = (lease.index(), next);
                    lease.failed(&error, true);
                }
            }
        }
    }
}

/// Parameters whose replies cannot be continued: a grammar would begin anew.
const BOUND: &[&str] = &["echo", "logprobs", "response_format"];

/// The text that the client has.
#[derive(Default)]
struct Written {
    text: String,
    /// The chunks with text, of about one token each.
    chunks: u64,
    /// Whether the reply is complete, or has more than text.
    is_closed: bool,
    id: Option<String>,
    created: Option<u64>,
    is_continued: bool,
}

/// Shows the length of the text, and no text.
impl fmt::Debug for Written {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Written")
            .field("bytes", &self.text.len())
            .field("is_closed", &self.is_closed)
            .field("is_continued", &self.is_continued)
            .finish_non_exhaustive()
    }
}

impl Written {
    fn pass(&mut self, chunk: Chunk) -> Option<Chunk> {
        let text = chunk.text().ok().flatten();
        let text = text.filter(|text| !text.is_empty());
        match &text {
            Some(text) if self.text.len() + text.len() <= LONGEST_TEXT => {
                self.text.push_str(text);
                self.chunks += 1;
            }
            Some(_) => self.is_closed = true,
            None => self.is_closed |= chunk.has_output(),
        }
        self.is_closed |= chunk.is_finish();
        if !self.is_continued {
            self.id = self.id.take().or_else(|| id_of(&chunk));
            self.created = self.created.or_else(|| chunk.body().u64("created"));
            return Some(chunk);
        }
        // The client has the first chunk, with the role.
        let is_needed = chunk.has_output() || chunk.is_finish() || chunk.usage().is_some();
        is_needed.then(|| self.as_one(chunk))
    }

    /// A chunk of the continuation with the id and the time of the stream.
    fn as_one(&self, chunk: Chunk) -> Chunk {
        let mut body: Document = chunk.body().clone();
        if let Some(id) = &self.id {
            body.set("id", id);
        }
        if let Some(created) = self.created {
            body.set("created", created);
        }
        let changed = Chunk::new(body)
            .with_output(chunk.has_output())
            .with_finish(chunk.is_finish());
        match chunk.usage() {
            Some(usage) => changed.with_usage(usage.clone()),
            None => changed,
        }
    }

    /// The call whose reply begins with the text so far.
    fn continued(&self, call: &Call) -> Option<Call> {
        if self.is_closed || self.text.is_empty() {
            return None;
        }
        let mut call = call.clone();
        if call.body.has("messages") {
            let mut messages: Vec<Box<RawValue>> = call.body.read_member("messages").ok()??;
            let mut text = Cow::Borrowed(&*self.text);
            if call.is_prefill || call.body.get("continue_final_message") == Some(b"true") {
                // The client began the reply: its message goes on with the text.
                let begun: Value = serde_json::from_str(messages.pop()?.get()).ok()?;
                text = format!("{}{text}", begun.get("content")?.as_str()?).into();
            }
            let message = serde_json::json!({ "role": "assistant", "content": text });
            messages.push(serde_json::value::to_raw_value(&message).ok()?);
            call.body.set("messages", messages);
            call.is_prefill = true;
        } else {
            let prompt = call.body.str("prompt")?.into_owned();
            call.body.set("prompt", prompt + &self.text);
        }
        for key in ["max_completion_tokens", "max_tokens"] {
            if let Some(limit) = call.body.u64(key) {
                call.body.set(key, limit.saturating_sub(self.chunks).max(1));
            }
        }
        Some(call)
    }
}

fn id_of(chunk: &Chunk) -> Option<String> {
    chunk.body().str("id").map(Cow::into_owned)
}

/// A longer reply is not continued, since its text is kept in memory.
const LONGEST_TEXT: usize = 1 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    fn chunk(id: &str, delta: &str) -> Chunk {
        let created = u64::from(id.as_bytes()[0]);
        let body = format!(
            r#"{{"id":"{id}","created":{created},"choices":[{{"index":0,"delta":{delta}}}]}}"#
        );
        let has_output = delta.contains(':') && !delta.contains("role");
        Chunk::new(Document::from_bytes(body)).with_output(has_output)
    }

    #[test]
    fn the_client_sees_one_stream() {
        let mut written = Written::default();
        assert!(
            written
                .pass(chunk("a", r#"{"role":"assistant"}"#))
                .is_some()
        );
        assert!(written.pass(chunk("a", r#"{"content":"x"}"#)).is_some());
        written.is_continued = true;
        assert!(
            written
                .pass(chunk("b", r#"{"role":"assistant"}"#))
                .is_none()
        );
        let next = written.pass(chunk("b", r#"{"content":"y"}"#)).unwrap();
        assert_eq!(id_of(&next).as_deref(), Some("a"));
        assert_eq!(next.body().u64("created"), Some(u64::from(b'a')));
        assert_eq!(written.text, "xy");
    }

    #[test]
    fn the_text_follows_what_the_client_began() {
        let continued = |body: &'static str, is_prefill| {
            let mut written = Written::default();
            written.pass(chunk("a", r#"{"content":"x"}"#));
            let call = Call::new(&llm_provider::endpoint::Chat, Document::from_bytes(body));
            let call = written.continued(&call.with_prefill(is_prefill)).unwrap();
            let body: Value = serde_json::from_slice(call.body.bytes()).unwrap();
            (body, call.is_prefill)
        };
        let begun = r#"{"messages":[{"role":"assistant","content":"pre"}]}"#;
        let (body, is_prefill) = continued(begun, true);
        assert_eq!(
            body["messages"],
            serde_json::json!([{"role": "assistant", "content": "prex"}])
        );
        assert!(is_prefill);
        let (body, _) = continued(begun, false);
        assert_eq!(body["messages"][1]["content"], "x");
        let flagged = r#"{"continue_final_message":true,
            "messages":[{"role":"assistant","content":"pre"}]}"#;
        assert_eq!(
            continued(flagged, false).0["messages"][0]["content"],
            "prex"
        );
        // A prompt needs no parameter of chats.
        let (body, is_prefill) = continued(r#"{"prompt":"p"}"#, false);
        assert_eq!((&body["prompt"], is_prefill), (&"px".into(), false));
    }

    #[test]
    fn only_unfinished_text_is_continued() {
        let body = r#"{"messages":[]}"#;
        let call = Call::new(&llm_provider::endpoint::Chat, Document::from_bytes(body));
        let written = |chunks: Vec<Chunk>| {
            let mut written = Written::default();
            for chunk in chunks {
                written.pass(chunk);
            }
            written.continued(&call).is_some()
        };
        let text = || chunk("a", r#"{"content":"x"}"#);
        assert!(!written(vec![]));
        assert!(written(vec![text()]));
        assert!(!written(vec![text().with_finish(true)]));
        assert!(!written(vec![text(), chunk("a", r#"{"tool_calls":[]}"#)]));
        assert!(!written(vec![chunk("a", r#"{"reasoning":"r"}"#), text()]));
    }
}
