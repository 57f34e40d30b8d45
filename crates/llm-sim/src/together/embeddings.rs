//! `POST /v1/embeddings`: texts that share words get similar vectors.

use serde_json::{Value, json};

use crate::http::Call;
use crate::seed::{Rng, hash};
use crate::text::count_tokens;
use crate::together::catalog::{dimensions, is_served};
use crate::together::error::Refusal;
use crate::together::fields::{Fields, wrong};

/// The response, its model, and its tokens.
pub(crate) fn answer(call: &Call, id: &str) -> Result<(Value, String, usize), Refusal> {
    let fields = Fields::read(&call.body)?;
    let model = fields.text("model")?;
    // Only strings: no token arrays here.
    let texts = match fields.required("input")? {
        Value::String(text) => vec![text.clone()],
        Value::Array(items) if !items.is_empty() => fields.strings("input")?,
        _ => return Err(wrong("input", "a string or a non-empty array of strings")),
    };
    if !is_served(model) {
        return Err(Refusal::model(model));
    }
    let size = dimensions(model);
    let data: Vec<_> = (0..)
        .zip(&texts)
        .map(|(index, text): (usize, _)| {
            json!({"object": "embedding", "embedding": vector(text, size), "index": index})
        })
        .collect();
    let mut body = json!({"object": "list", "model": model, "data": data});
    let tokens: usize = texts.iter().map(|text| count_tokens(text)).sum();
    // The specification has no usage, but some models return it.
    if model.starts_with("intfloat/") {
        body["request_id"] = json!(id);
        body["usage"] = json!({"prompt_tokens": tokens, "total_tokens": tokens});
    }
    Ok((body, model.to_owned(), tokens))
}

/// The sum of a random direction for each word, normalized to length 1.
fn vector(text: &str, size: usize) -> Vec<f32> {
    let mut sum = vec![0.0; size];
    for word in text
        .split(|c: char| !c.is_alphanumeric())
        .filter(|word| !word.is_empty())
    {
        let mut rng = Rng(hash([word.to_lowercase().as_str()]));
        for value in &mut sum {
            *value += rng.fraction() - 0.5;
        }
    }
    let length = sum.iter().map(|value| value * value).sum::<f64>().sqrt();
    if length == 0.0 {
        // A text without words also gets a direction.
        if let Some(first) = sum.first_mut() {
            *first = 1.0;
        }
        return sum.into_iter().map(|value| value as f32).collect();
    }
    sum.into_iter()
        .map(|value| (value / length) as f32)
        .collect()
}
