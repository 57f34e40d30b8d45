use llm_types::Field;
use llm_types::rerank::{RerankMeta, RerankResponse};
use serde_json::json;

use super::exchange::unexpected;
use crate::{Json, Metadata, Result};

/// An answer in Cohere's shape: with an `id`, and what was used in `meta`.
///
/// The members of `meta` are those of LiteLLM: `billed_units.total_tokens`, `tokens.input_tokens`
/// and `tokens.output_tokens`.
pub(super) fn normalize(
    answer: Json<RerankResponse>,
    metadata: &Metadata,
) -> Result<Json<RerankResponse>> {
    // Always read: a result without its place or its score is of no use to anybody.
    let response = answer
        .value()
        .map_err(|error| unexpected("a rerank", error))?;
    let has_id = response.id.is_value();
    let needs_meta = !response.meta.is_value() && response.usage.is_value();
    if has_id && !needs_meta {
        return Ok(answer);
    }
    let mut response = response.clone();
    if !has_id {
        let id = metadata.upstream_id.clone();
        let id = id.unwrap_or_else(|| format!("rerank-{:016x}", fastrand::u64(..)));
        response.id = Field::Value(id);
    }
    if let Some(usage) = response.usage.value().filter(|_| needs_meta) {
        let meta = json!({
            "billed_units": { "total_tokens": usage.total() },
            "tokens": { "input_tokens": usage.prompt(), "output_tokens": usage.completion() },
        });
        let meta: RerankMeta =
            serde_json::from_value(meta).map_err(|error| unexpected("a rerank", error))?;
        response.meta = Field::Value(meta);
    }
    Ok(Json::from_value(response))
}
