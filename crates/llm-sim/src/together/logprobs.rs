//! The shapes of Together's log probabilities.

use serde_json::{Value, json};

use crate::seed::hash;

/// The documented shape: columns of tokens and their logprobs.
pub(crate) fn columns(tokens: &[String]) -> Value {
    json!({
        "tokens": tokens,
        "token_logprobs": tokens.iter().map(|token| logprob(token)).collect::<Vec<_>>(),
    })
}

/// The same for a completion: with ids, and with alternatives as maps.
pub(crate) fn completion(tokens: &[String], top: u64) -> Value {
    let mut columns = columns(tokens);
    columns["token_ids"] = tokens.iter().map(|token| id(token)).collect();
    if top > 0 {
        let map = |token: &String| {
            let alternatives = alternatives(token, top).into_iter();
            let pairs = alternatives.filter_map(|alternative| {
                Some((
                    alternative["token"].as_str()?.to_owned(),
                    alternative["logprob"].clone(),
                ))
            });
            Value::Object(pairs.collect())
        };
        columns["top_logprobs"] = tokens.iter().map(map).collect();
    }
    columns
}

/// The documented shape of an echoed prompt: its first token has no logprob.
pub(crate) fn prompt(tokens: &[String]) -> Value {
    let mut columns = columns(tokens);
    if let Some(first) = columns.pointer_mut("/token_logprobs/0") {
        *first = Value::Null;
    }
    columns
}

/// Streams of the 2026 engines: the same columns, with alternatives.
pub(crate) fn streamed(tokens: &[String], top: u64) -> Value {
    let alternatives: Vec<_> = tokens
        .iter()
        .map(|token| alternatives(token, top))
        .collect();
    let mut columns = columns(tokens);
    columns["token_ids"] = tokens.iter().map(|_| Value::Null).collect();
    columns["top_logprobs"] = json!(alternatives);
    columns
}

/// Plain responses of the 2026 engines: OpenAI's shape, including the reasoning.
pub(crate) fn content<'a>(tokens: impl Iterator<Item = &'a String>, top: u64) -> Value {
    let content: Vec<_> = tokens
        .map(|token| {
            let mut alternatives = alternatives(token, top);
            for alternative in &mut alternatives {
                alternative["bytes"] =
                    json!(alternative["token"].as_str().unwrap_or_default().as_bytes());
            }
            json!({
                "token": token,
                "bytes": token.as_bytes(),
                "logprob": logprob(token),
                "top_logprobs": alternatives,
            })
        })
        .collect();
    json!({"content": content})
}

/// Streams of the old engines: a bare number.
pub(crate) fn number(token: &str) -> Value {
    json!(logprob(token))
}

fn alternatives(token: &str, top: u64) -> Vec<Value> {
    (0..top)
        .map(|rank| match rank {
            0 => json!({"token": token, "logprob": logprob(token)}),
            _ => json!({"token": format!(" other{rank}"), "logprob": -1.0 - rank as f64}),
        })
        .collect()
}

/// A token id in a vocabulary of 128,000.
pub(crate) fn id(token: &str) -> u64 {
    hash([token]) % 128_000
}

fn logprob(token: &str) -> f64 {
    -((hash([token]) % 10_000) as f64) / 10_000.0
}
