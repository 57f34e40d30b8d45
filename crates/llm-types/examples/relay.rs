//! Handles a request and its stream as a gateway does, without re-serializing what it does not
//! change: `cargo run -p llm-types --example relay`.
#![allow(clippy::print_stdout, reason = "an example prints")]

use std::error::Error;

use llm_types::{
    Accumulator, ChatRequest, ChunkSummary, ErrorResponse, RawObject, StreamItem, parse,
};
use serde_json::json;

fn main() -> Result<(), Box<dyn Error>> {
    // A client's body: the model is an alias, and one member is known only to the upstream.
    let body = br#"{ "model": "fast", "stream": true, "top_k": 40,
        "messages": [{"role": "user", "content": "Good morning!"}] }"#;
    let object = RawObject::parse(body)?;
    println!(
        "asked for {:?}, stream {:?}",
        object.str("model"),
        object.bool("stream")
    );
    let upstream = object
        .edit()
        .set("model", &json!("meta-llama/Llama-3.3-70B-Instruct-Turbo"))
        .set_default("max_tokens", &json!(512))
        .finish();
    println!("sent on: {}\n", String::from_utf8_lossy(&upstream));

    // The response, event by event.
    let mut answer = Accumulator::default();
    for data in [
        r#"{"id":"c-1","created":1780000000,"model":"m","choices":[{"index":0,"delta":{"role":"assistant","content":"Good"},"finish_reason":null}]}"#,
        r#"{"id":"c-1","created":1780000000,"model":"m","choices":[{"index":0,"delta":{"content":" morning."},"finish_reason":"eos"}],"usage":{"prompt_tokens":3,"completion_tokens":3,"total_tokens":6}}"#,
        "[DONE]",
    ] {
        match StreamItem::parse(data.as_bytes())? {
            StreamItem::Chunk(chunk) => {
                let summary = ChunkSummary::parse(data.as_bytes())?;
                println!(
                    "+ {:?}, finish {:?}",
                    summary.content, summary.finish_reason
                );
                answer.push(chunk);
            }
            StreamItem::Error(error) => println!("failed: {}", error.error.message),
            _ => println!("done, whole: {}", answer.is_finished()),
        }
    }
    println!(
        "{}\n",
        serde_json::to_string_pretty(&answer.into_response())?
    );

    // A body that cannot be read: the error states where and what.
    let body =
        br#"{"model": "fast", "messages": [{"role": "user", "content": [{"type": "text"}]}]}"#;
    if let Err(error) = parse::<ChatRequest>(body) {
        let error =
            ErrorResponse::new(error.to_string(), "invalid_request_error").with_param(error.path());
        println!("{}", serde_json::to_string(&error)?);
    }
    Ok(())
}
