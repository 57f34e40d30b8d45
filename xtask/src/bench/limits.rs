//! The limits of all instruction counts, and how a count is reported.

use anyhow::{Result, bail};
use serde_json::json;

/// The maximum number of instructions per unit of each case: the count with Rust 1.95 on x86-64 with
/// AVX2 and 5 % more, for the gateway and the router 10 %. A new compiler may change counts. A commit that
/// raises a limit gives the reason.
const LIMITS: &[(&str, &str, u64)] = &[
    ("gateway", "request", 140_000),
    ("gateway", "stream of 64 chunks", 580_000),
    ("gateway", "prompt of 256 KiB", 470_000),
    ("gateway", "64 embeddings", 1_930_000),
    ("gateway", "translated message", 229_000),
    ("gateway", "translated response", 360_000),
    ("gateway", "translated message of 64 chunks", 1_660_000),
    ("gateway", "translated response of 64 chunks", 2_100_000),
    ("gateway", "count_tokens of 100 kB, estimated", 3_670_000),
    (
        "gateway",
        "count_tokens of 100 kB, by tokenizer",
        14_500_000,
    ),
    ("gateway", "request with spend", 188_000),
    ("sse-codec", "decode 272-byte events", 618),
    ("sse-codec", "decode byte by byte", 46_700),
    ("sse-codec", "decode 8-byte events", 224),
    ("sse-codec", "decode a line of 64 KiB", 48_200),
    ("sse-codec", "decode event, id and data", 1_120),
    ("sse-codec", "encode 272-byte events", 250),
    ("prompt-templates", "family chatml 3 x 60 B", 1_200),
    ("prompt-templates", "family chatml 20 x 400 B", 8_330),
    ("prompt-templates", "chat template chatml 3 x 60 B", 29_900),
    (
        "prompt-templates",
        "chat template chatml 20 x 400 B",
        160_000,
    ),
    ("prompt-templates", "family llama-3 3 x 60 B", 1_240),
    ("prompt-templates", "family llama-3 20 x 400 B", 8_820),
    ("prompt-templates", "chat template llama-3 3 x 60 B", 34_500),
    (
        "prompt-templates",
        "chat template llama-3 20 x 400 B",
        184_000,
    ),
    ("prompt-templates", "family llama-2 3 x 60 B", 1_650),
    ("prompt-templates", "family llama-2 20 x 400 B", 11_900),
    ("prompt-templates", "chat template llama-2 3 x 60 B", 48_700),
    (
        "prompt-templates",
        "chat template llama-2 20 x 400 B",
        277_000,
    ),
    ("llm-router", "peak-ewma", 18_700),
    ("llm-router", "simple-shuffle", 18_100),
    ("llm-router", "least-busy", 23_200),
    ("llm-router", "latency-based-routing", 25_500),
    ("llm-router", "usage-based-routing-v2", 24_100),
    ("llm-router", "cost-based-routing", 23_100),
    ("llm-router", "direct", 1_070),
];

/// A measured case.
pub(super) struct Count {
    pub(super) subject: &'static str,
    pub(super) case: String,
    /// Instructions per unit.
    pub(super) count: u64,
    /// The count of another binary.
    pub(super) against: Option<u64>,
}

impl Count {
    fn limit(&self) -> Option<u64> {
        let mut limits = LIMITS.iter();
        let limit = limits.find(|limit| limit.0 == self.subject && limit.1 == self.case);
        limit.map(|limit| limit.2)
    }

    fn line(&self, json: bool) -> String {
        let Self {
            subject,
            case,
            count,
            against,
        } = self;
        let limit = self.limit();
        if json {
            let line = json!({
                "subject": subject, "name": case, "instructions": count, "limit": limit,
                "against": against,
            });
            return line.to_string();
        }
        let limit = limit.map_or_else(
            || "no limit".to_owned(),
            |limit| format!("limit {limit:>9}"),
        );
        let against = against.map_or_else(String::new, |other| {
            #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
            let ratio = *count as f64 / other as f64;
            format!("  against {other:>9} ({ratio:.2})")
        });
        format!("{case:<36} {count:>9} instructions, {limit}{against}")
    }
}

/// Prints the counts of a subject, and fails if one has no limit or exceeds it.
pub(super) fn report(counts: &[Count], json: bool) -> Result<()> {
    let mut exceeded = Vec::new();
    for count in counts {
        println!("{}", count.line(json));
        let Count { case, count: n, .. } = count;
        match count.limit() {
            Some(limit) if *n <= limit => {}
            Some(limit) => exceeded.push(format!("{case}: {n} above {limit}")),
            None => exceeded.push(format!("{case} has no limit in xtask/src/bench/limits.rs")),
        }
    }
    if !exceeded.is_empty() {
        bail!("more instructions than allowed: {}", exceeded.join(", "));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(case: &str, count: u64) -> [Count; 1] {
        [Count {
            subject: "gateway",
            case: case.to_owned(),
            count,
            against: Some(100_000),
        }]
    }

    #[test]
    fn a_count_above_its_limit_or_without_one_fails() {
        assert!(report(&count("request", 1), false).is_ok());
        let error = report(&count("request", 10_000_000), true).unwrap_err();
        assert!(error.to_string().contains("request: 10000000 above "));
        let error = report(&count("unheard of", 1), false).unwrap_err();
        assert!(error.to_string().contains("has no limit"), "{error}");
    }

    #[test]
    fn a_line_has_the_ratio_to_the_other_binary() {
        let line = count("request", 50_000)[0].line(false);
        assert!(line.ends_with("against    100000 (0.50)"), "{line}");
    }

    #[test]
    fn no_case_has_two_limits() {
        for (at, limit) in LIMITS.iter().enumerate() {
            let mut others = LIMITS[..at].iter();
            assert!(
                !others.any(|other| (other.0, other.1) == (limit.0, limit.1)),
                "{} {}",
                limit.0,
                limit.1
            );
        }
    }
}
