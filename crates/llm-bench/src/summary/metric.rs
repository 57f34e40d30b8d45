use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

use serde::de::{IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use super::SummaryRow;

/// A metric of requests, by its name in files.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Metric {
    /// Seconds from dispatch to the first token of any channel.
    Ttft,
    /// Seconds per output token after the first: `output_latency / (output tokens - 1)`.
    Tpot,
    /// Seconds from dispatch to the end of the response.
    E2eLatency,
    /// Seconds from the first token to the end of the response.
    OutputLatency,
    /// `1 / tpot`: output tokens per second for one user.
    OutputInferenceSpeed,
    /// Input tokens.
    NumInputTokens,
    /// Output tokens.
    NumOutputTokens,
    /// Reasoning tokens; 0 if the server does not report them.
    NumReasoningTokens,
    /// Input and output tokens.
    TotalTokens,
    /// `input tokens / ttft`, per second.
    InputThroughput,
    /// `(output tokens - 1) / output_latency`, per second.
    OutputThroughput,
    /// A speech metric of genai-bench; never set.
    AudioThroughput,
    /// Seconds from dispatch to the first token that is no reasoning.
    Ttfo,
    /// Seconds from each chunk with tokens to the next, over all requests.
    InterChunk,
    /// Seconds from each token to the next, over all requests: the time between chunks divided by
    /// the tokens of the later chunk. The first chunk has no predecessor.
    Itl,
    /// Seconds from the scheduled start to the first token.
    TtftFromSchedule,
    /// Seconds from the scheduled start to the end of the response.
    E2eFromSchedule,
    /// Seconds from the scheduled start to dispatch.
    DispatchDelay,
    /// Seconds of name resolution, for requests that opened a connection.
    Dns,
    /// Seconds of the TCP handshake, for requests that opened a connection.
    Tcp,
    /// Seconds of the TLS handshake, for requests that opened a connection.
    Tls,
    /// Seconds from dispatch to the last byte sent, without connecting.
    Send,
    /// Seconds from the last byte sent to the first byte received.
    Wait,
    /// Seconds from the first byte received to the end of the response.
    Receive,
    /// Seconds until a prediction started, boot included, by Replicate's clock.
    Queue,
    /// Seconds that the model ran for a prediction, by Replicate's clock.
    Predict,
    /// Seconds from the first dispatch of a job to the end of its last response, over complete jobs.
    JobTime,
    /// Requests of a job.
    JobRequests,
    /// Input tokens of all requests of a job.
    JobInputTokens,
    /// Output tokens of all requests of a job.
    JobOutputTokens,
}

impl Metric {
    /// All metrics, genai-bench's first.
    pub const ALL: [Self; 30] = [
        Self::Ttft,
        Self::Tpot,
        Self::E2eLatency,
        Self::OutputLatency,
        Self::OutputInferenceSpeed,
        Self::NumInputTokens,
        Self::NumOutputTokens,
        Self::NumReasoningTokens,
        Self::TotalTokens,
        Self::InputThroughput,
        Self::OutputThroughput,
        Self::AudioThroughput,
        Self::Ttfo,
        Self::InterChunk,
        Self::Itl,
        Self::TtftFromSchedule,
        Self::E2eFromSchedule,
        Self::DispatchDelay,
        Self::Dns,
        Self::Tcp,
        Self::Tls,
        Self::Send,
        Self::Wait,
        Self::Receive,
        Self::Queue,
        Self::Predict,
        Self::JobTime,
        Self::JobRequests,
        Self::JobInputTokens,
        Self::JobOutputTokens,
    ];

    /// Parses a name, or a common alias: `e2e`, `icl`, `speed`.
    pub fn parse(name: &str) -> Option<Self> {
        let name = match name {
            "e2e" | "latency" | "e2el" => "e2e_latency",
            "inter_token_latency" => "itl",
            "inter_chunk_latency" | "icl" => "inter_chunk",
            "speed" => "output_inference_speed",
            name => name,
        };
        Self::ALL.into_iter().find(|metric| metric.name() == name)
    }

