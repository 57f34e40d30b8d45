//! The measurements of one request. A record is one line of JSON. All reported numbers are computed
//! from records alone.

use serde::{Deserialize, Serialize};

/// The measurements of one request.
///
/// Times named `…_ns` are nanoseconds since the start of the run on a monotonic clock. They are
/// `None` if the event did not happen.
#[non_exhaustive]
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct RequestRecord {
    /// The number of the request in the plan of its run, from 0.
    pub id: u64,
    /// The target of the request, when two are compared.
    #[serde(default, skip_serializing_if = "is_default")]
    pub side: Side,
    /// The place of the address in the list of the experiment's addresses.
    #[serde(default, skip_serializing_if = "is_default")]
    pub target: u32,
    /// The place of the model in the list of the experiment's models.
    #[serde(default, skip_serializing_if = "is_default")]
    pub model: u32,
    /// The phase of the run. Warm-up and cool-down are recorded but excluded from statistics.
    #[serde(default, skip_serializing_if = "is_default")]
    pub phase: Phase,
    /// The place in a multi-turn conversation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub turn: Option<Turn>,
    /// The job of an agent that the request is a part of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<JobPart>,

    /// The scheduled start; `None` in a closed loop.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scheduled_ns: Option<u64>,
    /// When the client started the request. Latencies count from here, except those from the
    /// schedule.
    pub dispatched_ns: u64,
    /// The times of connecting, if this request opened a connection.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connect: Option<ConnectTimes>,
    /// When the last byte was written to the socket.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sent_ns: Option<u64>,
    /// When the first byte of the response was read from the socket.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_byte_ns: Option<u64>,
    /// When the first token of any channel was read: content, reasoning, tool call or refusal. For
    /// embeddings and rerank, when the response was complete.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_token_ns: Option<u64>,
    /// When the first token that is no reasoning was read: content, tool call or refusal. `None` for
    /// embeddings and rerank, and for output that is all reasoning.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_output_ns: Option<u64>,
    /// The chunks with tokens after the first one.
    #[serde(default, skip_serializing_if = "is_default")]
    pub arrivals: Arrivals,
    /// When the response body ended, or when the client cancelled.
    pub end_ns: u64,

    /// Input and output tokens.
    #[serde(default)]
    pub tokens: TokenCounts,
    /// The length of the response body in bytes.
    #[serde(default)]
    pub response_bytes: u64,
    /// The HTTP status.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http_status: Option<u16>,
    /// How the request ended.
    pub outcome: Outcome,
    /// The rate limits that the server reported.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate_limit: Option<RateLimit>,
    /// The attempts before this one that were rejected with status 429, if they are repeated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backoff: Option<Backoff>,
    /// Replicate's own times of the prediction.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prediction: Option<PredictionTimes>,
    /// Whether the client or its machine stalled during the request, so that its times are not
    /// reliable.
    #[serde(default, skip_serializing_if = "is_default")]
    pub stalled: bool,
}

impl RequestRecord {
    /// Whether the request was due, and the run ended before it could start.
    pub fn is_unsent(&self) -> bool {
        self.outcome == Outcome::Cancelled
            && self.end_ns == self.dispatched_ns
            && self.connect.is_none()
            && self.sent_ns.is_none()
    }

    /// Whether the response is complete.
    pub fn is_ok(&self) -> bool {
        matches!(self.outcome, Outcome::Ok { .. })
    }

    /// When the last token was read.
    pub fn last_token_ns(&self) -> Option<u64> {
        let later: u64 = self.arrivals.gaps_us.iter().copied().map(u64::from).sum();
        Some(self.first_token_ns? + later * 1000)
    }
}

/// The target of a request, when two are compared.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    /// The target of `--against`. Requests of both sides with the same id form a pair.
    Against,
    /// The target of the experiment.
    #[default]
    Subject,
}

/// The phase of a run.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// The end, excluded from statistics.
    Cooldown,
    /// The measured part.
    #[default]
    Measured,
    /// The beginning, excluded from statistics.
    Warmup,
}

/// A place in a conversation.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Turn {
    /// The number of the conversation, from 0.
    pub conversation: u64,
    /// The number of the user's message in it, from 0.
    pub turn: u32,
}

/// The job that a request is a part of: all conversations of an agent and of its helpers.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct JobPart {
    /// The number of the job in the plan of its run, from 0.
    pub job: u64,
    /// The number of requests of the whole job. It is complete when all of them are.
    pub requests: u32,
}

impl JobPart {
    /// A part of a job that has this many requests.
    pub fn new(job: u64, requests: u32) -> Self {
        Self { job, requests }
    }
}

/// Attempts of a request that were rejected with status 429, and the waits after them.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Backoff {
    /// The number of rejected attempts.
    pub attempts: u32,
    /// From the dispatch to the start of the last attempt, in nanoseconds.
    pub delay_ns: u64,
}

