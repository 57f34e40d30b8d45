//! Streams a chat: `cargo run -p polyllm --example stream [MODEL]`
//!
//! From LiteLLM's pages "Replicate" (the request of the section PROXY) and "Llama2 Together AI
//! Tutorial" (With Streaming). The key comes from TOGETHERAI_API_KEY or REPLICATE_API_KEY, depending
//! on the model.

#![allow(clippy::print_stderr, reason = "an example prints")]

use std::io::Write;

use polyllm::{Client, ReplyEvent};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let model = std::env::args()
        .nth(1)
        .unwrap_or_else(|| "replicate/meta/meta-llama-3-8b-instruct".to_owned());
    let client = Client::from_env()?;
    let mut stream = client
        .chat(model)
        .with_system("Be a good human!")
        .with_user("What do you know about earth?")
        .with_max_tokens(200)
        .stream()
        .await?;
    let mut out = std::io::stdout();
    while let Some(event) = stream.next().await {
        match event? {
            ReplyEvent::Chunk(chunk) => {
                write!(out, "{}", chunk.text()?.unwrap_or_default())?;
                out.flush()?;
            }
            // A model that boots on Replicate may take minutes, and sends progress events.
            ReplyEvent::Progress(progress) => {
                eprintln!("{} for {} s", progress.status, progress.elapsed.as_secs());
            }
            _ => {}
        }
    }
    writeln!(out)?;
    Ok(())
}
