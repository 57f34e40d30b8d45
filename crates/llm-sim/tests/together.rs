//! The simulated Together, over loopback.
#![allow(clippy::expect_used, clippy::unwrap_used, reason = "this is a test")]

mod common;

use common::{chunks, get, json, post, start, start_with};
use llm_sim::{Keys, Reply, SimOptions};
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
async fn the_old_engine_says_everything_in_its_last_chunk() {
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
async fn qwen_details_its_usage() {
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

    // Thinking may use up the whole limit.
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

    // With a free choice nothing is called, unless the user names it.
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
async fn errors_have_the_recorded_bodies() {
    let sim =
        start_with(SimOptions::default().with_keys(Keys::Only(vec![common::KEY.into()]))).await;
    let url = |path: &str| format!("{}/v1/{path}", sim.together_url());

    let request = common::client()
        .post(url("chat/completions"))
        .bearer_auth("other");
    let (status, body) = json(request.json(&chat(TURBO, false))).await;
    assert_eq!(
        (status, body["error"]["code"].as_str()),
        (401, Some("invalid_api_key"))
    );
    assert!(body["id"].is_string());
    let (status, body) = json(common::client().get(url("models"))).await;
    assert_eq!(
        (status, body),
        (401, json!({"error": {"message": "Unauthorized"}}))
    );

    let ask = |body: Value| json(post(url("chat/completions"), &body));
    let (status, body) = ask(chat("acme/no-such-model", false)).await;
    assert_eq!(
        (status, body["error"]["code"].as_str()),
        (404, Some("model_not_available"))
    );
    let (status, _) = ask(chat("gpt-4", false)).await;
    assert_eq!(status, 404);
    let (status, body) = ask(chat("acme/stream-only", false)).await;
    assert_eq!(
        (status, body["error"]["code"].as_str()),
        (400, Some("streaming_required"))
    );
    assert!(
        !chunks(post(
            url("chat/completions"),
            &chat("acme/stream-only", true)
        ))
        .await
        .is_empty()
    );

    let long = json!({"messages": [{"role": "user", "content": "word ".repeat(100)}]});
    let (status, body) = ask(with(chat("acme/tiny-context", false), long.clone())).await;
    assert_eq!(
        (status, body["error"]["param"].as_str()),
        (400, Some("max_tokens"))
    );
    let (status, body) = ask(with(chat("Qwen/tiny-context", false), long.clone())).await;
    assert_eq!(status, 400);
    assert!(
        body["error"]["message"]
            .as_str()
            .unwrap()
            .contains("maximum context length is 64")
    );
    let truncate = with(
        long,
        json!({"context_length_exceeded_behavior": "truncate"}),
    );
    assert_eq!(
        ask(with(chat("Qwen/tiny-context", false), truncate))
            .await
            .0,
        200
    );
}

#[tokio::test]
async fn wrong_bodies_are_refused_by_name() {
    let sim = start().await;
    let url = format!("{}/v1/chat/completions", sim.together_url());
    for (wrong, param) in [
        (json!({"messages": null}), "messages"),
        (json!({"messages": []}), "messages"),
        (json!({"messages": "hi"}), "messages"),
        (
            json!({"messages": [{"role": "developer", "content": "x"}]}),
            "messages",
        ),
        (
            json!({"messages": [{"role": "system", "content": [{"type": "text", "text": "x"}]}]}),
            "messages",
        ),
        (
            json!({"messages": [{"role": "user", "content": [{"type": "strange"}]}]}),
            "messages",
        ),
        (json!({"messages": [{"role": "user"}]}), "messages"),
        (json!({"model": 7}), "model"),
        (json!({"logprobs": true}), "logprobs"),
        (json!({"logprobs": 21}), "logprobs"),
        (json!({"stop": "x"}), "stop"),
        (json!({"max_tokens": "x"}), "max_tokens"),
        (json!({"max_tokens": 0}), "max_tokens"),
        (json!({"temperature": "hot"}), "temperature"),
        (json!({"top_p": 1.5}), "top_p"),
        (json!({"n": 129}), "n"),
        (json!({"stream": "yes"}), "stream"),
        (json!({"seed": "x"}), "seed"),
        (json!({"tools": [{"type": "function"}]}), "tools"),
        (json!({"tool_choice": "required"}), "tool_choice"),
        (
            json!({"response_format": {"type": "xml"}}),
            "response_format",
        ),
        (json!({"reasoning_effort": "huge"}), "reasoning_effort"),
    ] {
        let model = if param == "reasoning_effort" {
            CURRENT
        } else {
            TURBO
        };
        let (status, body) =
            json(post(url.clone(), &with(chat(model, false), wrong.clone()))).await;
        assert_eq!(
            (status, body["error"]["param"].as_str()),
            (400, Some(param)),
            "{wrong}"
        );
    }
    for body in ["", "[]", "{\"model\":", "\u{0}"] {
        let request = common::client()
            .post(url.clone())
            .bearer_auth(common::KEY)
            .body(body);
        let (status, body) = json(request).await;
        assert_eq!(
            (status, body["error"]["type"].as_str()),
            (400, Some("invalid_request_error"))
        );
    }
}

#[tokio::test]
async fn parts_and_tool_results_are_heard() {
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

#[tokio::test]
async fn completions_have_the_old_shapes() {
    let sim = start_with(SimOptions::default().with_reply(Reply::tokens([" Par", "is"]))).await;
    let url = format!("{}/v1/completions", sim.together_url());
    let ask = json!({"model": "Qwen/Qwen2-1.5B", "prompt": "The largest city in France is"});
    let (_, body) = json(post(url.clone(), &ask)).await;
    assert_eq!(body["object"], "text.completion");
    assert_eq!(body["choices"][0]["text"], " Paris");
    let chunks = chunks(post(
        url.clone(),
        &with(ask.clone(), json!({"stream": true})),
    ))
    .await;
    assert_eq!(chunks[0]["object"], "completion.chunk");
    assert_eq!(chunks[0]["choices"][0]["text"], " Par");
    assert_eq!(
        chunks.last().unwrap()["choices"][0]["finish_reason"],
        "stop"
    );
    assert!(chunks.last().unwrap()["usage"].is_object());
    let (status, _) = json(post(url, &with(ask, json!({"prompt": ["a", "b"]})))).await;
    assert_eq!(status, 400);
}

#[tokio::test]
async fn embeddings_are_unit_vectors_that_know_their_words() {
    let sim = start().await;
    let url = format!("{}/v1/embeddings", sim.together_url());
    let ask =
        |model: &str, input: Value| post(url.clone(), &json!({"model": model, "input": input}));
    let texts = json!(["the blue sky", "a blue sky", "tax forms"]);
    let (_, body) = json(ask("BAAI/bge-large-en-v1.5", texts)).await;
    assert!(body.get("usage").is_none());
    let vector = |at: usize| -> Vec<f64> {
        let items = body["data"][at]["embedding"].as_array().unwrap();
        items.iter().map(|item| item.as_f64().unwrap()).collect()
    };
    let dot = |one: &[f64], other: &[f64]| one.iter().zip(other).map(|(a, b)| a * b).sum::<f64>();
    assert_eq!(vector(0).len(), 1024);
    assert!((dot(&vector(0), &vector(0)) - 1.0).abs() < 1e-4);
    assert!(dot(&vector(0), &vector(1)) > dot(&vector(0), &vector(2)) + 0.3);

    let (_, body) = json(ask(
        "intfloat/multilingual-e5-large-instruct",
        json!("New York"),
    ))
    .await;
    assert_eq!(body["usage"]["prompt_tokens"], 2);
    for bad in [json!([]), json!([1, 2]), json!(null), json!({})] {
        assert_eq!(json(ask("BAAI/bge-large-en-v1.5", bad)).await.0, 400);
    }
}

#[tokio::test]
async fn rerank_sorts_by_shared_words() {
    let sim = start().await;
    let url = format!("{}/v1/rerank", sim.together_url());
    let ask = json!({
        "model": "Salesforce/Llama-Rank-V1",
        "query": "capital of France",
        "documents": [{"title": "x", "text": "bananas"}, {"text": "Paris is the capital of France"}],
        "top_n": 1,
        "return_documents": true,
    });
    let (_, body) = json(post(url.clone(), &ask)).await;
    assert_eq!(body["object"], "rerank");
    assert_eq!(body["results"].as_array().unwrap().len(), 1);
    assert_eq!(body["results"][0]["index"], 1);
    let text = body["results"][0]["document"]["text"].as_str().unwrap();
    assert_eq!(
        serde_json::from_str::<Value>(text).unwrap(),
        ask["documents"][1]
    );
    let (_, body) = json(post(
        url.clone(),
        &with(ask.clone(), json!({"return_documents": false})),
    ))
    .await;
    assert!(body["results"][0].get("document").is_none());
    let (status, _) = json(post(url, &with(ask, json!({"max_chunks_per_doc": 1})))).await;
    assert_eq!(status, 400);
}

#[tokio::test]
async fn models_are_a_bare_array() {
    let sim = start().await;
    let response = get(format!("{}/v1/models", sim.together_url()))
        .send()
        .await
        .unwrap();
    assert_eq!(
        response.headers()["content-type"],
        "application/json; charset=utf-8"
    );
    assert!(
        response.headers()["cf-ray"]
            .to_str()
            .unwrap()
            .ends_with("-SIM")
    );
    assert!(response.headers().contains_key("x-ratelimit-reset"));
    let models: Vec<Value> = response.json().await.unwrap();
    let price = |model: &Value| model["pricing"]["image_pixel"].is_object();
    assert!(models.iter().any(price));
    assert!(
        models
            .iter()
            .any(|model| model["config"]["chat_template"].is_string())
    );
    assert!(
        models
            .iter()
            .all(|model| model["id"].as_str().unwrap().contains('/'))
    );
}
