//! Two deployments share a model name, and another model takes over when both fail:
//! `cargo run -p polyllm --example router`
//!
//! From LiteLLM's pages "Together AI" and "Replicate" (config.yaml), as code. The keys come from
//! TOGETHERAI_API_KEY and REPLICATE_API_KEY.

#![allow(clippy::print_stdout, reason = "an example prints")]

use std::sync::Arc;

use polyllm::router::{Deployment, Fallbacks, Router};
use polyllm::{Client, Settings};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let registry = polyllm::registry();
    let together = registry.build("together_ai", Settings::new())?;
    let replicate = registry.build("replicate", Settings::new())?;
    let turbo = "meta-llama/Llama-3.3-70B-Instruct-Turbo";
    let router = Router::builder()
        .with_deployments([
            Deployment::new("llama-3", replicate, "meta/meta-llama-3-8b-instruct"),
            // It gets two of three calls.
            Deployment::new("llama-3", Arc::clone(&together), turbo).with_weight(2),
            Deployment::new("gpt-oss", together, "openai/gpt-oss-20b"),
        ])
        .with_fallbacks(Fallbacks::default().with("llama-3", ["gpt-oss"]))
        .build()?;
    let client = Client::from_provider(router);
    let chat = client.chat("llama-3").with_user("What is Rust?");
    let reply = chat.reply().await?;
    println!("served by {}", reply.metadata.provider);
    println!("after {} attempts", reply.metadata.attempts);
    Ok(())
}
