//! Completes a text: `cargo run -p polyllm --example complete [MODEL]`
//!
//! From LiteLLM's page "Together AI" (Language / Instruct). The key comes from TOGETHERAI_API_KEY.

use std::io::Write;

use polyllm::Client;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let model = std::env::args()
        .nth(1)
        .unwrap_or_else(|| "together_ai/togethercomputer/LLaMA-2-7B-32K".to_owned());
    let client = Client::from_env()?;
    let prompt = "The sky is blue because";
    let mut stream = client
        .complete(model, prompt)
        .with_max_tokens(100)
        .with_stop("\n\n")
        .stream()
        .await?;
    let mut out = std::io::stdout();
    write!(out, "{prompt}")?;
    while let Some(text) = stream.next_text().await? {
        write!(out, "{text}")?;
        out.flush()?;
    }
    writeln!(out)?;
    Ok(())
}
