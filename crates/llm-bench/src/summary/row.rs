use serde::{Deserialize, Serialize};

use super::RowOutcome;
use crate::{FailureKind, JobPart, Outcome, Phase, RequestRecord, Side, Task, TokenSource};

/// A request in genai-bench's fields, and further ones. Times are in seconds.
///
/// As in genai-bench, a failed request has no metrics; `tpot` and `output_inference_speed` are
/// omitted if the output took less than a millisecond; and for embeddings and rerank `ttft` is the
/// end-to-end latency and all output metrics are 0.
#[non_exhaustive]
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(default)]
#[allow(missing_docs, reason = "documented at Metric")]
pub struct SummaryRow {
    pub ttft: Option<f64>,
    pub tpot: Option<f64>,
    pub e2e_latency: Option<f64>,
    pub output_latency: Option<f64>,
    pub output_inference_speed: Option<f64>,
    pub num_input_tokens: Option<u64>,
    pub num_output_tokens: Option<u64>,
    pub num_reasoning_tokens: Option<u64>,
    pub total_tokens: Option<u64>,
    pub input_throughput: Option<f64>,
    pub output_throughput: Option<f64>,
    pub audio_throughput: Option<f64>,
    /// The status of a failed request. Without a status, genai-bench's substitute: 503 without a
    /// connection, 408 after a timeout, else 500; and 499 for a cancelled request.
    pub error_code: Option<i64>,
    /// The message of the failure.
    pub error_message: Option<String>,

    /// The id in the plan.
    pub id: u64,
    /// The target.
    pub side: Side,
    /// The place of the address in the list of the experiment's addresses.
    pub target: u32,
    /// The place of the model in the list of the experiment's models.
    pub model: u32,
    /// The phase.
    pub phase: Phase,
    /// The outcome.
    pub outcome: RowOutcome,
    /// When it was due by the schedule of an open loop, in seconds since the start of the run.
    pub scheduled: Option<f64>,
    /// The dispatch, in seconds since the start of the run; `None` in genai-bench's own files, and for a
    /// request that never started.
    pub started: Option<f64>,
    /// The end, in seconds since the start of the run.
    pub ended: Option<f64>,
    pub ttfo: Option<f64>,
    pub dispatch_delay: Option<f64>,
    pub dns: Option<f64>,
    pub tcp: Option<f64>,
    pub tls: Option<f64>,
    pub send: Option<f64>,
    pub wait: Option<f64>,
    pub receive: Option<f64>,
    pub queue: Option<f64>,
    pub predict: Option<f64>,
    /// Who counted the output tokens.
    pub output_tokens_source: TokenSource,
    /// Input tokens from the server's cache.
    pub cached_input_tokens: Option<u64>,
    /// The job of an agent that the request is a part of.
    pub job: Option<JobPart>,
    /// The number of attempts that were rejected with status 429 before this one.
    pub rate_limited_attempts: u32,
    /// Requests that the server's rate limit still allowed after this one.
    pub rate_limit_remaining: Option<f64>,
    /// The finish reason.
    pub finish_reason: Option<String>,
    /// Whether it had a cold boot.
    pub cold: bool,
    /// Whether the client stalled during the request.
    pub stalled: bool,
}

impl SummaryRow {
    /// Computes the row of a record.
    pub fn new(record: &RequestRecord, task: Task) -> Self {
        let is_sent = !record.is_unsent();
        let dispatched = Some(record.dispatched_ns).filter(|_| is_sent);
        let mut row = Self {
            id: record.id,
            side: record.side,
            target: record.target,
            model: record.model,
            phase: record.phase,
            outcome: RowOutcome::of(&record.outcome),
            scheduled: record.scheduled_ns.map(seconds),
            started: dispatched.map(seconds),
            ended: Some(seconds(record.end_ns)).filter(|_| is_sent),
            dispatch_delay: record
                .scheduled_ns
                .zip(dispatched)
                .map(|(scheduled, dispatched)| between(scheduled, dispatched)),
            output_tokens_source: record.tokens.output_source,
            cached_input_tokens: record.tokens.cached_input,
            job: record.job,
            rate_limited_attempts: record.backoff.map_or(0, |backoff| backoff.attempts),
            rate_limit_remaining: record.rate_limit.and_then(|limit| limit.remaining),
            cold: record.prediction.is_some_and(|times| times.cold),
            stalled: record.stalled,
            ..Self::default()
        };
        row.set_phases(record);
        match &record.outcome {
            Outcome::Ok { finish_reason } => {
                row.finish_reason.clone_from(finish_reason);
                row.set_metrics(record, task);
            }
            Outcome::Cancelled => {
                row.error_code = Some(499);
                let message = match is_sent {
                    true => "cancelled at the end of the run",
                    false => "not sent before the end of the run",
                };
                row.error_message = Some(message.to_owned());
            }
            Outcome::Failed(failure) => {
                row.error_code = Some(error_code(failure.kind, record.http_status));
                row.error_message = Some(failure.message.clone());
            }
        }
        row
    }

