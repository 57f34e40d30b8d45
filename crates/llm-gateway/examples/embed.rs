//! A gateway inside another program: `cargo run -p llm-gateway --example embed`, then
//!
//! ```sh
//! curl localhost:4000/v1/chat/completions -H 'Content-Type: application/json' \
//!   -d '{"model":"parrot","messages":[{"role":"user","content":"Hello!"}]}'
//! ```

use std::sync::Arc;

use futures_core::future::BoxFuture;
use llm_gateway::{Config, Gateway, GatewayOptions};
use llm_provider::{
    Call, Capabilities, Capability, Document, Error, ErrorKind, Metadata, Provider, Reply,
    ReplyStream, Result,
};
use llm_router::Deployment;
use llm_types::ChatRequest;

#[tokio::main(flavor = "current_thread")]
async fn main() -> std::io::Result<()> {
    let deployment = Deployment::new("parrot", Arc::new(Parrot), "grey");
    let gateway = Gateway::new(Config::new(vec![deployment]), GatewayOptions::new());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:4000").await?;
    gateway
        .serve(listener, async { drop(tokio::signal::ctrl_c().await) })
        .await
}

/// A provider that repeats the last message.
#[derive(Debug)]
struct Parrot;

impl Provider for Parrot {
    fn name(&self) -> &'static str {
        "parrot"
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::new([Capability::Chat])
    }

    fn send(&self, call: Call) -> BoxFuture<'_, Result<Reply>> {
        Box::pin(async move {
            let request: ChatRequest = call.read()?;
            let heard = request.messages.last().and_then(|message| message.text());
            let body = serde_json::json!({
                "id": "1", "object": "chat.completion", "created": 0, "model": request.model,
                "choices": [{"index": 0, "finish_reason": "stop", "logprobs": null,
                    "message": {"role": "assistant", "content": heard, "refusal": null}}],
            });
            let metadata = Metadata::new("parrot", "grey");
            Ok(Reply::new(Document::new(&body), metadata))
        })
    }

    fn stream(&self, _: Call) -> BoxFuture<'_, Result<ReplyStream>> {
        let error = Error::new(ErrorKind::Unsupported, "parrots do not stream")
            .with_param("stream".to_owned());
        Box::pin(async { Err(error) })
    }
}
