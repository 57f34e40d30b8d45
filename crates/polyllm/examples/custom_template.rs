//! Both forms of LiteLLM's custom prompt templates: `cargo run -p polyllm --example custom_template`
//!
//! From LiteLLM's pages "Together AI" (Using another model), "Llama2 Together AI Tutorial" (Use
//! Llama2 variants with Custom Prompt Templates) and "Replicate" (Prompt Formatting). The keys come
//! from TOGETHERAI_API_KEY and REPLICATE_API_KEY.

#![allow(clippy::print_stdout, reason = "an example prints")]

use polyllm::{Client, CustomTemplate};
use serde_json::json;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    // A text before and after the messages of each role.
    let markers: CustomTemplate = serde_json::from_value(json!({
        "initial_prompt_value": "You are a good assistant",
        "roles": {
            "system": {"pre_message": "[INST] <<SYS>>\n", "post_message": "\n<</SYS>>\n [/INST]\n"},
            "user": {"pre_message": "[INST] ", "post_message": " [/INST]"},
            "assistant": {"pre_message": "\n", "post_message": "\n"},
        },
        "final_prompt_value": "Now answer as best you can:",
    }))?;
    // A text for each role, and the same separators for all.
    let separators: CustomTemplate = serde_json::from_value(json!({
        "roles": {
            "system": "<|im_start|>system",
            "user": "<|im_start|>user",
            "assistant": "<|im_start|>assistant",
        },
        "pre_message_sep": "\n",
        "post_message_sep": "\n",
    }))?;
    let client = Client::from_env()?
        .with_template("togethercomputer/LLaMA-2-7B-32K", markers)?
        .with_template("OpenAssistant/llama2-70b-oasst-sft-v10", separators)?;
    for model in [
        "replicate/togethercomputer/LLaMA-2-7B-32K",
        "together_ai/OpenAssistant/llama2-70b-oasst-sft-v10",
    ] {
        let chat = client
            .chat(model)
            .with_user("Write me a poem about the blue sky");
        println!("{model}: {}", chat.await?.text().unwrap_or_default());
    }
    Ok(())
}
