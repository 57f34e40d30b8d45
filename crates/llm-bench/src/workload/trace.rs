//! Traces: when requests came, and how long they and their answers were.

use std::path::Path;

use serde::Deserialize;
use serde_json::Value;

use crate::error::Error;
use crate::workload::read;

/// A recorded load, in the order of its time.
#[non_exhaustive]
#[derive(Clone, Debug, Default)]
pub struct Trace {
    pub(crate) rows: Vec<TraceRow>,
}

/// A line of a trace, in Mooncake's form or with a prompt of its own.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct TraceRow {
    /// Milliseconds from any zero.
    pub(crate) timestamp: f64,
    /// Tokens of the prompt.
    pub(crate) input_length: Option<u64>,
    /// Tokens of the answer.
    pub(crate) output_length: Option<u64>,
    /// Blocks of 512 tokens of the prompt; equal numbers stand for equal text.
    #[serde(default)]
    pub(crate) hash_ids: Vec<u64>,
    /// The prompt itself.
    pub(crate) prompt: Option<String>,
    /// A conversation in OpenAI's form.
    pub(crate) messages: Option<Vec<Value>>,
}

impl Trace {
    /// Reads JSON Lines with `timestamp` in milliseconds, `output_length`, and `input_length` with
    /// `hash_ids` (Mooncake), `prompt` or `messages`.
    ///
    /// # Errors
    ///
    /// [`Error::Dataset`] with the line; [`Error::Read`].
    pub fn read(path: &Path) -> Result<Self, Error> {
        let text = read::text(path)?;
        let mut rows = Vec::new();
        for (number, line) in (1..).zip(text.lines()) {
            if line.trim().is_empty() {
                continue;
            }
            let wrong = |reason: String| Error::dataset(path, Some(number), reason);
            let row: TraceRow = serde_json::from_str(line).map_err(|error| {
                wrong(format!(
                    "expected {{\"timestamp\": ms, \"input_length\": …}}: {error}"
                ))
            })?;
            if !row.timestamp.is_finite() {
                return Err(wrong("timestamp: expected milliseconds".to_owned()));
            }
            if row.input_length.is_none() && row.prompt.is_none() && row.messages.is_none() {
                return Err(wrong(
                    "expected input_length, prompt or messages".to_owned(),
                ));
            }
            if row.input_length.is_some_and(|tokens| tokens > MOST_TOKENS) {
                return Err(wrong(format!("input_length: more than {MOST_TOKENS}")));
            }
            rows.push(row);
        }
        if rows.is_empty() {
            return Err(Error::dataset(
                path,
                None,
                "holds no requests: expected at least one",
            ));
        }
        rows.sort_by(|a, b| a.timestamp.total_cmp(&b.timestamp));
        Ok(Self { rows })
    }

    /// How many requests there are.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there are none, which [`Trace::read`] does not give.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }
}

/// Tokens of a block in Mooncake's traces.
pub(crate) const BLOCK: u64 = 512;

const MOST_TOKENS: u64 = 10_000_000;
