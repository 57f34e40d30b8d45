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
    /// The time that a prediction ran, in milliseconds.
    pub(super) predict_ms: Option<u64>,
    /// Whether the provider estimated the tokens.
    pub(super) is_estimated: bool,
}

impl Tokens {
    /// The usage of a reply in one piece.
    pub(super) fn of(reply: &Reply) -> Option<Self> {
        let usage: Usage = reply.body.read_member("usage").ok().flatten()?;
        let mut tokens = Self::from(&usage);
        let predict = reply.metadata.extra.get(PREDICT_TIME);
        tokens.predict_ms = tokens.predict_ms.or_else(|| millis(predict));
        Some(tokens)
    }
}

impl From<&Usage> for Tokens {
    fn from(usage: &Usage) -> Self {
        Self {
            counts: usage.into(),
            reasoning: usage.reasoning().unwrap_or(0),
            predict_ms: millis(usage.extra.get(PREDICT_TIME)),
            is_estimated: usage.extra.get("estimated") == Some(&Value::Bool(true)),
        }
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "not negative, and a cast saturates"
)]
fn millis(seconds: Option<&Value>) -> Option<u64> {
    let seconds = seconds?.as_f64().filter(|seconds| *seconds >= 0.0)?;
    Some((seconds * 1000.0) as u64)
}

/// The member in which Replicate's provider reports how long a prediction ran, in seconds.
const PREDICT_TIME: &str = "predict_time";