    /// The HTTP status of a failure; `None` if there was none, or not a failing one.
    /// [`Self::error_code`] also has genai-bench's substitutes.
    pub fn http_status(&self) -> Option<i64> {
        match self.outcome {
            RowOutcome::Failed(FailureKind::HttpStatus | FailureKind::RateLimited) => {
                self.error_code
            }
            _ => None,
        }
    }

    /// Whether the request completed.
    pub fn is_ok(&self) -> bool {
        self.outcome == RowOutcome::Ok
    }

    fn set_metrics(&mut self, record: &RequestRecord, task: Task) {
        let tokens = &record.tokens;
        let e2e = between(record.dispatched_ns, record.end_ns);
        let first = record.first_token_ns.unwrap_or(record.end_ns);
        let has_output = !task.has_batches();
        let ttft = if has_output {
            between(record.dispatched_ns, first)
        } else {
            e2e
        };
        let output = if has_output { tokens.output } else { 0 };
        self.ttft = Some(ttft);
        self.e2e_latency = Some(e2e);
        self.num_input_tokens = Some(tokens.input);
        self.num_output_tokens = Some(output);
        self.num_reasoning_tokens = Some(tokens.reasoning.unwrap_or(0));
        self.total_tokens = Some(tokens.input + output);
        self.input_throughput = Some(ratio(tokens.input as f64, ttft));
        if !has_output {
            self.tpot = Some(0.0);
            self.output_latency = Some(0.0);
            self.output_inference_speed = Some(0.0);
            self.output_throughput = Some(0.0);
            return;
        }
        let first_output = record.first_output_ns;
        self.ttfo = first_output.map(|at| between(record.dispatched_ns, at));
        let output_latency = between(first, record.end_ns);
        self.output_latency = Some(output_latency);
        self.output_throughput = Some(0.0);
        if output > 1 {
            let after_first = (output - 1) as f64;
            self.output_throughput = Some(ratio(after_first, output_latency));
            // Below this, jitter dominates.
            if output_latency >= 0.001 {
                self.tpot = Some(output_latency / after_first);
                self.output_inference_speed = Some(after_first / output_latency);
            }
        }
    }

    fn set_phases(&mut self, record: &RequestRecord) {
        let delay_ns = record.backoff.map_or(0, |backoff| backoff.delay_ns);
        let mut connected = record.dispatched_ns + delay_ns;
        if let Some(connect) = record.connect {
            self.dns = Some(seconds(connect.dns_ns));
            self.tcp = Some(seconds(connect.tcp_ns));
            self.tls = Some(seconds(connect.tls_ns));
            connected += connect.dns_ns + connect.tcp_ns + connect.tls_ns;
        }
        self.send = record.sent_ns.map(|sent| between(connected, sent));
        self.wait = record
            .sent_ns
            .zip(record.first_byte_ns)
            .map(|(sent, first)| between(sent, first));
        self.receive = record
            .first_byte_ns
            .map(|first| between(first, record.end_ns));
        if let Some(times) = record.prediction {
            self.queue = times.queue_ns.map(seconds);
            self.predict = times.predict_ns.map(seconds);
        }
    }
}

fn error_code(kind: FailureKind, status: Option<u16>) -> i64 {
    match (kind, status) {
        (_, Some(status)) if status >= 400 => status.into(),
        (FailureKind::Connect | FailureKind::Disconnected | FailureKind::Dns, _)
        | (FailureKind::Tls, _) => 503,
        (FailureKind::Timeout, _) => 408,
        (FailureKind::RateLimited, _) => 429,
        _ => 500,
    }
}

fn between(from_ns: u64, to_ns: u64) -> f64 {
    seconds(to_ns.saturating_sub(from_ns))
}

fn seconds(ns: u64) -> f64 {
    ns as f64 / 1e9
}

fn ratio(amount: f64, seconds: f64) -> f64 {
    if seconds > 0.0 { amount / seconds } else { 0.0 }
}
