//! The forms of a Replicate model's name, and parameters: `cargo run -p polyllm --example replicate`
//!
//! From LiteLLM's page "Replicate" (Example Call, Calling Replicate Deployments, Replicate Models,
//! Passing additional params, Passings Replicate specific params). The key comes from
//! REPLICATE_API_KEY.

#![allow(clippy::print_stdout, reason = "an example prints")]

use polyllm::Client;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let client = Client::from_env()?;
    for model in [
        // An official model, or the newest version of any other.
        "replicate/meta/meta-llama-3-8b-instruct",
        // A version.
        "replicate/llama-2-70b-chat:2796ee9483c3fd7aa2e171d38f4ca12251a30609463dcfd4cd76703f22e96cdf",
        // A deployment.
        "replicate/deployments/ishaan-jaff/ishaan-mistral",
    ] {
        let response = client
            .chat(model)
            .with_user("Hello, how are you?")
            .with_max_tokens(20)
            .with_temperature(0.5)
            // Parameters of Replicate's models are sent unchanged.
            .with_param("min_tokens", 2)
            .with_param("top_k", 20)
            .await?;
        println!("{model}: {}", response.text().unwrap_or_default());
    }
    Ok(())
}
