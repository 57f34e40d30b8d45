//! How many tokens a call may use, before an upstream has counted them.

mod payloads;

use llm_provider::Document;
use llm_types::RawItems;

use self::payloads::Payloads;

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
    /// or else 500 tokens. Each of several prompts has replies of its own. An image, a sound or a file
    /// in base64 counts as 1,000 tokens.
    ///
    /// English text has about four characters per token, and the JSON around it adds some. The
    /// prompt is not tokenized: every model has its own tokenizer.
    pub fn of(body: &Document) -> Self {
        let mut bytes = 0;
        let mut payloads = Payloads::default();
        let (mut replies, mut best_of) = (0, 1);
        for key in PROMPTS {
            let Some(text) = body.get(key) else { continue };
            bytes += text.len();
            match *key {
                "messages" => {
                    payloads.find(text);
                    replies = replies.max(1);
                }
                "input" => payloads.find(text),
                "prompt" => {
                    // Only completions have this parameter.
                    best_of = body.u64("best_of").unwrap_or(1);
                    replies = replies.max(prompts(text));
                }
                _ => {}
            }
        }
        let text = bytes.saturating_sub(payloads.bytes);
        let prompt = u64::try_from(text)
            .unwrap_or(u64::MAX)
            .div_ceil(BYTES_PER_TOKEN)
            .saturating_add(payloads.count.saturating_mul(PAYLOAD));
        let limit = LIMITS.iter().find_map(|key| body.u64(key));
        let reply = match replies {
            0 => 0,
            _ => limit.unwrap_or(USUAL_REPLY),
        };
        let choices = body.u64("n").unwrap_or(1).max(best_of).max(1);
        Self {
            prompt,
            total: prompt.saturating_add(reply.saturating_mul(choices).saturating_mul(replies)),
        }
    }
}

/// The number of prompts of a completion: a text or the tokens of one, or several of them.
fn prompts(text: &[u8]) -> u64 {
    let items = std::str::from_utf8(text).ok().and_then(RawItems::of);
    let mut items = items.into_iter().flatten();
    match items.next() {
        Some(first) if first.starts_with(['"', '[']) => u64::try_from(items.count())
            .unwrap_or(u64::MAX)
            .saturating_add(1),
        _ => 1,
    }
}

const PROMPTS: &[&str] = &["messages", "prompt", "input", "query", "documents", "tools"];
const LIMITS: &[&str] = &["max_completion_tokens", "max_tokens"];
const BYTES_PER_TOKEN: u64 = 4;
/// The tokens of an image; most models take several hundred to a few thousand.
const PAYLOAD: u64 = 1000;
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
            (r#"{"prompt":["1","2","3"],"max_tokens":10}"#, 4, 34),
            (r#"{"prompt":[[1,2],[3]],"max_tokens":10,"n":2}"#, 3, 43),
            (r#"{"prompt":[1,2,3],"max_tokens":10}"#, 2, 12),
            (
                r#"{"prompt":"12","max_tokens":10,"n":2,"best_of":5}"#,
                1,
                51,
            ),
            (
                r#"{"prompt":"12","max_tokens":10,"n":5,"best_of":2}"#,
                1,
                51,
            ),
            (r#"{"prompt":[],"max_tokens":10}"#, 1, 11),
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

    #[test]
    fn an_image_counts_the_same_whatever_its_size() {
        let payload = "iVBORw0KGgo".repeat(100_000);
        let text = "word ".repeat(4000);
        let uri = format!("data:image/png;base64,{payload}");
        for (part, tokens) in [
            (
                format!(r#"{{"type":"image_url","image_url":{{"url":"{uri}"}}}}"#),
                1000..1100,
            ),
            (
                format!(r#"{{"type":"image_url","image_url": {{"url": "{uri}"}}}}"#),
                1000..1100,
            ),
            (
                format!(r#"{{"type":"input_image","image_url":"{uri}"}}"#),
                1000..1100,
            ),
            (
                format!(r#"{{"type":"input_audio","input_audio":{{"data":"{payload}"}}}}"#),
                1000..1100,
            ),
            (
                format!(r#"{{"type":"file","file":{{"file_data":"{uri}"}}}}"#),
                1000..1100,
            ),
            (
                format!(r#"{{"url":"{uri}"}},{{"url":"{uri}"}}"#),
                2000..2100,
            ),
            // Text counts, whatever it looks like.
            (format!(r#"{{"type":"text","text":"{text}"}}"#), 5000..5100),
            (
                format!(r#"{{"type":"text","text":"{uri}"}}"#),
                275_000..276_000,
            ),
            (
                format!(r#"{{"type":"text","text":"\"url\":\"{uri}"}}"#),
                275_000..276_000,
            ),
            (
                format!(r#"{{"type":"input_audio","input_audio":{{"data":"{text}"}}}}"#),
                5000..5100,
            ),
            (format!(r#"{{"url":"data:text/plain,{text}"}}"#), 5000..5100),
        ] {
            for key in ["messages", "input"] {
                let body = format!(r#"{{"{key}":[{{"role":"user","content":[{part}]}}]}}"#);
                let estimate = Estimate::of(&Document::from_bytes(body));
                let start = &part[..part.len().min(60)];
                assert!(
                    tokens.contains(&estimate.prompt),
                    "{start}: {}",
                    estimate.prompt
                );
            }
        }
    }
}
