//! Scripted conversations, in every dialect.

use llm_sim::{Script, SimOptions, SimReply};
use serde_json::{Value, json};

use super::{CURRENT, TURBO};
use crate::common::{chunks, json, post, start_with};

const EOS: &str = "meta-llama/Meta-Llama-3.1-8B-Instruct-Turbo";
const SCRIPT: &str = r#"[
    {"when": "weather", "turns": [
        {"reasoning": "Two cities.", "text": "Let me look.", "order": "ORDER", "calls": [
            {"name": "look", "arguments": {"city": "Paris"}, "id": "functions.look:0"},
            {"name": "look", "arguments": {"city": "Rome"}}]},
        {"text": "Mild."}]}]"#;

async fn ask(model: &str, order: &str, messages: Value) -> (Value, Vec<Value>) {
    let script: Script = SCRIPT.replace("ORDER", order).parse().unwrap();
    let options = SimOptions::default().with_reply(SimReply::Script(script));
    let sim = start_with(options).await;
    let url = format!("{}/v1/chat/completions", sim.together_url());
    let mut body = json!({"model": model, "messages": messages});
    let (status, plain) = json(post(url.clone(), &body)).await;
    assert_eq!(status, 200, "{plain}");
    body["stream"] = true.into();
    (plain, chunks(post(url, &body)).await)
}

/// The arguments of each call, joined, and the order in which pieces of calls arrive.
fn calls(chunks: &[Value]) -> (Vec<String>, Vec<u64>) {
    let mut arguments = vec![String::new(); 2];
    let mut order = Vec::new();
    for chunk in chunks {
        let calls = &chunk["choices"][0]["delta"]["tool_calls"];
        for call in calls.as_array().into_iter().flatten() {
            let index = call["index"].as_u64().unwrap();
            let piece = call["function"]["arguments"].as_str().unwrap_or_default();
            arguments[usize::try_from(index).unwrap()].push_str(piece);
            order.push(index);
        }
    }
    (arguments, order)
}

#[tokio::test]
async fn calls_come_in_the_order_of_the_script() {
    let user = json!([{"role": "user", "content": "weather?"}]);
    for (model, order, expected) in [
        (CURRENT, "sequential", vec![0, 0, 0, 1, 1, 1]),
        (CURRENT, "interleaved", vec![0, 1, 0, 1, 0, 1]),
        (CURRENT, "beside", vec![0, 0, 0, 1, 1, 1]),
        (TURBO, "sequential", vec![0, 0, 1, 1]),
        (TURBO, "interleaved", vec![0, 1, 0, 1]),
        (EOS, "beside", vec![0, 0, 1, 1]),
    ] {
        let (plain, chunks) = ask(model, order, user.clone()).await;
        let message = &plain["choices"][0]["message"];
        assert_eq!(message["content"], "Let me look.");
        assert_eq!(message["tool_calls"][0]["id"], "functions.look:0");
        assert_eq!(message["tool_calls"][1]["index"], 1);
        assert_eq!(plain["choices"][0]["finish_reason"], "tool_calls");
        let (arguments, found) = calls(&chunks);
        assert_eq!(
            arguments,
            [r#"{"city":"Paris"}"#, r#"{"city":"Rome"}"#],
            "{model} {order}"
        );
        assert_eq!(found, expected, "{model} {order}");
        let is_beside = |chunk: &&Value| {
            let delta = &chunk["choices"][0]["delta"];
            delta["content"]
                .as_str()
                .is_some_and(|text| !text.is_empty())
                && delta["tool_calls"].is_array()
        };
        assert_eq!(
            chunks.iter().any(|chunk| is_beside(&chunk)),
            order == "beside"
        );
    }
}

#[tokio::test]
async fn the_results_of_the_calls_select_the_next_turn() {
    let messages = json!([
        {"role": "user", "content": "weather?"},
        {"role": "assistant", "content": null, "tool_calls": [{"id": "a", "type": "function",
            "function": {"name": "look", "arguments": "{}"}}]},
        {"role": "tool", "tool_call_id": "a", "content": "18"}]);
    let (plain, _) = ask(CURRENT, "sequential", messages).await;
    assert_eq!(plain["choices"][0]["message"]["content"], "Mild.");
}

#[tokio::test]
async fn the_engine_of_2024_tells_a_stop_sequence_from_its_own_end() {
    let sim = start_with(SimOptions::default()).await;
    let url = format!("{}/v1/chat/completions", sim.together_url());
    for (stop, reason) in [("nowhere", "eos"), ("simulated", "stop")] {
        let body = json!({"model": EOS, "stop": [stop],
            "messages": [{"role": "user", "content": "Hi"}]});
        let (_, plain) = json(post(url.clone(), &body)).await;
        assert_eq!(plain["choices"][0]["finish_reason"], reason);
    }
}
