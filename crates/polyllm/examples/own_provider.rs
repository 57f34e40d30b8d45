//! A provider in one file: `cargo run -p polyllm --example own_provider`
//!
//! `cargo xtask new-provider` writes a provider as a crate, with HTTP and tests.

#![allow(clippy::print_stdout, reason = "an example prints")]

use std::pin::Pin;
use std::sync::Arc;

use polyllm::provider::{Call, Capabilities, Capability, Document};
use polyllm::types::{AssistantMessage, Choice, FinishReason};
use polyllm::{
    ChatRequest, ChatResponse, Client, Error, ErrorKind, Metadata, Provider, Reply, Result,
};

/// It repeats the last message. A real provider keeps its settings here, and ends a call at its
/// `timeout`.
#[derive(Debug)]
struct Parrot;

impl Provider for Parrot {
    fn name(&self) -> &'static str {
        "parrot"
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::new([Capability::Chat])
    }

    fn send(&self, call: Call) -> Pin<Box<dyn Future<Output = Result<Reply>> + Send + '_>> {
        Box::pin(async move {
            let request: ChatRequest = call.read()?;
            let heard = request.messages.last().and_then(|message| message.text());
            let heard = heard.ok_or_else(|| {
                let message = "parrots repeat text only";
                Error::new(ErrorKind::Unsupported, message).with_provider("parrot")
            })?;
            let message = AssistantMessage::new().with_content(heard.into_owned());
            let response = ChatResponse::new("parrot-1", 0_u64, &*request.model)
                .with_choice(Choice::new(0, message, FinishReason::Stop));
            let metadata = Metadata::new("parrot", &*request.model);
            Ok(Reply::new(Document::new(&response), metadata))
        })
    }
}

#[tokio::main]
async fn main() -> Result<()> {
    // Model names with the prefix `parrot/` are its own, beside those of the other providers.
    let mut registry = polyllm::registry();
    registry.register("parrot", |_settings| Ok(Arc::new(Parrot)));
    let client = Client::new(registry);
    let response = client.chat("parrot/grey").with_user("Hello!").await?;
    println!("{}", response.text().unwrap_or_default());
    // A stream has the reply of `send` in one piece, unless the provider implements `stream`.
    let mut stream = client
        .chat("parrot/grey")
        .with_user("Bye!")
        .stream()
        .await?;
    while let Some(text) = stream.next_text().await? {
        println!("{text}");
    }
    Ok(())
}
