//! Prompt templates alone, without a call: `cargo run -p polyllm --example templates`
//!
//! From LiteLLM's page "Replicate" (Expected Replicate Call): the prompt of the same messages. The
//! crate `prompt-templates` has no dependencies.

#![allow(clippy::print_stdout, reason = "an example prints")]

use polyllm::templates::{Options, PromptMessage, match_model};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let messages = [
        PromptMessage::system("Be a good human!"),
        PromptMessage::user("What do you know about earth?"),
    ];
    let model = "meta/meta-llama-3-8b-instruct";
    let family = match_model(model).family.ok_or("an unknown family")?;
    println!("{model} is of the family {family}:");
    println!("{}", family.render(&messages, &Options::new())?);
    Ok(())
}
