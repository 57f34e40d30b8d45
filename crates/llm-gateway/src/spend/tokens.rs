//! The tokens of a call, as the upstream reports them.

use llm_provider::Reply;
use llm_router::TokenCounts;
use llm_types::Usage;
use serde_json::Value;

/// What an upstream reports of a call.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Tokens {
    pub(super) counts: TokenCounts,
    pub(super) reasoning: u64,
    /// Whether the provider estimated the tokens.
    pub(super) is_estimated: bool,
}

impl Tokens {
    /// The usage of a reply in one piece.
    pub(super) fn of(reply: &Reply) -> Option<Self> {
        let usage = reply.usage()?;
        let mut tokens = Self::from(&usage);
        tokens.counts = tokens.counts.with_metadata(&reply.metadata);
        Some(tokens)
    }
}

impl From<&Usage> for Tokens {
    fn from(usage: &Usage) -> Self {
        Self {
            counts: usage.into(),
            reasoning: usage.reasoning().unwrap_or(0),
            is_estimated: usage.extra.get("estimated") == Some(&Value::Bool(true)),
        }
    }
}
