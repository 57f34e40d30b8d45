//! Chats, plain and streamed in every dialect.

use serde_json::{Value, json};

use super::{CURRENT, TURBO, chat, with};
use crate::common::{chunks, json, post, start};

fn content(chunks: &[Value]) -> String {
    let content = |chunk: &Value| {
        chunk
            .pointer("/choices/0/delta/content")
            .and_then(Value::as_str)
            .map(str::to_owned)
    };
    chunks.iter().filter_map(content).collect()
}

#[tokio::test]
async fn a_plain_answer_has_the_recorded_shape() {
    let sim = start().await;
    let url = format!("{}/v1/chat/completions", sim.together_url());
    let (status, body) = json(post(url.clone(), &chat(CURRENT, false))).await;
    assert_eq!(status, 200);
    assert_eq!(body["object"], "chat.completion");
    assert_eq!(body["model"], CURRENT);
    assert_eq!(body["prompt"], json!([]));
    assert_eq!(body["metadata"]["weight_version"], "default");
    let choice = &body["choices"][0];
    let said = choice["message"]["content"].as_str().unwrap();
    assert!(
        said.starts_with("This is a simulated answer from openai/gpt-oss-120b."),
        "{said}"
    );
    assert!(said.contains("What do you know about earth?"), "{said}");
    assert!(!said.is_ascii(), "{said}");
    assert_eq!(choice["message"]["tool_calls"], json!([]));
    assert!(choice["message"]["reasoning"].is_string());
    assert_eq!(choice["seed"], Value::Null);
    assert_eq!(choice["finish_reason"], "stop");
    let usage = &body["usage"];
    assert!(usage["reasoning_tokens"].as_u64().unwrap() > 0);
    let sum =
        usage["prompt_tokens"].as_u64().unwrap() + usage["completion_tokens"].as_u64().unwrap();
    assert_eq!(usage["total_tokens"], sum);

    let (_, turbo) = json(post(url, &chat(TURBO, false))).await;
    assert!(turbo["choices"][0]["seed"].is_u64());
    assert_eq!(turbo["usage"]["cached_tokens"], 0);
    assert!(turbo["choices"][0]["message"].get("reasoning").is_none());
}

#[tokio::test]
async fn the_last_chunk_of_the_old_engine_has_everything() {
    let sim = start().await;
    let url = format!("{}/v1/chat/completions", sim.together_url());
    let (_, plain) = json(post(url.clone(), &chat(TURBO, false))).await;
    let chunks = chunks(post(url, &chat(TURBO, true))).await;

    assert_eq!(
        content(&chunks),
        plain["choices"][0]["message"]["content"].as_str().unwrap()
    );
    let (last, others) = chunks.split_last().unwrap();
    for chunk in others {
        let choice = &chunk["choices"][0];
        assert_eq!(choice["text"], choice["delta"]["content"]);
        assert_eq!(choice["delta"]["role"], "assistant");
        assert_eq!(choice["finish_reason"], Value::Null);
        assert_eq!(choice["seed"], Value::Null);
        assert_eq!(chunk["usage"], Value::Null);
        assert!(chunk.as_object().unwrap().contains_key("usage"));
        assert_eq!(chunk["id"], last["id"]);
    }
    assert_eq!(last["choices"][0]["finish_reason"], "stop");
    assert!(last["choices"][0]["seed"].is_u64());
    assert_eq!(last["usage"], plain["usage"]);
}

#[tokio::test]
async fn the_engine_of_2024_ends_with_eos_and_content() {
    let sim = start().await;
    let url = format!("{}/v1/chat/completions", sim.together_url());
    let model = "meta-llama/Meta-Llama-3.1-8B-Instruct-Turbo";
    let chunks = chunks(post(url, &chat(model, true))).await;
    let last = &chunks.last().unwrap()["choices"][0];
    assert_eq!(last["finish_reason"], "eos");
    assert!(!last["delta"]["content"].as_str().unwrap().is_empty());
}

#[tokio::test]
async fn the_new_engine_sends_role_reasoning_finish_and_usage_apart() {
    let sim = start().await;
    let url = format!("{}/v1/chat/completions", sim.together_url());
    let (_, plain) = json(post(url.clone(), &chat(CURRENT, false))).await;
    let chunks = chunks(post(url, &chat(CURRENT, true))).await;

    let message = &plain["choices"][0]["message"];
    assert_eq!(content(&chunks), message["content"].as_str().unwrap());
    let first = &chunks[0];
    assert!(!first.as_object().unwrap().contains_key("usage"));
    assert_eq!(first["choices"][0]["delta"]["role"], "assistant");
    assert_eq!(first["choices"][0]["delta"]["reasoning"], Value::Null);
    let reasoning: String = chunks
        .iter()
        .filter_map(|chunk| chunk.pointer("/choices/0/delta/reasoning")?.as_str())
        .collect();
    assert_eq!(reasoning, message["reasoning"].as_str().unwrap());

    let [.., finish, usage] = chunks.as_slice() else {
        panic!("too few chunks")
    };
    assert_eq!(finish["choices"][0]["finish_reason"], "stop");
    assert_eq!(finish["usage"], Value::Null);
    assert_eq!(usage["choices"], json!([]));
    assert_eq!(usage["usage"], plain["usage"]);
}

