//! Texts as vectors: `cargo run -p polyllm --example embedding [MODEL]`
//!
//! From genai-bench's page "Together AI Integration" (text-to-embeddings). The key comes from
//! TOGETHERAI_API_KEY.

#![allow(clippy::print_stdout, reason = "an example prints")]

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let model = std::env::args()
        .nth(1)
        .unwrap_or_else(|| "together_ai/togethercomputer/m2-bert-80M-8k-retrieval".to_owned());
    let texts = ["The sky is blue.", "Der Himmel ist blau.", "Pay the bill."];
    let answer = polyllm::embedding(&model, texts).await?;
    let vectors: Vec<Vec<f32>> = answer
        .data
        .iter()
        .map(|embedding| embedding.embedding.to_f32s())
        .collect::<Result<_, _>>()?;
    for (text, vector) in texts.iter().zip(&vectors) {
        println!("{:+.3}  {text}", cosine(&vectors[0], vector));
    }
    Ok(())
}

/// The cosine similarity: 1 for the same direction.
fn cosine(a: &[f32], b: &[f32]) -> f32 {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
}
