//! Reads a reply into a type: `cargo run -p polyllm --example structured [MODEL]`
//!
//! The key comes from TOGETHERAI_API_KEY.

#![allow(clippy::print_stdout, reason = "an example prints")]

use polyllm::Client;
use polyllm::schemars::{self, JsonSchema};
use serde::Deserialize;

#[derive(Deserialize, JsonSchema)]
struct City {
    name: String,
    /// The number of inhabitants.
    population: u64,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let model = std::env::args()
        .nth(1)
        .unwrap_or_else(|| "together_ai/openai/gpt-oss-20b".to_owned());
    let client = Client::from_env()?;
    let chat = client
        .chat(model)
        .with_user("What is the capital of the United States?");
    let city: City = chat.json().await?;
    println!("{} has {} inhabitants", city.name, city.population);
    Ok(())
}
