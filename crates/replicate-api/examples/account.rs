//! Shows the inputs of a model, the owner of the API token, and the latest predictions.
//!
//! ```sh
//! REPLICATE_API_TOKEN=r8_… cargo run -p replicate-api --example account -- \
//!     meta/meta-llama-3-8b-instruct
//! ```

#![allow(clippy::print_stdout, reason = "an example prints")]

use std::pin::pin;

use futures_util::{StreamExt, TryStreamExt};
use llm_provider::Settings;
use replicate_api::ReplicateClient;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let Some(name) = std::env::args().nth(1) else {
        return Err("usage: account OWNER/NAME".into());
    };
    let client = ReplicateClient::new(Settings::new())?;
    let model = client.model(&name).await?;
    for input in model.latest_version.unwrap_or_default().inputs() {
        println!("{} ({}): {}", input.name, input.type_, input.description);
    }
    println!("{}", client.account().await?.username);
    // Pages are fetched when they are needed: this is one page.
    let mut latest = pin!(client.predictions().take(10));
    while let Some(prediction) = latest.try_next().await? {
        println!("{} {}", prediction.id, prediction.status.0);
    }
    Ok(())
}
