//! Asks about an image: `cargo run -p polyllm --example images [MODEL]`
//!
//! From genai-bench's page "Together AI Integration" (image-text-to-text). The key comes from
//! TOGETHERAI_API_KEY.

#![allow(clippy::print_stdout, reason = "an example prints")]

use polyllm::Client;
use polyllm::types::ContentPart;

/// A GIF with one red pixel; an address such as `https://…` works, too.
const IMAGE: &str = "data:image/gif;base64,R0lGODdhAQABAIAAAP8AAP///ywAAAAAAQABAAACAkQBADs=";

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let model = std::env::args()
        .nth(1)
        .unwrap_or_else(|| "together_ai/meta-llama/Llama-4-Scout-17B-16E-Instruct".to_owned());
    let question = vec![
        ContentPart::text("What is in this image?"),
        ContentPart::image_url(IMAGE),
    ];
    let client = Client::from_env()?;
    let response = client.chat(model).with_user(question).await?;
    println!("{}", response.text().unwrap_or_default());
    Ok(())
}
