//! A minimal provider for an OpenAI-compatible upstream:
//! `cargo run -p provider-openai --example dialect BASE_URL MODEL`
//!
//! The key comes from ACME_API_KEY.

#![allow(clippy::print_stdout, reason = "an example prints")]

use std::sync::Arc;

use futures_core::future::BoxFuture;
use llm_provider::{
    Call, Capabilities, Capability, Provider, ProviderSpec, Registry, Reply, ReplyStream, Result,
    Settings,
};
use llm_types::{ChatRequest, ChatResponse, Message};
use provider_openai::{Dialect, OpenAiClient};

/// Acme's API is exactly OpenAI's, so every method keeps its default.
#[derive(Debug)]
struct AcmeDialect;

impl Dialect for AcmeDialect {
    fn provider(&self) -> &'static str {
        "acme"
    }
}

#[derive(Debug)]
struct Acme(OpenAiClient<AcmeDialect>);

impl Acme {
    fn new(settings: Settings) -> Result<Self> {
        let api_key = settings.require_api_key("acme", &["ACME_API_KEY"])?;
        let base = settings.api_base_or("acme", &["ACME_API_BASE"], "https://api.acme.example")?;
        let client = OpenAiClient::new(AcmeDialect, &settings, base, api_key)?;
        Ok(Self(client))
    }
}

impl Provider for Acme {
    fn name(&self) -> &'static str {
        "acme"
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::new([Capability::Chat])
    }

    fn send(&self, call: Call) -> BoxFuture<'_, Result<Reply>> {
        Box::pin(self.0.send(call))
    }

    fn stream(&self, call: Call) -> BoxFuture<'_, Result<ReplyStream>> {
        Box::pin(self.0.stream(call))
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> std::result::Result<(), Box<dyn std::error::Error>> {
    let mut registry = Registry::new();
    let spec = ProviderSpec::new("acme")
        .with_api_key(&["ACME_API_KEY"])
        .with_api_base("https://api.acme.example", &["ACME_API_BASE"]);
    registry.register(spec, |settings| Ok(Arc::new(Acme::new(settings)?)));

    let mut arguments = std::env::args().skip(1);
    let (Some(base), Some(model)) = (arguments.next(), arguments.next()) else {
        return Err("usage: dialect BASE_URL MODEL".into());
    };
    let acme = registry.build("acme", Settings::new().with_api_base(base))?;
    let request = ChatRequest::new(model, vec![Message::user("Hello!")]);
    let reply = acme.send(Call::of(&request)).await?;
    println!(
        "{}",
        reply.read::<ChatResponse>()?.text().unwrap_or_default()
    );
    Ok(())
}
