//! JSON Schema of the public types.
#![cfg(all(test, feature = "schema"))]

use std::collections::BTreeMap;

use llm_types::completions::{CompletionRequest, CompletionResponse};
use llm_types::embeddings::{EmbeddingRequest, EmbeddingResponse};
use llm_types::rerank::{RerankRequest, RerankResponse};
use llm_types::{
    AssistantMessage, ChatChunk, ChatRequest, ChatResponse, Choice, ErrorResponse, FinishReason,
    ModelList, ResponseFormat, Tool, Value,
};
use schemars::{JsonSchema, schema_for};
use serde::Deserialize;
use serde_json::json;

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

#[derive(Debug, Deserialize, JsonSchema, PartialEq)]
struct Order {
    /// The number of pieces.
    count: u32,
    note: Option<String>,
    #[serde(default)]
    address: Address,
    kind: Kind,
}

#[derive(Debug, Default, Deserialize, JsonSchema, PartialEq)]
struct Address {
    city: String,
}

#[derive(Debug, Deserialize, JsonSchema, PartialEq)]
#[serde(rename_all = "snake_case")]
enum Kind {
    /// Sent to the customer.
    Delivery,
    /// Fetched by the customer.
    Pickup { shop: String },
}

/// OpenAI's rules: every member is required, no others are allowed, and there is no `oneOf`.
#[test]
fn the_schema_of_a_tool_is_strict() {
    let tool = Tool::typed::<Order>("order").with_description("Orders something.");
    let tool = serde_json::to_value(tool).unwrap();
    let function = &tool["function"];
    assert_eq!(function["description"], "Orders something.");
    assert_eq!(function["strict"], true);
    let schema = &function["parameters"];
    let required = json!(["count", "note", "address", "kind"]);
    assert_eq!(schema["required"], required, "{schema:#}");
    assert_eq!(schema["additionalProperties"], false);
    let count = &schema["properties"]["count"];
    assert_eq!(count["description"], "The number of pieces.");
    assert_eq!(count.get("format"), None);
    assert_eq!(schema["$defs"]["Address"]["required"], json!(["city"]));
    assert_eq!(schema["$defs"]["Address"]["additionalProperties"], false);
    assert!(schema["$defs"]["Kind"]["anyOf"].is_array(), "{schema:#}");
    assert!(!schema.to_string().contains("oneOf"), "{schema:#}");
    assert_eq!(schema.get("$schema"), None);
}

#[test]
fn a_map_is_not_strict() {
    let format = ResponseFormat::typed::<BTreeMap<String, u8>>();
    let format = serde_json::to_value(format).unwrap();
    let inner = &format["json_schema"];
    assert_eq!(inner["strict"], false, "{format:#}");
    let name = inner["name"].as_str().unwrap();
    let accepted = |c: char| c.is_ascii_alphanumeric() || c == '_';
    assert!(!name.is_empty() && name.chars().all(accepted), "{name}");
}

#[test]
fn a_response_of_the_format_is_read() {
    let message = AssistantMessage::new().with_content(
        "```json\n{\"count\": 2, \"note\": null, \"address\": {\"city\": \"Bern\"}, \"kind\": \"delivery\"}\n```",
    );
    let choice = Choice::new(0, message, FinishReason::Stop);
    let response = ChatResponse::new("1", 0_u64, "m").with_choice(choice);
    let order: Order = response.json().unwrap();
    let city = "Bern".to_owned();
    let expected = Order {
        count: 2,
        note: None,
        address: Address { city },
        kind: Kind::Delivery,
    };
    assert_eq!(order, expected);
}