#[tokio::test]
async fn usage_of_qwen_has_details() {
    let sim = start().await;
    let url = format!("{}/v1/chat/completions", sim.together_url());
    let (_, body) = json(post(url, &chat("Qwen/Qwen3.8-Flash", false))).await;
    assert!(
        body["usage"]["completion_tokens_details"]["reasoning_tokens"]
            .as_u64()
            .unwrap()
            > 0
    );
    assert!(body["usage"]["prompt_tokens_details"]["cached_tokens"].is_u64());
}

#[tokio::test]
async fn limits_and_stops_are_honoured() {
    let sim = start().await;
    let url = format!("{}/v1/chat/completions", sim.together_url());
    let short = with(chat(TURBO, false), json!({"max_tokens": 3}));
    let (_, body) = json(post(url.clone(), &short)).await;
    assert_eq!(body["choices"][0]["finish_reason"], "length");
    assert_eq!(body["choices"][0]["message"]["content"], "This is a");
    assert_eq!(body["usage"]["completion_tokens"], 3);

    // Reasoning may use the whole limit.
    let (_, body) = json(post(
        url.clone(),
        &with(chat(CURRENT, false), json!({"max_tokens": 3})),
    ))
    .await;
    assert_eq!(body["choices"][0]["finish_reason"], "length");
    assert_eq!(body["choices"][0]["message"]["content"], "");
    assert_eq!(body["usage"]["reasoning_tokens"], 3);

    let stopped = with(chat(TURBO, false), json!({"stop": [" simulated"]}));
    let (_, body) = json(post(url, &stopped)).await;
    assert_eq!(body["choices"][0]["finish_reason"], "stop");
    assert_eq!(body["choices"][0]["message"]["content"], "This is a");
}

#[tokio::test]
async fn several_choices_differ_and_interleave() {
    let sim = start().await;
    let url = format!("{}/v1/chat/completions", sim.together_url());
    let (_, body) = json(post(
        url.clone(),
        &with(chat(TURBO, false), json!({"n": 3})),
    ))
    .await;
    assert_eq!(body["choices"].as_array().unwrap().len(), 3);
    let chunks = chunks(post(url, &with(chat(CURRENT, true), json!({"n": 2})))).await;
    let finished = |index| {
        let of = |chunk: &&Value| chunk["choices"][0]["index"] == index;
        chunks
            .iter()
            .filter(of)
            .filter(|chunk| chunk["choices"][0]["finish_reason"] == "stop")
            .count()
    };
    assert_eq!((finished(0), finished(1)), (1, 1));
    assert_eq!(
        chunks
            .iter()
            .filter(|chunk| chunk["usage"].is_object())
            .count(),
        1
    );
}

