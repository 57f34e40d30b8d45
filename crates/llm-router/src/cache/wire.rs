//! Replies as text, for the shared state.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use llm_provider::{Chunk, Document, Metadata};
use llm_types::Usage;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::{Body, Entry};
use crate::clock::{Nanos, between, nanos};

#[derive(Deserialize, Serialize)]
struct Wire {
    /// Milliseconds of Unix time.
    stored: u64,
    /// In milliseconds.
    time_to_live: u64,
    provider: String,
    model: String,
    deployment: Option<String>,
    upstream_id: Option<String>,
    dropped_params: Vec<String>,
    extra: Map<String, Value>,
    body: Option<Box<RawValue>>,
    chunks: Vec<WireChunk>,
}

#[derive(Deserialize, Serialize)]
struct WireChunk {
    body: Box<RawValue>,
    has_output: bool,
    is_finish: bool,
    usage: Option<Usage>,
}

/// The text of an entry that is stored now; `None` if it is not JSON.
pub(super) fn write(entry: &Entry) -> Option<Vec<u8>> {
    let metadata = &entry.metadata;
    let (body, chunks) = match &entry.body {
        Body::Whole(body) => (Some(raw(body)?), Vec::new()),
        Body::Stream(chunks) => {
            let chunks = chunks.iter().map(|chunk| {
                Some(WireChunk {
                    body: raw(chunk.body())?,
                    has_output: chunk.has_output(),
                    is_finish: chunk.is_finish(),
                    usage: chunk.usage().cloned(),
                })
            });
            (None, chunks.collect::<Option<_>>()?)
        }
    };
    let wire = Wire {
        stored: unix_millis(),
        time_to_live: millis(between(entry.stored, entry.expires)),
        provider: metadata.provider.to_owned(),
        model: metadata.model.clone(),
        deployment: metadata.deployment.clone(),
        upstream_id: metadata.upstream_id.clone(),
        dropped_params: metadata.dropped_params.clone(),
        extra: metadata.extra.clone(),
        body,
        chunks,
    };
    serde_json::to_vec(&wire).ok()
}

/// The entry of a text; `None` if it is not one of [`write`], or its provider is unknown here.
pub(super) fn read(
    text: &[u8],
    now: Nanos,
    mut provider: impl FnMut(&str) -> Option<&'static str>,
) -> Option<Entry> {
    let wire: Wire = serde_json::from_slice(text).ok()?;
    let age = nanos(Duration::from_millis(
        unix_millis().saturating_sub(wire.stored),
    ));
    let time_to_live = nanos(Duration::from_millis(wire.time_to_live));
    let mut metadata = Metadata::new(provider(&wire.provider)?, wire.model);
    metadata.deployment = wire.deployment;
    metadata.upstream_id = wire.upstream_id;
    metadata.dropped_params = wire.dropped_params;
    metadata.extra = wire.extra;
    let body = match wire.body {
        Some(body) => Body::Whole(document(body)),
        None => {
            let chunks = wire.chunks.into_iter().map(|wire| {
                let chunk = Chunk::new(document(wire.body))
                    .with_output(wire.has_output)
                    .with_finish(wire.is_finish);
                match wire.usage {
                    Some(usage) => chunk.with_usage(usage),
                    None => chunk,
                }
            });
            Body::Stream(chunks.collect())
        }
    };
    let stored = now.saturating_sub(age);
    Some(Entry {
        metadata,
        body,
        stored,
        expires: stored.saturating_add(time_to_live),
    })
}

fn raw(body: &Document) -> Option<Box<RawValue>> {
    let text = String::from_utf8(body.bytes().to_vec()).ok()?;
    RawValue::from_string(text).ok()
}

fn document(body: Box<RawValue>) -> Document {
    Document::from_bytes(String::from(Box::<str>::from(body)))
}

fn unix_millis() -> u64 {
    let age = SystemTime::now().duration_since(UNIX_EPOCH);
    millis(age.unwrap_or_default())
}

fn millis(duration: Duration) -> u64 {
    nanos(duration) / 1_000_000
}
