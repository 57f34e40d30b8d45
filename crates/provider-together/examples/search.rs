//! Embeds a query and ranks documents: `cargo run -p provider-together --example search`
//!
//! The key comes from TOGETHERAI_API_KEY or TOGETHER_API_KEY.

#![allow(clippy::print_stdout, reason = "an example prints")]

use llm_provider::{Call, Provider, Settings};
use llm_types::embeddings::{EmbeddingRequest, EmbeddingResponse};
use llm_types::rerank::{RerankRequest, RerankResponse};
use provider_together::Together;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let together = Together::new(Settings::new())?;
    let query = "What is the capital of the United States?";

    let request = EmbeddingRequest::new("BAAI/bge-large-en-v1.5", query);
    let reply = together.send(Call::of(&request)).await?;
    let vectors = reply.read::<EmbeddingResponse>()?.data;
    let vector = vectors.first().ok_or("no vector")?.embedding.to_f32s()?;
    println!("{} dimensions", vector.len());

    let documents = [
        "Carson City is the capital city of the American state of Nevada.",
        "Washington, D.C. is the capital of the United States.",
        "Capital punishment has existed in the United States since before it was a country.",
    ];
    let request = RerankRequest::new("Salesforce/Llama-Rank-V1", query, documents).with_top_n(2);
    let reply = together.send(Call::of(&request)).await?;
    for result in reply.read::<RerankResponse>()?.results {
        let place = usize::try_from(result.index)?;
        let document = documents.get(place).unwrap_or(&"?");
        println!("{} {document}", result.relevance_score);
    }
    Ok(())
}
