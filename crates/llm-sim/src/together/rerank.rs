//! `POST /v1/rerank`: ranks documents that share words with the query first.

use std::collections::HashSet;

use serde_json::{Value, json};

use crate::http::Call;
use crate::seed::hash;
use crate::text::count_tokens;
use crate::together::catalog::is_served;
use crate::together::error::Refusal;
use crate::together::fields::{Fields, wrong};

/// The response, its model, and its tokens.
pub(crate) fn answer(call: &Call, id: &str) -> Result<(Value, String, usize), Refusal> {
    let fields = Fields::read(&call.body)?;
    // The specification has `additionalProperties: false`.
    if let Some(unknown) = fields.keys().find(|key| !KEYS.contains(key)) {
        return Err(Refusal::body(format!(
            "Input validation error: unknown field `{unknown}`"
        )));
    }
    let model = fields.text("model")?;
    let query = fields.text("query")?;
    fields.required("documents")?;
    let documents = fields.list("documents")?;
    let top = fields.integer("top_n", 1..=u64::MAX)?;
    let return_documents = fields.flag("return_documents")?;
    let ranked_fields = fields.strings("rank_fields")?;
    let texts = documents
        .iter()
        .map(|document| text(document, &ranked_fields))
        .collect::<Option<Vec<_>>>()
        .filter(|texts| !texts.is_empty())
        .ok_or_else(|| wrong("documents", "a non-empty array of strings or of objects"))?;
    if !is_served(model) {
        return Err(Refusal::model(model));
    }

    let wanted = words(query);
    let mut ranked: Vec<_> = texts
        .iter()
        .enumerate()
        .map(|(at, text)| (at, score(&wanted, text)))
        .collect();
    ranked.sort_by(|(_, one), (_, other)| other.total_cmp(one));
    ranked.truncate(top.map_or(usize::MAX, |top| usize::try_from(top).unwrap_or(usize::MAX)));
    let results: Vec<_> = ranked
        .into_iter()
        .map(|(index, score)| {
            let mut result = json!({"index": index, "relevance_score": score});
            if return_documents {
                // Objects are returned as JSON text.
                let text = match &documents[index] {
                    Value::String(text) => text.clone(),
                    object => object.to_string(),
                };
                result["document"] = json!({"text": text});
            }
            result
        })
        .collect();

    let tokens: usize = texts
        .iter()
        .map(|text| count_tokens(text) + count_tokens(query))
        .sum();
    let mut usage = json!({"prompt_tokens": tokens, "total_tokens": tokens});
    // Recorded from one model and not from another.
    if model.starts_with("Salesforce/") {
        usage["completion_tokens"] = json!(0);
    }
    let body =
        json!({"object": "rerank", "id": id, "model": model, "results": results, "usage": usage});
    Ok((body, model.to_owned(), tokens))
}

fn text(document: &Value, fields: &[String]) -> Option<String> {
    match document {
        Value::String(text) => Some(text.clone()),
        Value::Object(object) => {
            let chosen = object
                .iter()
                .filter(|(name, _)| fields.is_empty() || fields.contains(name));
            Some(
                chosen
                    .filter_map(|(_, value)| value.as_str())
                    .collect::<Vec<_>>()
                    .join("\n"),
            )
        }
        _ => None,
    }
}

fn score(wanted: &HashSet<String>, text: &str) -> f64 {
    let words = words(text);
    let shared = wanted.intersection(&words).count() as f64;
    let share = shared / (wanted.len().max(1) as f64);
    // No two documents have the same score.
    let jitter = (hash([text]) % 1000) as f64 / 100_000.0;
    (0.02 + share * 0.95 + jitter).min(0.999)
}

fn words(text: &str) -> HashSet<String> {
    let words = text
        .split(|c: char| !c.is_alphanumeric())
        .filter(|word| !word.is_empty());
    words.map(str::to_lowercase).collect()
}

const KEYS: &[&str] = &[
    "model",
    "query",
    "documents",
    "top_n",
    "return_documents",
    "rank_fields",
];
