//! Uploaded files, which official clients create from inputs that are not text.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use memchr::memmem;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::time::Instant;

use crate::clock::{Clock, later};
use crate::http::Call;
use crate::replicate::problem::{Invalid, Problem};
use crate::seed::{BASE62, Rng};

/// The latest files; the oldest are forgotten first.
#[derive(Debug, Default)]
pub(crate) struct Files(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    count: u64,
    bytes: usize,
    /// Oldest first.
    kept: VecDeque<File>,
}

#[derive(Clone, Debug)]
pub(crate) struct File {
    pub(crate) id: String,
    name: String,
    content_type: String,
    content: Bytes,
    metadata: Value,
    created: Instant,
}

impl Files {
    /// `POST /v1/files`: a form with `content` and, optionally, `metadata`.
    pub(crate) fn create(&self, call: &Call) -> Result<File, Problem> {
        let parts = parts(call)
            .ok_or_else(|| Problem::new(400, "The request body must be multipart/form-data."))?;
        let part = |name: &str| parts.iter().find(|part| part.name == name);
        let content = part("content");
        let content = content.ok_or_else(|| Problem::invalid(Invalid::required("", "content")))?;
        let metadata = match part("metadata") {
            None => json!({}),
            Some(part) => serde_json::from_slice(&part.body)
                .ok()
                .filter(Value::is_object)
                .ok_or_else(|| {
                    let text = "Must be a JSON object";
                    Problem::invalid(Invalid::new("invalid_type", "metadata", text))
                })?,
        };
        let mut state = self.lock();
        let file = File {
            id: Rng(state.count).word(BASE62, 24),
            name: content.file_name.clone(),
            content_type: content.content_type.clone(),
            content: content.body.clone(),
            metadata,
            created: Instant::now(),
        };
        state.count += 1;
        state.bytes += file.content.len();
        state.kept.push_back(file.clone());
        while state.bytes > MAX_BYTES || state.kept.len() > MAX_FILES {
            let Some(oldest) = state.kept.pop_front() else {
                break;
            };
            state.bytes -= oldest.content.len();
        }
        Ok(file)
    }

    /// Newest first.
    pub(crate) fn all(&self) -> Vec<File> {
        self.lock().kept.iter().rev().cloned().collect()
    }

    pub(crate) fn find(&self, id: &str) -> Result<File, Problem> {
        let state = self.lock();
        let found = state.kept.iter().find(|file| file.id == id);
        found.cloned().ok_or_else(Problem::not_found)
    }

    pub(crate) fn delete(&self, id: &str) -> Result<(), Problem> {
        let mut state = self.lock();
        let found = state.kept.iter().position(|file| file.id == id);
        let file = found.and_then(|at| state.kept.remove(at));
        state.bytes -= file.ok_or_else(Problem::not_found)?.content.len();
        Ok(())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl File {
    pub(crate) fn entry(&self, clock: &Clock, base: &str) -> Value {
        let sum = Sha256::digest(&self.content);
        let sum: String = sum.iter().map(|byte| format!("{byte:02x}")).collect();
        json!({
            "id": self.id,
            "name": self.name,
            "content_type": self.content_type,
            "size": self.content.len(),
            "etag": &sum[..32],
            "checksums": {"sha256": sum},
            "metadata": self.metadata,
            "created_at": clock.rfc3339(self.created, 3),
            "expires_at": clock.rfc3339(later(self.created, LIFETIME), 3),
            "urls": {"get": format!("{base}/v1/files/{}", self.id)},
        })
    }
}

/// One part of a form.
#[derive(Debug)]
struct Part {
    name: String,
    file_name: String,
    content_type: String,
    body: Bytes,
}

/// The parts of a form (RFC 7578), without the preamble and what follows the last.
fn parts(call: &Call) -> Option<Vec<Part>> {
    let content_type = call.header("content-type")?;
    let form = content_type.get(..19)?;
    if !form.eq_ignore_ascii_case("multipart/form-data") {
        return None;
    }
    let delimiter = format!("\r\n--{}", parameter(content_type, "boundary")?);
    // The first delimiter may lack the line end before it.
    let body = Bytes::from([b"\r\n", &call.body[..]].concat());
    let mut starts = memmem::find_iter(&body, &delimiter);
    let mut from = starts.next()? + delimiter.len();
    let mut parts = Vec::new();
    for to in starts {
        parts.push(part(&body.slice(from..to))?);
        from = to + delimiter.len();
    }
    body[from..].starts_with(b"--").then_some(parts)
}

fn part(bytes: &Bytes) -> Option<Part> {
    let end = memmem::find(bytes, b"\r\n\r\n")?;
    let head = std::str::from_utf8(&bytes[..end]).ok()?;
    let header = |name: &str| {
        let lines = head.lines().filter_map(|line| line.split_once(':'));
        let mut found = lines.filter(|line| line.0.trim().eq_ignore_ascii_case(name));
        found.next().map(|line| line.1.trim())
    };
    let disposition = header("content-disposition")?;
    Some(Part {
        name: parameter(disposition, "name")?,
        file_name: parameter(disposition, "filename").unwrap_or_default(),
        content_type: header("content-type")
            .unwrap_or("application/octet-stream")
            .to_owned(),
        body: bytes.slice(end + 4..),
    })
}

/// `name="value"` or `name=value` of a header.
fn parameter(header: &str, name: &str) -> Option<String> {
    let mut parameters = header
        .split(';')
        .skip(1)
        .filter_map(|one| one.split_once('='));
    let (_, value) = parameters.find(|(key, _)| key.trim().eq_ignore_ascii_case(name))?;
    Some(value.trim().trim_matches('"').to_owned())
}

const LIFETIME: Duration = Duration::from_secs(24 * 3600);

const MAX_FILES: usize = 1000;
const MAX_BYTES: usize = 128 << 20;
