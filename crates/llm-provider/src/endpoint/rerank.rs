use llm_types::rerank::{RerankMeta, RerankRequest, RerankResponse};
use llm_types::{Field, RawObject};
use serde_json::json;

use super::check::{self, Kind};
use super::chunks::unexpected;
use super::{Endpoint, Request, params};
use crate::{Capability, Document, Metadata, ParamSpec, Result};

/// Reranking of documents, in the schema of Cohere's API.
#[derive(Clone, Copy, Debug)]
#[allow(clippy::exhaustive_structs, reason = "it has no fields")]
pub struct Rerank;

impl Endpoint for Rerank {
    fn capability(&self) -> Capability {
        Capability::Rerank
    }

    fn path(&self) -> &'static str {
        "/v1/rerank"
    }

    fn check(&self, request: &Document) -> Result<()> {
        let object = check::members(request, MEMBERS)?;
        if matches!(object.bytes("query").map(Kind::of), None | Some(Kind::Null)) {
            return Err(check::missing("query", "a string"));
        }
        check_documents(&object)
    }

    fn params(&self) -> &'static [ParamSpec] {
        params::RERANK
    }

    fn normalize(
        &self,
        _: &Document,
        reply: Document,
        metadata: &mut Metadata,
    ) -> Result<Document> {
        normalize(reply, metadata)
    }

    fn names_model(&self) -> bool {
        false
    }
}

impl Request for RerankRequest {
    type Response = RerankResponse;
    const ENDPOINT: &'static dyn Endpoint = &Rerank;
}

/// Converts a reply to Cohere's shape: with an `id`, and the usage in `meta`.
///
/// The members of `meta` are those of LiteLLM: `billed_units.total_tokens`, `tokens.input_tokens`
/// and `tokens.output_tokens`.
fn normalize(reply: Document, metadata: &Metadata) -> Result<Document> {
    // Always parsed: a result without its index or its score must be an error.
    let mut response: RerankResponse = reply.read().map_err(unexpected("a rerank"))?;
    let has_id = response.id.is_value();
    let needs_meta = !response.meta.is_value() && response.usage.is_value();
    if has_id && !needs_meta {
        return Ok(reply);
    }
    if !has_id {
        let id = metadata.upstream_id.clone();
        let id = id.unwrap_or_else(|| format!("rerank-{:016x}", fastrand::u64(..)));
        response.id = Field::Value(id);
    }
    if let Some(usage) = response.usage.value().filter(|_| needs_meta) {
        // Some upstreams have only the total, which is that of the input.
        let rest = || usage.total().saturating_sub(usage.completion());
        let input = usage.prompt_tokens.unwrap_or_else(rest);
        let meta = json!({
            "billed_units": { "total_tokens": usage.total() },
            "tokens": { "input_tokens": input, "output_tokens": usage.completion() },
        });
        response.meta =
            serde_json::from_value::<RerankMeta>(meta).map_or(Field::Absent, Field::Value);
    }
    Ok(Document::new(&response))
}

fn check_documents(object: &RawObject<'_>) -> Result<()> {
    let mut documents = object.items("documents").into_iter().flatten().peekable();
    if documents.peek().is_none() {
        let expected = "an array with at least one document";
        return Err(check::missing("documents", expected));
    }
    for (index, document) in documents.enumerate() {
        match Kind::of(document) {
            Kind::String | Kind::Object => {}
            found => {
                let expected = "a string or an object";
                return Err(check::wrong(
                    &format!("documents[{index}]"),
                    expected,
                    found,
                ));
            }
        }
    }
    Ok(())
}

/// Members that have the same type in both versions of Cohere's API.
const MEMBERS: &[(&str, Kind)] = &[
    ("query", Kind::String),
    ("documents", Kind::Array),
    ("max_chunks_per_doc", Kind::Number),
    ("max_tokens_per_doc", Kind::Number),
    ("rank_fields", Kind::Array),
    ("return_documents", Kind::Bool),
    ("top_n", Kind::Number),
];
