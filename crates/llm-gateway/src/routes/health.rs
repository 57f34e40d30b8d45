//! Whether the gateway is there, in LiteLLM's words. Open to everybody.

use axum::response::Response;
use serde_json::json;

/// The process answers.
pub(super) async fn liveliness() -> Response {
    super::json(&"I'm alive!")
}

/// The gateway takes requests.
pub(super) async fn readiness() -> Response {
    super::json(&json!({ "status": "healthy" }))
}
