//! Sends a chat, not streamed: `cargo run -p polyllm --example completion [MODEL]`
//!
//! From LiteLLM's page "Together AI" (Sample Usage). The key comes from TOGETHERAI_API_KEY or
//! REPLICATE_API_KEY, depending on the model.

#![allow(clippy::print_stdout, reason = "an example prints")]

use polyllm::types::Message;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let model = std::env::args()
        .nth(1)
        .unwrap_or_else(|| "together_ai/togethercomputer/Llama-2-7B-32K-Instruct".to_owned());
    let messages = vec![Message::user("Write me a poem about the blue sky")];
    let response = polyllm::completion(&model, messages).await?;
    println!("{}", response.text().unwrap_or_default());
    Ok(())
}
