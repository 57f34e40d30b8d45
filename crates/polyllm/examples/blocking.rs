//! Sends a chat without `async`: `cargo run -p polyllm --example blocking [MODEL]`
//!
//! From LiteLLM's page "Together AI" (Sample Usage). The key comes from TOGETHERAI_API_KEY.

#![allow(clippy::print_stdout, reason = "an example prints")]

use polyllm::{Client, blocking};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let model = std::env::args()
        .nth(1)
        .unwrap_or_else(|| "together_ai/togethercomputer/Llama-2-7B-32K-Instruct".to_owned());
    let client = Client::from_env()?;
    let chat = client
        .chat(model)
        .with_user("Write me a poem about the blue sky");
    let response = blocking::wait(chat)?;
    println!("{}", response.text().unwrap_or_default());
    Ok(())
}
