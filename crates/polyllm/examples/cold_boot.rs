//! Waits for a model that boots: `cargo run -p polyllm --example cold_boot [MODEL]`
//!
//! From LiteLLM's page "Replicate" (Replicate Cold Boots): a reply can take minutes. A stream reports
//! the progress, and settings limit the wait. The key comes from REPLICATE_API_KEY.

#![allow(clippy::print_stdout, reason = "an example prints")]

use polyllm::{Client, ReplyEvent, Settings};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let model = std::env::args()
        .nth(1)
        .unwrap_or_else(|| "replicate/deployments/ishaan-jaff/ishaan-mistral".to_owned());
    let limits = Settings::new()
        .with_extra("boot_timeout", 600)
        .with_extra("run_timeout", 60);
    let client = Client::from_env()?.with_settings("replicate", limits)?;
    let chat = client.chat(model).with_user("Hello, how are you?");
    let mut stream = chat.accumulating_stream().await?;
    while let Some(event) = stream.next().await {
        if let ReplyEvent::Progress(progress) = event? {
            println!("{} for {} s", progress.status, progress.elapsed.as_secs());
        }
    }
    let response = stream.finish().await?;
    println!("{}", response.text().unwrap_or_default());
    Ok(())
}
