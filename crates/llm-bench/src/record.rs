//! What is measured about one request. A record is a line of JSON; everything that is reported is
//! computed from records alone.

use serde::{Deserialize, Serialize};

/// Everything that was measured about one request.
///
/// Times named `…_ns` are nanoseconds since the start of the run on a monotonic clock. What did
/// not happen is `None`.
#[non_exhaustive]
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct RequestRecord {
    /// Number of the request in the plan of its run, from 0.
    pub id: u64,
    /// Which of two compared targets it went to.
    #[serde(default, skip_serializing_if = "is_default")]
    pub side: Side,
    /// Whether it counts: warm-up and cool-down are recorded, and left out of statistics.
    #[serde(default, skip_serializing_if = "is_default")]
    pub phase: Phase,
    /// Its place in a conversation of several turns.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub turn: Option<Turn>,

    /// When the plan wanted it to start. `None` in a closed loop, which has no such time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scheduled_ns: Option<u64>,
    /// When the client took it up: the start of every latency that is not from the schedule.
    pub dispatched_ns: u64,
    /// How long connecting took, when this request opened a connection.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connect: Option<ConnectTimes>,
    /// When its last byte was handed to the socket.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sent_ns: Option<u64>,
    /// When the first byte of the response was read from the socket.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_byte_ns: Option<u64>,
    /// When the first token was read, of any channel: content, reasoning, tool call, refusal.
    /// For what has no tokens in its answer (embeddings, rerank), when the answer was complete.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_token_ns: Option<u64>,
    /// The chunks with tokens after the first one.
    #[serde(default, skip_serializing_if = "is_default")]
    pub arrivals: Arrivals,
    /// When the answer was complete (the end of the body) or given up.
    pub end_ns: u64,

    /// Tokens in and out.
    #[serde(default)]
    pub tokens: TokenCounts,
    /// Bytes of the response's body.
    #[serde(default)]
    pub response_bytes: u64,
    /// The status of the response.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http_status: Option<u16>,
    /// How it ended.
    pub outcome: Outcome,
    /// What the server said about its rate limits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate_limit: Option<RateLimit>,
    /// Replicate's own times of the prediction.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prediction: Option<PredictionTimes>,
    /// Whether the client or its machine stood still for a moment while this request ran, so that
    /// its times are not to be trusted.
    #[serde(default, skip_serializing_if = "is_default")]
    pub stalled: bool,
}

impl RequestRecord {
    /// Whether the answer came whole.
    pub fn is_ok(&self) -> bool {
        matches!(self.outcome, Outcome::Ok { .. })
    }

    /// When the last token was read.
    pub fn last_token_ns(&self) -> Option<u64> {
        let later: u64 = self.arrivals.gaps_us.iter().copied().map(u64::from).sum();
        Some(self.first_token_ns? + later * 1000)
    }
}

/// Which target a request went to, when two are compared.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    /// The one given by `--against`. Requests of both sides with one id form a pair.
    Against,
    /// The target of the experiment.
    #[default]
    Subject,
}

/// Which part of a run a request belongs to.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// At the end, left out.
    Cooldown,
    /// Counted.
    #[default]
    Measured,
    /// At the beginning, left out.
    Warmup,
}

/// A place in a conversation.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Turn {
    /// Number of the conversation, from 0.
    pub conversation: u64,
    /// Number of the user's message in it, from 0.
    pub turn: u32,
}

/// How long the parts of connecting took, in nanoseconds.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct ConnectTimes {
    /// Resolving the name; 0 for a literal address.
    pub dns_ns: u64,
    /// The TCP handshake.
    pub tcp_ns: u64,
    /// The TLS handshake; 0 without TLS.
    pub tls_ns: u64,
}

/// The chunks with tokens behind the first, in the order of their arrival.
///
/// Chunks that came in one read of the socket have a gap of 0 between them: that they arrived
/// together is what was measured.
#[non_exhaustive]
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Arrivals {
    /// Microseconds from the chunk before to this chunk, rounded so that errors do not add up.
    #[serde(default)]
    pub gaps_us: Vec<u32>,
    /// Tokens of each chunk, the first chunk included, so one longer than `gaps_us`; empty when
    /// every chunk holds one token. Where the server does not say how its tokens are spread over
    /// chunks, its total is spread in proportion to the chunks' text.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tokens: Vec<u32>,
}

/// Tokens of a request and of its answer.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct TokenCounts {
    /// Of the prompt.
    pub input: u64,
    /// Who counted `input`.
    pub input_source: TokenSource,
    /// Of the answer, reasoning included.
    pub output: u64,
    /// Who counted `output`.
    pub output_source: TokenSource,
    /// Of the answer's reasoning, where the server tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reasoning: Option<u64>,
    /// Of the prompt, those that the server had in its cache, where it tells.
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
    /// Nobody: guessed from the text's length, or from the number of chunks.
    #[default]
    Estimate,
    /// The server, in its usage.
    Server,
    /// A local `tokenizer.json`.
    Tokenizer,
}

/// How a request ended. Nothing is dropped: each request has one of these.
#[non_exhaustive]
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(tag = "status", rename_all = "snake_case")]
pub enum Outcome {
    /// It was still running when the run had to end, and was given up by the client.
    Cancelled,
    /// It failed.
    Failed(Failure),
    /// The answer came whole.
    Ok {
        /// Why the model stopped, where the server tells: `stop`, `length` …
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
    /// What kind of failure.
    pub kind: FailureKind,
    /// For a person; shortened, and never with a key or a prompt in it.
    pub message: String,
}

/// What kind of failure.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureKind {
    /// No connection: refused, unreachable, reset while connecting.
    Connect,
    /// The connection broke while the request or its answer was under way.
    Disconnected,
    /// The host's name could not be resolved.
    Dns,
    /// The answer ended well and had nothing in it.
    Empty,
    /// A status other than 2xx and 429.
    HttpStatus,
    /// An error inside of a stream that began well, or a prediction that failed.
    InStream,
    /// An answer that is not what the protocol allows: no JSON, no usable body.
    Protocol,
    /// Status 429.
    RateLimited,
    /// No answer within the time allowed.
    Timeout,
    /// The TLS handshake failed.
    Tls,
}

/// What a server said about its rate limits, from its headers.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct RateLimit {
    /// Requests allowed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<f64>,
    /// Requests left.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remaining: Option<f64>,
    /// Seconds until there are more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reset_s: Option<f64>,
    /// Seconds to wait, from `Retry-After`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_s: Option<f64>,
}

/// Replicate's own times of a prediction, by its clock, in nanoseconds.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct PredictionTimes {
    /// From created to started: queueing, and booting if `cold`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue_ns: Option<u64>,
    /// `metrics.predict_time`: the model at work.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub predict_ns: Option<u64>,
    /// Whether the queue time is so long that a model was booted (Replicate's documentation: a
    /// prediction that is `starting` for longer than a few seconds waits for a new worker).
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
    fn a_record_is_a_line_of_json_and_comes_back() {
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
