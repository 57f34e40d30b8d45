//! Converts a request of the Responses API and prints the events of its reply.
//!
//! `cargo run -p llm-adapters --example responses`
#![allow(clippy::print_stdout, reason = "an example")]

use std::error::Error;

use llm_adapters::responses::ResponsesAdapter;
use llm_types::responses::ResponsesRequest;
use llm_types::{StreamItem, parse};

fn main() -> Result<(), Box<dyn Error>> {
    let request: ResponsesRequest = parse(REQUEST)?;
    let exchange = ResponsesAdapter::new().convert(request)?;
    println!("ignored: {}", exchange.ignored);
    println!("{}\n", serde_json::to_string(&exchange.chat)?);

    // The data of the upstream's events, as a proxy would read them.
    let mut stream = exchange.replies.stream();
    for data in REPLY {
        match StreamItem::parse(data.as_bytes())? {
            StreamItem::Chunk(chunk) => {
                for event in stream.push(chunk) {
                    println!("{}", serde_json::to_string(&event)?);
                }
            }
            StreamItem::Done => break,
            _ => return Err("the upstream failed".into()),
        }
    }
    for event in stream.finish() {
        println!("{}", serde_json::to_string(&event)?);
    }
    Ok(())
}

const REQUEST: &[u8] = br#"{"model": "kimi", "stream": true, "store": false,
    "input": [{"role": "developer", "content": "You are an agent."}, {"role": "user", "content": "Fix it."}],
    "tools": [{"type": "custom", "name": "apply_patch"}, {"type": "web_search"}]}"#;

const REPLY: &[&str] = &[
    r#"{"id": "c-1", "choices": [{"index": 0, "delta": {"reasoning": "A patch."}}]}"#,
    r#"{"id": "c-1", "choices": [{"index": 0, "delta": {"tool_calls": [{"index": 0, "id": "call_1",
        "function": {"name": "apply_patch", "arguments": "{\"input\": \"*** Beg"}}]}}]}"#,
    r#"{"id": "c-1", "choices": [{"index": 0, "delta": {"tool_calls": [{"index": 0,
        "function": {"arguments": "in Patch\\n\"}"}}]}}]}"#,
    r#"{"id": "c-1", "choices": [{"index": 0, "delta": {}, "finish_reason": "tool_calls"}],
        "usage": {"prompt_tokens": 40, "completion_tokens": 12, "total_tokens": 52}}"#,
    "[DONE]",
];
