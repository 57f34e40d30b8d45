//! Finds the most relevant document: `cargo run -p polyllm --example rerank [MODEL]`
//!
//! From LiteLLM's page "Together AI" (Rerank). The key comes from TOGETHERAI_API_KEY.

#![allow(clippy::print_stdout, reason = "an example prints")]

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let model = std::env::args()
        .nth(1)
        .unwrap_or_else(|| "together_ai/Salesforce/Llama-Rank-V1".to_owned());
    let query = "What is the capital of the United States?";
    let documents = [
        "Carson City is the capital city of the American state of Nevada.",
        "The Commonwealth of the Northern Mariana Islands is a group of islands in the Pacific Ocean. Its capital is Saipan.",
        "Washington, D.C. is the capital of the United States.",
        "Capital punishment has existed in the United States since before it was a country.",
    ];
    let answer = polyllm::rerank(&model, query, documents, 3).await?;
    for result in answer.results {
        let document = documents[usize::try_from(result.index)?];
        println!("{:.3}  {document}", result.relevance_score.as_f64());
    }
    Ok(())
}