    /// The name in files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ttft => "ttft",
            Self::Tpot => "tpot",
            Self::E2eLatency => "e2e_latency",
            Self::OutputLatency => "output_latency",
            Self::OutputInferenceSpeed => "output_inference_speed",
            Self::NumInputTokens => "num_input_tokens",
            Self::NumOutputTokens => "num_output_tokens",
            Self::NumReasoningTokens => "num_reasoning_tokens",
            Self::TotalTokens => "total_tokens",
            Self::InputThroughput => "input_throughput",
            Self::OutputThroughput => "output_throughput",
            Self::AudioThroughput => "audio_throughput",
            Self::Ttfo => "ttfo",
            Self::InterChunk => "inter_chunk",
            Self::Itl => "itl",
            Self::TtftFromSchedule => "ttft_from_schedule",
            Self::E2eFromSchedule => "e2e_from_schedule",
            Self::DispatchDelay => "dispatch_delay",
            Self::Dns => "dns",
            Self::Tcp => "tcp",
            Self::Tls => "tls",
            Self::Send => "send",
            Self::Wait => "wait",
            Self::Receive => "receive",
            Self::Queue => "queue",
            Self::Predict => "predict",
            Self::JobTime => "job_time",
            Self::JobRequests => "job_requests",
            Self::JobInputTokens => "job_input_tokens",
            Self::JobOutputTokens => "job_output_tokens",
        }
    }

    /// The name in reports.
    pub fn title(self) -> &'static str {
        match self {
            Self::Ttft => "TTFT",
            Self::Tpot => "TPOT",
            Self::E2eLatency => "End-to-end latency",
            Self::OutputLatency => "Output latency",
            Self::OutputInferenceSpeed => "Output speed per request",
            Self::NumInputTokens => "Input tokens",
            Self::NumOutputTokens => "Output tokens",
            Self::NumReasoningTokens => "Reasoning tokens",
            Self::TotalTokens => "Tokens",
            Self::InputThroughput => "Input throughput per request",
            Self::OutputThroughput => "Output throughput per request",
            Self::AudioThroughput => "Audio throughput per request",
            Self::Ttfo => "Time to first output token",
            Self::InterChunk => "Inter-chunk time",
            Self::Itl => "Inter-token latency",
            Self::TtftFromSchedule => "TTFT from schedule",
            Self::E2eFromSchedule => "End-to-end latency from schedule",
            Self::DispatchDelay => "Dispatch delay",
            Self::Dns => "DNS",
            Self::Tcp => "TCP handshake",
            Self::Tls => "TLS handshake",
            Self::Send => "Send",
            Self::Wait => "Wait",
            Self::Receive => "Receive",
            Self::Queue => "Queue",
            Self::Predict => "Predict",
            Self::JobTime => "Job time",
            Self::JobRequests => "Requests per job",
            Self::JobInputTokens => "Input tokens per job",
            Self::JobOutputTokens => "Output tokens per job",
        }
    }

    /// The unit.
    pub fn unit(self) -> Unit {
        match self {
            Self::NumInputTokens
            | Self::NumOutputTokens
            | Self::NumReasoningTokens
            | Self::TotalTokens
            | Self::JobInputTokens
            | Self::JobOutputTokens => Unit::Tokens,
            Self::JobRequests => Unit::Requests,
            Self::InputThroughput | Self::OutputThroughput | Self::OutputInferenceSpeed => {
                Unit::TokensPerSecond
            }
            Self::AudioThroughput => Unit::BytesPerSecond,
            _ => Unit::Seconds,
        }
    }

    /// Whether genai-bench has this metric.
    pub fn is_genai_bench(self) -> bool {
        self <= Self::AudioThroughput
    }

    /// Whether the metric describes jobs instead of requests.
    pub fn is_of_jobs(self) -> bool {
        self >= Self::JobTime
    }

    /// The value for a completed request. Not for [`Metric::Itl`] and [`Metric::InterChunk`], which
    /// have many values per request, and not for metrics of jobs.
    pub fn of(self, row: &SummaryRow) -> Option<f64> {
        let count = |count: Option<u64>| count.map(|count| count as f64);
        match self {
            Self::Ttft => row.ttft,
            Self::Tpot => row.tpot,
            Self::E2eLatency => row.e2e_latency,
            Self::OutputLatency => row.output_latency,
            Self::OutputInferenceSpeed => row.output_inference_speed,
            Self::NumInputTokens => count(row.num_input_tokens),
            Self::NumOutputTokens => count(row.num_output_tokens),
            Self::NumReasoningTokens => count(row.num_reasoning_tokens),
            Self::TotalTokens => count(row.total_tokens),
            Self::InputThroughput => row.input_throughput,
            Self::OutputThroughput => row.output_throughput,
            Self::AudioThroughput => row.audio_throughput,
            Self::Ttfo => row.ttfo,
            Self::InterChunk
            | Self::Itl
            | Self::JobTime
            | Self::JobRequests
            | Self::JobInputTokens
            | Self::JobOutputTokens => None,
            Self::TtftFromSchedule => Some(row.ttft? + row.dispatch_delay?),
            Self::E2eFromSchedule => Some(row.e2e_latency? + row.dispatch_delay?),
            Self::DispatchDelay => row.dispatch_delay,
            Self::Dns => row.dns,
            Self::Tcp => row.tcp,
            Self::Tls => row.tls,
            Self::Send => row.send,
            Self::Wait => row.wait,
            Self::Receive => row.receive,
            Self::Queue => row.queue,
            Self::Predict => row.predict,
        }
    }
}

impl fmt::Display for Metric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Reads a map by metrics; unknown metrics are ignored.
pub(super) fn known<'de, D, T>(deserializer: D) -> Result<BTreeMap<Metric, T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    deserializer.deserialize_map(KnownVisitor(PhantomData))
}

struct KnownVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for KnownVisitor<T> {
    type Value = BTreeMap<Metric, T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map from metric names")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut known = BTreeMap::new();
        while let Some(name) = map.next_key::<Cow<'de, str>>()? {
            match Metric::parse(&name) {
                Some(metric) => drop(known.insert(metric, map.next_value()?)),
                // Skipped without building it, since a histogram is large.
                None => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(known)
    }
}

/// The unit of a metric.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Unit {
    /// Bytes per second.
    BytesPerSecond,
    /// Requests.
    Requests,
    /// Seconds.
    Seconds,
    /// Tokens.
    Tokens,
    /// Tokens per second.
    TokensPerSecond,
}

impl Unit {
    /// The symbol after a number.
    pub fn sign(self) -> &'static str {
        match self {
            Self::BytesPerSecond => "B/s",
            Self::Requests => "requests",
            Self::Seconds => "s",
            Self::Tokens => "tok",
            Self::TokensPerSecond => "tok/s",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip() {
        for metric in Metric::ALL {
            assert_eq!(serde_json::to_value(metric).unwrap(), metric.name());
            assert_eq!(Metric::parse(metric.name()), Some(metric));
        }
        assert!(Metric::ALL.is_sorted());
        assert_eq!(Metric::parse("e2e"), Some(Metric::E2eLatency));
        assert_eq!(Metric::parse("nothing"), None);
    }
}
