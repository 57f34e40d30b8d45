//! Lets the model call a function: `cargo run -p polyllm --example tools [MODEL]`
//!
//! The question is that of LiteLLM's page "Llama2 Together AI Tutorial", to which a model without
//! tools replies that it cannot know. The key comes from TOGETHERAI_API_KEY.

#![allow(clippy::print_stdout, reason = "an example prints")]

use std::convert::Infallible;

use polyllm::schemars::{self, JsonSchema};
use polyllm::{Client, FunctionDefinition, Functions};
use serde::{Deserialize, Serialize};

#[derive(Deserialize, JsonSchema)]
struct Place {
    /// The name of a city.
    city: String,
}

#[derive(Serialize)]
struct Weather {
    city: String,
    degrees_celsius: f64,
}

async fn weather(place: Place) -> Result<Weather, Infallible> {
    println!("the model asks for the weather in {}", place.city);
    Ok(Weather {
        city: place.city,
        degrees_celsius: 17.5,
    })
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let model = std::env::args()
        .nth(1)
        .unwrap_or_else(|| "together_ai/openai/gpt-oss-20b".to_owned());
    let definition =
        FunctionDefinition::typed::<Place>("weather").with_description("The weather in a city.");
    let functions = Functions::new().with_function(definition, weather);
    let conversation = Client::from_env()?
        .chat(model)
        .with_user("Hello, whats the weather in San Francisco??")
        .run(&functions)
        .await?;
    println!("{}", conversation.text().unwrap_or_default());
    println!("{} replies", conversation.responses.len());
    Ok(())
}