#[tokio::test]
async fn tools_are_called_when_demanded() {
    let sim = start().await;
    let url = format!("{}/v1/chat/completions", sim.together_url());
    let tools = json!([{"type": "function", "function": {"name": "get_weather", "parameters": {
        "type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"],
    }}}]);
    let ask = |model, stream, choice: Value| {
        with(
            chat(model, stream),
            json!({"tools": tools, "tool_choice": choice}),
        )
    };

    let named = json!({"type": "function", "function": {"name": "get_weather"}});
    let (_, body) = json(post(url.clone(), &ask(CURRENT, false, named))).await;
    let choice = &body["choices"][0];
    assert_eq!(choice["finish_reason"], "tool_calls");
    assert_eq!(choice["message"]["content"], "");
    let call = &choice["message"]["tool_calls"][0];
    assert_eq!(call["function"]["name"], "get_weather");
    assert_eq!(call["index"], 0);
    let arguments = call["function"]["arguments"].as_str().unwrap();
    assert_eq!(
        serde_json::from_str::<Value>(arguments).unwrap(),
        json!({"city": "simulated"})
    );

    // The new engine: continuations with nulls, then a finish chunk, then usage.
    let new = chunks(post(url.clone(), &ask(CURRENT, true, json!("required")))).await;
    let parts: Vec<_> = new
        .iter()
        .filter_map(|chunk| chunk.pointer("/choices/0/delta/tool_calls/0"))
        .collect();
    assert_eq!(parts[0]["function"]["name"], "get_weather");
    assert!(parts[0]["id"].is_string());
    assert_eq!(parts[1]["id"], Value::Null);
    assert_eq!(parts[1]["function"]["name"], Value::Null);
    let joined: String = parts
        .iter()
        .filter_map(|part| part["function"]["arguments"].as_str())
        .collect();
    assert_eq!(joined, arguments);

    // The old one: the finish reason twice, with the arguments and with the usage.
    let old = chunks(post(url.clone(), &ask(TURBO, true, json!("required")))).await;
    assert_eq!(old.len(), 4);
    let finishes: Vec<_> = old
        .iter()
        .map(|chunk| &chunk["choices"][0]["finish_reason"])
        .collect();
    assert_eq!(
        finishes,
        [
            &json!(null),
            &json!(null),
            &json!("tool_calls"),
            &json!("tool_calls")
        ]
    );
    assert_eq!(
        old[2]["choices"][0]["delta"]["tool_calls"][0]["function"]["arguments"],
        arguments
    );
    assert!(old[3]["usage"].is_object());

    // With `auto`, a tool is called only if the user's text names it.
    let (_, body) = json(post(url.clone(), &ask(CURRENT, false, json!("auto")))).await;
    assert_eq!(body["choices"][0]["finish_reason"], "stop");
    let unknown = json!({"type": "function", "function": {"name": "nobody"}});
    let (status, body) = json(post(url, &ask(CURRENT, false, unknown))).await;
    assert_eq!(
        (status, body["error"]["param"].as_str()),
        (400, Some("tool_choice"))
    );
}

#[tokio::test]
async fn json_modes_answer_in_json() {
    let sim = start().await;
    let url = format!("{}/v1/chat/completions", sim.together_url());
    let schema = json!({"type": "object", "properties": {"is_fruit": {"type": "boolean"}}});
    for format in [
        json!({"type": "json_object"}),
        json!({"type": "json_schema", "schema": schema}),
        json!({"type": "json_schema", "json_schema": {"name": "fruit", "schema": schema}}),
    ] {
        let body = with(chat(TURBO, false), json!({"response_format": format}));
        let (_, body) = json(post(url.clone(), &body)).await;
        let text = body["choices"][0]["message"]["content"].as_str().unwrap();
        let value: Value = serde_json::from_str(text).unwrap();
        assert!(
            value["is_fruit"] == true || value["simulated"] == true,
            "{value}"
        );
    }
}

#[tokio::test]
async fn logprobs_come_in_every_shape() {
    let sim = start().await;
    let url = format!("{}/v1/chat/completions", sim.together_url());
    let ask = |model, stream| with(chat(model, stream), json!({"logprobs": 2}));

    let (_, old) = json(post(url.clone(), &ask(TURBO, false))).await;
    let columns = &old["choices"][0]["logprobs"];
    assert_eq!(
        columns["tokens"].as_array().unwrap().len(),
        columns["token_logprobs"].as_array().unwrap().len()
    );
    let (_, new) = json(post(url.clone(), &ask(CURRENT, false))).await;
    let first = &new["choices"][0]["logprobs"]["content"][0];
    assert_eq!(first["top_logprobs"].as_array().unwrap().len(), 2);
    assert!(first["bytes"].is_array());

    let old = chunks(post(url.clone(), &ask(TURBO, true))).await;
    assert!(old[0]["choices"][0]["logprobs"].is_number());
    let new = chunks(post(url, &ask(CURRENT, true))).await;
    let columns = new.iter().map(|chunk| &chunk["choices"][0]["logprobs"]);
    let columns: Vec<_> = columns.filter(|columns| columns.is_object()).collect();
    assert_eq!(columns[0]["token_ids"], json!([null]));
    assert_eq!(
        columns[0]["top_logprobs"][0][0]["token"],
        columns[0]["tokens"][0]
    );
}

#[tokio::test]
async fn content_parts_and_tool_results_are_read() {
    let sim = start().await;
    let url = format!("{}/v1/chat/completions", sim.together_url());
    let messages = json!([
        {"role": "user", "content": [
            {"type": "text", "text": "What fruit is it?"},
            {"type": "image_url", "image_url": {"url": "https://example.com/image.jpg"}},
        ]},
        {"role": "assistant", "content": null, "tool_calls": [
            {"id": "c", "type": "function", "function": {"name": "look", "arguments": "{}"}},
        ]},
        {"role": "tool", "tool_call_id": "c", "content": "a banana"},
    ]);
    let (status, body) = json(post(
        url,
        &with(chat(TURBO, false), json!({"messages": messages})),
    ))
    .await;
    assert_eq!(status, 200);
    assert!(
        body["choices"][0]["message"]["content"]
            .as_str()
            .unwrap()
            .contains("a banana")
    );
}
