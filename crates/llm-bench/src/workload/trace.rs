//! Traces: recorded start times and lengths of requests.

use std::path::Path;

use serde::Deserialize;
use serde_json::Value;

use crate::error::Error;
use crate::scenario::TrafficScenario;
use crate::workload::access::Access;
use crate::workload::file;

/// A recorded load in the order of time.
#[non_exhaustive]
#[derive(Clone, Debug, Default)]
pub struct Trace {
    pub(crate) rows: Vec<TraceRow>,
}

/// A line of a trace, in Mooncake's form or with its own prompt.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct TraceRow {
    /// Milliseconds from any origin.
    pub(crate) timestamp: f64,
    /// Input tokens.
    pub(crate) input_length: Option<u64>,
    /// Output tokens.
    pub(crate) output_length: Option<u64>,
    /// Blocks of 512 tokens of the prompt; equal numbers represent equal text.
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
    /// [`Error::Dataset`] with the line; [`Error::Read`]; [`Error::NotAllowed`].
    pub fn read(path: &Path, access: &Access) -> Result<Self, Error> {
        let text = file::text(path, access)?;
        let mut rows = Vec::new();
        for (number, line) in (1..).zip(text.lines()) {
            if line.trim().is_empty() {
                continue;
            }
            let invalid = |reason: String| Error::dataset(path, Some(number), reason);
            let row: TraceRow = serde_json::from_str(line).map_err(|error| {
                invalid(format!(
                    "expected {{\"timestamp\": ms, \"input_length\": …}}: {error}"
                ))
            })?;
            if row.timestamp.is_nan() || row.timestamp.abs() > MAX_MS {
                return Err(invalid(
                    "timestamp: expected milliseconds, at most 1e15".to_owned(),
                ));
            }
            if row.input_length.is_none() && row.prompt.is_none() && row.messages.is_none() {
                return Err(invalid(
                    "expected input_length, prompt or messages".to_owned(),
                ));
            }
            for (name, tokens) in [
                ("input_length", row.input_length),
                ("output_length", row.output_length),
            ] {
                if tokens.is_some_and(|tokens| tokens > TrafficScenario::MAX_TOKENS) {
                    let max = TrafficScenario::MAX_TOKENS;
                    return Err(invalid(format!("{name}: more than {max}")));
                }
            }
            rows.push(row);
        }
        if rows.is_empty() {
            return Err(Error::dataset(path, None, "expected at least one request"));
        }
        rows.sort_by(|a, b| a.timestamp.total_cmp(&b.timestamp));
        Ok(Self { rows })
    }

    /// The number of requests.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there are no requests; never true for a trace from [`Trace::read`].
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }
}

impl TraceRow {
    /// The approximate size of the request in bytes.
    pub(crate) fn bytes(&self) -> usize {
        // Synthetic words have about six letters per token.
        let synthetic = self.input_length.unwrap_or(0).saturating_mul(6);
        let texts = self.messages.iter().flatten();
        let texts = texts.filter_map(|message| message.get("content")?.as_str());
        let given = self.prompt.as_deref().into_iter().chain(texts);
        match given.map(str::len).sum() {
            0 => usize::try_from(synthetic).unwrap_or(usize::MAX),
            bytes => bytes,
        }
    }
}

/// Tokens of a block in Mooncake's traces.
pub(crate) const BLOCK: u64 = 512;

/// About 30,000 years: longer than any recording, and exact in a float.
const MAX_MS: f64 = 1e15;
