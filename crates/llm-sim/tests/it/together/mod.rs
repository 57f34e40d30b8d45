//! The simulated Together.

mod chat;
mod limits;
mod others;
mod script;
mod shapes;

use serde_json::{Value, json};

const TURBO: &str = "meta-llama/Llama-3.3-70B-Instruct-Turbo";
const CURRENT: &str = "openai/gpt-oss-120b";

fn chat(model: &str, stream: bool) -> Value {
    json!({
        "model": model,
        "stream": stream,
        "messages": [
            {"role": "system", "content": "You are concise."},
            {"role": "user", "content": "What do you know about earth?"},
        ],
    })
}

fn with(mut body: Value, more: Value) -> Value {
    for (key, value) in more.as_object().expect("an object") {
        body[key] = value.clone();
    }
    body
}
