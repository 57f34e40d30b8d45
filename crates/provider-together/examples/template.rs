//! Registers a prompt template: `cargo run -p provider-together --example template`
//!
//! The model's chats are then sent as prompts, to `/completions`. The key comes from
//! TOGETHERAI_API_KEY or TOGETHER_API_KEY.

#![allow(clippy::print_stdout, reason = "an example prints")]

use llm_provider::{Call, Provider, Settings};
use llm_types::{ChatRequest, ChatResponse, Message};
use prompt_templates::{CustomTemplate, RoleMarkers};
use provider_together::Together;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let model = "OpenAssistant/llama2-70b-oasst-sft-v10";
    let turn = |role: &str| RoleMarkers::new(format!("<|im_start|>{role}\n"), "<|im_end|>\n");
    let template = CustomTemplate::new()
        .with_role("system", turn("system"))
        .with_role("user", turn("user"))
        .with_role("assistant", turn("assistant"))
        .with_final_prompt_value("<|im_start|>assistant\n");
    let together = Together::new(Settings::new())?.with_template(model, template);

    let messages = vec![Message::user("Write me a poem about the blue sky")];
    let call = Call::of(&ChatRequest::new(model, messages));
    let reply = together.send(call).await?;
    println!(
        "{}",
        reply.read::<ChatResponse>()?.text().unwrap_or_default()
    );
    println!("({} template)", reply.metadata.extra["prompt_template"]);
    Ok(())
}
