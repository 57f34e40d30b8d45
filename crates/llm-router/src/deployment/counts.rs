use llm_types::Usage;
use serde::{Deserialize, Deserializer};

/// The tokens of a call, as the upstream reports them.
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
        })
    }
}

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
            "{}",
        ] {
            let usage: Usage = serde_json::from_str(text).unwrap();
            let counts: TokenCounts = serde_json::from_str(text).unwrap();
            assert_eq!(counts, TokenCounts::from(&usage), "{text}");
        }
    }
}
