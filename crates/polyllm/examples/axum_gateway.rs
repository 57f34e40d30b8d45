//! The gateway as a part of an axum application: `cargo run -p polyllm --example axum_gateway`, then
//!
//! ```sh
//! curl localhost:4000/llm/v1/chat/completions -H 'Authorization: Bearer sk-1234' \
//!   -H 'Content-Type: application/json' \
//!   -d '{"model": "llama-3", "messages": [{"role": "user", "content": "Hello!"}]}'
//! ```
//!
//! From LiteLLM's page "Replicate" (PROXY). The key comes from REPLICATE_API_KEY. With `--once`, the
//! example sends this request itself, and ends.

#![allow(clippy::print_stdout, reason = "an example prints")]

use std::time::Duration;

use axum::routing::get;
use polyllm::gateway::{Config, Gateway, GatewayOptions};
use polyllm::{ApiKey, Client, Settings};

const CONFIG: &str = "
model_list:
  - model_name: llama-3
    litellm_params:
      model: replicate/meta/meta-llama-3-8b-instruct
      api_key: os.environ/REPLICATE_API_KEY
general_settings:
  master_key: sk-1234
";

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let config = Config::parse(CONFIG, &polyllm::registry(), &|name| {
        std::env::var(name).ok()
    })?;
    let gateway = Gateway::new(config, GatewayOptions::new());
    let application = axum::Router::new()
        .route("/", get(async || "the application"))
        .nest_service("/llm", gateway.into_service());

    let is_once = std::env::args().any(|argument| argument == "--once");
    let port = if is_once { 0 } else { 4000 };
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await?;
    let address = listener.local_addr()?;
    println!("listening on http://{address}");
    let server = async move { axum::serve(listener, application).await };
    if is_once {
        let server = tokio::spawn(server);
        call(&format!("http://{address}/llm/v1")).await?;
        server.abort();
    } else {
        server.await?;
    }
    // Abandoned predictions are cancelled before the process ends.
    polyllm::provider::cleanup::finish(Duration::from_secs(10)).await;
    Ok(())
}

/// Calls the gateway, as any client of OpenAI's API.
async fn call(address: &str) -> polyllm::Result<()> {
    let settings = Settings::new()
        .with_api_base(address)
        .with_api_key(ApiKey::new("sk-1234"));
    let client = Client::new(polyllm::registry()).with_settings("openai", settings)?;
    let response = client.chat("openai/llama-3").with_user("Hello!").await?;
    println!("{}", response.text().unwrap_or_default());
    Ok(())
}
