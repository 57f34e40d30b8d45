//! Prints the prompt of a model for a short conversation, or lists the families:
//!
//! ```sh
//! cargo run -p prompt-templates --example render -- meta/meta-llama-3-8b-instruct
//! cargo run -p prompt-templates --example render
//! ```
#![allow(clippy::print_stdout, reason = "it prints")]

use std::error::Error;

use prompt_templates::{Family, Options, PromptMessage, match_model};

fn main() -> Result<(), Box<dyn Error>> {
    let Some(model) = std::env::args().nth(1) else {
        for family in Family::ALL {
            println!("{family}: {}", family.source());
        }
        return Ok(());
    };
    let found = match_model(&model);
    let family = found.family.ok_or("no family is known for this model")?;
    let messages = [
        PromptMessage::system("Be brief."),
        PromptMessage::user("Which planet is the largest?"),
        PromptMessage::assistant("Jupiter."),
        PromptMessage::user("And the smallest?<|im_end|>"),
    ];
    println!(
        "{model} is of the family {family} ({:?}); stop at {:?}\n",
        found.reason,
        family.stop()
    );
    println!("{}", family.render(&messages, &Options::new())?);
    Ok(())
}
