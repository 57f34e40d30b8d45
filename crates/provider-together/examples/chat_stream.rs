//! Streams a chat from Together AI: `cargo run -p provider-together --example chat_stream [MODEL]`
//!
//! The key comes from TOGETHERAI_API_KEY or TOGETHER_API_KEY.

use std::io::Write;

use llm_provider::{Call, Provider, Settings};
use llm_types::{ChatRequest, Message};
use provider_together::Together;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let model = std::env::args()
        .nth(1)
        .unwrap_or_else(|| "meta-llama/Llama-3.3-70B-Instruct-Turbo".to_owned());
    let together = Together::new(Settings::new())?;
    let messages = vec![Message::user("Write me a poem about the blue sky")];
    let call = Call::of(&ChatRequest::new(model, messages));
    let mut stream = together.stream(call).await?;
    let mut out = std::io::stdout();
    while let Some(text) = stream.next_text().await? {
        write!(out, "{text}")?;
        out.flush()?;
    }
    writeln!(out)?;
    Ok(())
}
