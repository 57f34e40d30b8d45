//! Lists the models of a provider: `cargo run -p polyllm --example models [PROVIDER]`
//!
//! The key comes from TOGETHERAI_API_KEY.

#![allow(clippy::print_stdout, reason = "an example prints")]

use polyllm::Client;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let provider = std::env::args()
        .nth(1)
        .unwrap_or_else(|| "together_ai".to_owned());
    for model in Client::from_env()?.models(&provider).await?.data {
        let type_ = model.extra.get("type").and_then(|type_| type_.as_str());
        println!("{provider}/{} ({})", model.id, type_.unwrap_or("unknown"));
    }
    Ok(())
}
