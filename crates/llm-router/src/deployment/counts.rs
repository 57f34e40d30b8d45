use std::time::Duration;

use llm_provider::Metadata;
use llm_types::Usage;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

/// The tokens of a call and the time that the model ran, as the upstream reports them.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct TokenCounts {
    /// The tokens of the prompt.
    pub prompt: u64,
    /// The tokens of the prompt that the upstream read from its cache.
    pub cached: u64,
    /// The tokens of the reply.
    pub completion: u64,
    /// The tokens of reasoning. Most upstreams count them as a part of the reply's.
    pub reasoning: u64,
    /// The time that the model ran, for upstreams that charge by the second: the member `predict_time`
    /// of the usage or of the reply's metadata, in seconds.
    pub run_time: Option<Duration>,
}

impl TokenCounts {
    /// Creates counts without cached tokens.
    pub fn new(prompt: u64, completion: u64) -> Self {
        Self {
            prompt,
            completion,
            ..Self::default()
        }
    }

    /// Sets the tokens that the upstream read from its cache.
    #[must_use]
    pub fn with_cached(mut self, cached: u64) -> Self {
        self.cached = cached;
        self
    }

    /// Sets the time that the model ran.
    #[must_use]
    pub fn with_run_time(mut self, time: impl Into<Option<Duration>>) -> Self {
        self.run_time = time.into();
        self
    }

    /// The run time that the metadata of a reply has, if the usage has none.
    #[must_use]
    pub fn with_metadata(mut self, metadata: &Metadata) -> Self {
        let reported = metadata.extra.get(RUN_TIME);
        self.run_time = self.run_time.or_else(|| seconds(reported?));
        self
    }

    /// The sums of both.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        let run_time = [self.run_time, other.run_time].into_iter().flatten();
        Self {
            prompt: self.prompt.saturating_add(other.prompt),
            cached: self.cached.saturating_add(other.cached),
            completion: self.completion.saturating_add(other.completion),
            reasoning: self.reasoning.saturating_add(other.reasoning),
            run_time: run_time.reduce(Duration::saturating_add),
        }
    }

    /// The tokens of the prompt and the reply.
    pub fn total(&self) -> u64 {
        self.prompt.saturating_add(self.completion)
    }
}

impl From<&Usage> for TokenCounts {
    fn from(usage: &Usage) -> Self {
        let prompt = usage.prompt();
        Self {
            prompt,
            cached: usage.cached().unwrap_or(0),
            // An upstream may report the total alone.
            completion: usage.completion().max(usage.total().saturating_sub(prompt)),
            reasoning: usage.reasoning().unwrap_or(0),
            run_time: usage.extra.get(RUN_TIME).and_then(seconds),
        }
    }
}

/// Reads a `usage` member; the members that are not counted here are not built.
impl<'de> Deserialize<'de> for TokenCounts {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let wire = Wire::deserialize(deserializer)?;
        let prompt = wire.prompt_tokens.unwrap_or(0);
        let completion = wire.completion_tokens.unwrap_or(0);
        let total = wire.total_tokens.unwrap_or(0);
        let cached = wire
            .prompt_tokens_details
            .and_then(|details| details.cached_tokens);
        let reasoning = wire
            .completion_tokens_details
            .and_then(|details| details.reasoning_tokens);
        Ok(Self {
            prompt,
            cached: cached.or(wire.cached_tokens).unwrap_or(0),
            completion: completion.max(total.saturating_sub(prompt)),
            reasoning: reasoning.or(wire.reasoning_tokens).unwrap_or(0),
            run_time: wire.predict_time.as_ref().and_then(seconds),
        })
    }
}

fn seconds(reported: &Value) -> Option<Duration> {
    Duration::try_from_secs_f64(reported.as_f64()?).ok()
}

const RUN_TIME: &str = "predict_time";

#[derive(Deserialize)]
struct Wire {
    #[serde(default)]
    prompt_tokens: Option<u64>,
    #[serde(default)]
    completion_tokens: Option<u64>,
    #[serde(default)]
    total_tokens: Option<u64>,
    #[serde(default)]
    cached_tokens: Option<u64>,
    #[serde(default)]
    reasoning_tokens: Option<u64>,
    #[serde(default)]
    predict_time: Option<Value>,
    #[serde(default)]
    prompt_tokens_details: Option<Details>,
    #[serde(default)]
    completion_tokens_details: Option<Details>,
}

#[derive(Deserialize)]
struct Details {
    #[serde(default)]
    cached_tokens: Option<u64>,
    #[serde(default)]
    reasoning_tokens: Option<u64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_read_as_from_the_full_usage() {
        for text in [
            r#"{"prompt_tokens":10,"completion_tokens":5,"total_tokens":15}"#,
            r#"{"prompt_tokens":10,"total_tokens":10}"#,
            r#"{"total_tokens":12}"#,
            r#"{"prompt_tokens":10,"completion_tokens":5,"cached_tokens":4,"other":[1]}"#,
            r#"{"prompt_tokens":10,"prompt_tokens_details":{"cached_tokens":7},"cached_tokens":4}"#,
            r#"{"completion_tokens":9,"completion_tokens_details":{"reasoning_tokens":7}}"#,
            r#"{"completion_tokens":9,"reasoning_tokens":12}"#,
            r#"{"prompt_tokens":null,"prompt_tokens_details":null}"#,
            r#"{"prompt_tokens":1,"predict_time":1.25}"#,
            r#"{"prompt_tokens":1,"predict_time":-1}"#,
            r#"{"prompt_tokens":1,"predict_time":"long"}"#,
            "{}",
        ] {
            let usage: Usage = serde_json::from_str(text).unwrap();
            let counts: TokenCounts = serde_json::from_str(text).unwrap();
            assert_eq!(counts, TokenCounts::from(&usage), "{text}");
        }
    }
}
