//! JSON Schema of the public types.
#![cfg(all(test, feature = "schema"))]

use llm_types::completions::{CompletionRequest, CompletionResponse};
use llm_types::embeddings::{EmbeddingRequest, EmbeddingResponse};
use llm_types::rerank::{RerankRequest, RerankResponse};
use llm_types::{ChatChunk, ChatRequest, ChatResponse, ErrorResponse, ModelList, Value};
use schemars::{JsonSchema, schema_for};

#[test]
fn bodies_have_schemas() {
    let chat = schema::<ChatRequest>(&["messages", "model"]);
    assert_eq!(
        chat["properties"]["temperature"]["type"],
        serde_json::json!(["number", "null"])
    );
    let text = &chat["$defs"]["TextPart"];
    assert_eq!(text["properties"]["type"]["const"], "text", "{text:#}");
    assert_eq!(chat["$defs"]["Role"]["type"], "string");
    schema::<ChatResponse>(&["choices"]);
    schema::<ChatChunk>(&[]);
    schema::<CompletionRequest>(&["model"]);
    schema::<CompletionResponse>(&["choices"]);
    schema::<EmbeddingRequest>(&["input", "model"]);
    schema::<EmbeddingResponse>(&["data"]);
    schema::<ErrorResponse>(&["error"]);
    schema::<ModelList>(&["data", "object"]);
    schema::<RerankRequest>(&["documents", "query"]);
    schema::<RerankResponse>(&["results"]);
}

fn schema<T: JsonSchema>(required: &[&str]) -> Value {
    let schema = schema_for!(T).to_value();
    let mut found: Vec<_> = schema["required"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    found.sort_unstable();
    assert_eq!(found, required);
    assert_ne!(schema["additionalProperties"], Value::Bool(false));
    schema
}
