//! Sends a chat to an OpenAI-compatible upstream:
//! `cargo run -p provider-openai --example chat http://localhost:11434/v1 llama3.2 "Hello!"`
//!
//! The key, if the upstream needs one, is the fourth argument.

#![allow(clippy::print_stdout, reason = "an example prints")]

use llm_provider::{ApiKey, Call, Provider, Settings};
use llm_types::{ChatRequest, ChatResponse, Message};
use provider_openai::OpenAi;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(base), Some(model), Some(text)) =
        (arguments.next(), arguments.next(), arguments.next())
    else {
        return Err("usage: chat API_BASE MODEL TEXT [KEY]".into());
    };
    let mut settings = Settings::new().with_api_base(base);
    if let Some(key) = arguments.next() {
        settings = settings.with_api_key(ApiKey::new(key));
    }
    let upstream = OpenAi::new(settings)?;
    let request = ChatRequest::new(model, vec![Message::user(text)]);
    let reply = upstream.send(Call::of(&request)).await?;
    println!(
        "{}",
        reply.read::<ChatResponse>()?.text().unwrap_or_default()
    );
    Ok(())
}