/// The durations of connecting, in nanoseconds.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct ConnectTimes {
    /// Name resolution; 0 for a literal address.
    pub dns_ns: u64,
    /// The TCP handshake.
    pub tcp_ns: u64,
    /// The TLS handshake; 0 without TLS.
    pub tls_ns: u64,
}

/// The chunks with tokens after the first, in the order of arrival.
///
/// Chunks that were read from the socket at once have a gap of 0 between them.
#[non_exhaustive]
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Arrivals {
    /// Microseconds from the previous chunk to this one, rounded so that errors do not add up.
    #[serde(default)]
    pub gaps_us: Vec<u32>,
    /// The tokens of each chunk, including the first, so one longer than `gaps_us`; empty if every
    /// chunk has one token. If the server reports only a total, it is distributed in proportion to
    /// the text of the chunks.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tokens: Vec<u32>,
}

/// The tokens of a request and of its response.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct TokenCounts {
    /// Input tokens.
    pub input: u64,
    /// Who counted `input`.
    pub input_source: TokenSource,
    /// Output tokens, including reasoning.
    pub output: u64,
    /// Who counted `output`.
    pub output_source: TokenSource,
    /// Reasoning tokens of the output, if the server reports them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reasoning: Option<u64>,
    /// Input tokens from the server's cache, if the server reports them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cached_input: Option<u64>,
}

/// Who counted tokens.
#[non_exhaustive]
#[derive(
    Clone, Copy, Debug, Default, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize,
)]
#[serde(rename_all = "snake_case")]
pub enum TokenSource {
    /// An estimate from the length of the text, or from the number of chunks.
    #[default]
    Estimate,
    /// The server, in its usage.
    Server,
    /// A local `tokenizer.json`.
    Tokenizer,
}

/// How a request ended. Every request has an outcome.
#[non_exhaustive]
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(tag = "status", rename_all = "snake_case")]
pub enum Outcome {
    /// The client cancelled it, because the run had to end.
    Cancelled,
    /// It failed.
    Failed(Failure),
    /// The response is complete.
    Ok {
        /// The finish reason, such as `stop` or `length`, if the server reports one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        finish_reason: Option<String>,
    },
}

impl Default for Outcome {
    fn default() -> Self {
        Self::Ok {
            finish_reason: None,
        }
    }
}

/// Why a request failed.
#[non_exhaustive]
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Failure {
    /// The kind of the failure.
    pub kind: FailureKind,
    /// A message for users; shortened, and without keys and prompts.
    pub message: String,
}

/// The kind of a failure.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureKind {
    /// The connection failed: refused, unreachable, or reset while connecting.
    Connect,
    /// The connection broke during the request or the response.
    Disconnected,
    /// The host's name could not be resolved.
    Dns,
    /// A complete response without output.
    Empty,
    /// A status other than 2xx and 429.
    HttpStatus,
    /// An error inside a stream, or a failed prediction.
    InStream,
    /// A response that violates the protocol, such as invalid JSON.
    Protocol,
    /// Status 429.
    RateLimited,
    /// No complete response within the timeout.
    Timeout,
    /// The TLS handshake failed.
    Tls,
}

/// The rate limits in the headers of a response.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct RateLimit {
    /// The limit of requests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<f64>,
    /// Remaining requests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remaining: Option<f64>,
    /// The limit of tokens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit_tokens: Option<f64>,
    /// Remaining tokens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remaining_tokens: Option<f64>,
    /// Seconds until the limit resets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reset_s: Option<f64>,
    /// Seconds to wait, from `Retry-After`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_s: Option<f64>,
}

/// Replicate's own times of a prediction, in nanoseconds.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct PredictionTimes {
    /// From created to started: queueing, and booting if `cold`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue_ns: Option<u64>,
    /// `metrics.predict_time`: the run time of the model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub predict_ns: Option<u64>,
    /// Whether the queue time implies a cold boot (Replicate's documentation: a prediction that is
    /// `starting` for longer than a few seconds waits for a new worker).
    #[serde(default, skip_serializing_if = "is_default")]
    pub cold: bool,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_round_trips_as_a_line_of_json() {
        let mut record = RequestRecord {
            id: 7,
            dispatched_ns: 1_000,
            sent_ns: Some(2_000),
            first_token_ns: Some(50_000_000),
            arrivals: Arrivals {
                gaps_us: vec![10_000, 9_500],
                tokens: Vec::new(),
            },
            end_ns: 70_000_000,
            ..RequestRecord::default()
        };
        for outcome in [
            Outcome::default(),
            Outcome::Cancelled,
            Outcome::Failed(Failure {
                kind: FailureKind::RateLimited,
                message: "slow down".to_owned(),
            }),
        ] {
            record.outcome = outcome;
            let line = serde_json::to_string(&record).unwrap();
            assert!(!line.contains('\n'), "{line}");
            assert_eq!(
                serde_json::from_str::<RequestRecord>(&line).unwrap(),
                record
            );
        }
        assert_eq!(record.last_token_ns(), Some(69_500_000));
    }
}
