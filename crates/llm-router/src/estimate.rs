//! How many tokens a call may use, before an upstream has counted them.

use llm_provider::Document;

/// The estimated tokens of a call.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct Estimate {
    /// The tokens of the prompt.
    pub prompt: u64,
    /// The tokens of the prompt and the reply.
    pub total: u64,
}

impl Estimate {
    /// A token of the prompt per four bytes of its JSON text, and for each choice the reply's limit,
    /// or else 500 tokens.
    ///
    /// English text has about four characters per token, and the JSON around it adds some. The
    /// prompt is not tokenized: every model has its own tokenizer.
    pub fn of(body: &Document) -> Self {
        let bytes: usize = PROMPTS
            .iter()
            .filter_map(|key| body.get(key))
            .map(<[u8]>::len)
            .sum();
        let prompt = u64::try_from(bytes)
            .unwrap_or(u64::MAX)
            .div_ceil(BYTES_PER_TOKEN);
        let limit = LIMITS.iter().find_map(|key| body.u64(key));
        let generates = GENERATED_FROM.iter().any(|key| body.has(key));
        let reply = match (generates, limit) {
            (false, _) => 0,
            (true, limit) => limit.unwrap_or(USUAL_REPLY),
        };
        let choices = body.u64("n").unwrap_or(1).max(1);
        Self {
            prompt,
            total: prompt.saturating_add(reply.saturating_mul(choices)),
        }
    }
}

const PROMPTS: &[&str] = &["messages", "prompt", "input", "query", "documents", "tools"];
const GENERATED_FROM: &[&str] = &["messages", "prompt"];
const LIMITS: &[&str] = &["max_completion_tokens", "max_tokens"];
const BYTES_PER_TOKEN: u64 = 4;
/// The tokens of a reply without a limit.
const USUAL_REPLY: u64 = 500;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prompt_and_reply_are_estimated() {
        for (body, prompt, total) in [
            (r#"{"prompt":"123456","max_tokens":10}"#, 2, 12),
            (r#"{"prompt":"123456"}"#, 2, 502),
            (r#"{"prompt":"123456","max_tokens":10,"n":3}"#, 2, 32),
            (
                r#"{"prompt":"123456","max_completion_tokens":7,"max_tokens":10}"#,
                2,
                9,
            ),
            (r#"{"input":"123456"}"#, 2, 2),
            (r#"{"messages":[],"max_tokens":1}"#, 1, 2),
            (
                r#"{"prompt":"12","max_tokens":18446744073709551615,"n":9}"#,
                1,
                u64::MAX,
            ),
            ("[]", 0, 0),
        ] {
            let estimate = Estimate::of(&Document::from_bytes(body));
            assert_eq!(estimate, Estimate { prompt, total }, "{body}");
        }
    }
}
