//! Text completions, embeddings, rerank and models on the shared OpenAI wire.

#![allow(clippy::panic, clippy::unwrap_used, reason = "helpers of tests")]

#[allow(dead_code, reason = "shared with other tests")]
mod support;

use llm_provider::endpoint::Embeddings;
use llm_provider::{
    ApiKey, BaseUrl, Call, Document, ErrorKind, Metadata, ReplyEvent, Result, Settings,
};
use llm_types::completions::{CompletionRequest, CompletionResponse};
use llm_types::embeddings::EmbeddingRequest;
use llm_types::rerank::RerankRequest;
use provider_openai::{Dialect, OpenAiClient};
use serde_json::{Value, json};
use support::{Script, Server};

#[derive(Debug)]
struct Plain;

impl Dialect for Plain {
    fn provider(&self) -> &'static str {
        "plain"
    }
}

async fn client(script: Script) -> (Server, OpenAiClient<Plain>) {
    let server = Server::start(script).await;
    let base = BaseUrl::parse(&server.base()).unwrap();
    let settings = Settings::new().with_max_retries(0);
    let client = OpenAiClient::new(Plain, &settings, base, ApiKey::new("key-secret")).unwrap();
    (server, client)
}

fn answer(body: &Value) -> Script {
    Script::json("200 OK", body.to_string())
}

fn prompt() -> Call {
    Call::of(&CompletionRequest::new("m", "a prompt"))
}

async fn complete(body: &Value) -> Result<Value> {
    let reply = client(answer(body)).await.1.send(prompt()).await?;
    Ok(serde_json::from_slice(reply.body.bytes()).unwrap())
}

async fn chunks(script: Script) -> Result<Vec<CompletionResponse>> {
    let mut stream = client(script).await.1.stream(prompt()).await?;
    let mut chunks = Vec::new();
    while let Some(event) = stream.next().await {
        if let ReplyEvent::Chunk(chunk) = event? {
            chunks.push(chunk.read().unwrap());
        }
    }
    Ok(chunks)
}

fn events(chunks: &[Value]) -> String {
    let events = chunks.iter().map(|chunk| format!("data: {chunk}\n\n"));
    events.collect::<String>() + "data: [DONE]\n\n"
}

/// Chunks as recorded from Together: `text` beside a `delta`, all else in the last.
fn recorded() -> String {
    let chunk = |choice: Value, usage: Value| {
        json!({ "id": "c1", "object": "completion.chunk", "created": 7, "model": "m",
                "choices": [choice], "usage": usage })
    };
    events(&[
        chunk(
            json!({ "index": 0, "text": "Grüß ", "logprobs": null, "finish_reason": null,
            "seed": null, "delta": { "token_id": 1, "content": "Grüß " } }),
            Value::Null,
        ),
        chunk(
            json!({ "index": 0, "text": "", "delta": { "content": "Gott 🌍" } }),
            Value::Null,
        ),
        chunk(
            json!({ "index": 0, "text": "", "finish_reason": "eos", "seed": 14892478913984512000_u64,
                    "delta": { "token_id": 128009, "content": "" } }),
            json!({ "prompt_tokens": 4, "completion_tokens": 3, "total_tokens": 7 }),
        ),
    ])
}

/// Chunks as in Together's schema: one token, and the finish reason beside the choices.
fn specified() -> String {
    let chunk = |text: &str, special: bool, reason: Value, usage: Value, choices: Value| {
        json!({ "id": "c1", "object": "completion.chunk", "created": 7,
                "token": { "id": 1, "text": text, "logprob": -0.1, "special": special },
                "choices": choices, "usage": usage, "seed": 42, "finish_reason": reason })
    };
    events(&[
        chunk(
            "Grüß ",
            false,
            Value::Null,
            Value::Null,
            json!([{ "index": 0, "text": "Grüß " }]),
        ),
        chunk("Gott 🌍", false, Value::Null, Value::Null, json!([])),
        chunk(
            "<|eot_id|>",
            true,
            json!("eos"),
            json!({ "prompt_tokens": 4, "completion_tokens": 3, "total_tokens": 7 }),
            json!([]),
        ),
    ])
}

#[tokio::test]
async fn both_shapes_of_completion_chunks_end_alike_at_every_chunking() {
    for body in [recorded(), specified()] {
        for size in [1, 2, 7, 64, 0] {
            let chunks = chunks(Script::sse(body.clone()).pieces(size))
                .await
                .unwrap();
            let (last, rest) = chunks.split_last().unwrap();
            assert!(last.choices.is_empty());
            assert_eq!(last.usage.value().unwrap().total(), 7);
            let mut text = String::new();
            let mut reasons = Vec::new();
            for chunk in rest {
                assert!(!chunk.usage.is_value());
                assert_eq!(chunk.object, "text_completion");
                let [choice] = chunk.choices.as_slice() else {
                    panic!("{chunk:?}")
                };
                text += &choice.text;
                assert!(!choice.extra.contains_key("delta"));
                if let Some(reason) = choice.finish_reason.value() {
                    reasons.push(reason.to_string());
                    assert_eq!(choice.extra["native_finish_reason"], "eos");
                }
            }
            assert_eq!(text, "Grüß Gott 🌍");
            assert_eq!(reasons, ["stop"]);
        }
    }
}

#[tokio::test]
async fn a_completion_stream_cut_at_any_byte_is_whole_or_an_error() {
    for body in [recorded(), specified()] {
        for cut in 0..body.len() {
            match chunks(Script::sse(&body.as_bytes()[..cut])).await {
                Ok(chunks) => {
                    let choices = chunks.iter().flat_map(|chunk| &chunk.choices);
                    let text: String = choices.map(|choice| choice.text.as_str()).collect();
                    assert_eq!(text, "Grüß Gott 🌍", "cut after {cut} bytes");
                }
                Err(error) => assert_eq!(error.kind(), ErrorKind::Transport, "{cut}"),
            }
        }
    }
}

#[tokio::test]
async fn a_completion_chunk_in_openais_shape_keeps_its_bytes() {
    let odd = r#"{"object":"text_completion","choices":[{"index":0,"text":"x"}],"n":1.50}"#;
    let script = Script::sse(format!("data: {odd}\n\n{}", recorded()));
    let mut stream = client(script).await.1.stream(prompt()).await.unwrap();
    let Some(Ok(ReplyEvent::Chunk(chunk))) = stream.next().await else {
        panic!()
    };
    assert_eq!(&chunk.bytes()[..], odd.as_bytes());
}

#[tokio::test]
async fn a_completion_stream_that_fails_ends_with_an_error() {
    let error = json!({ "error": { "message": "No.", "code": "context_length_exceeded" } });
    for (body, kind) in [
        (events(&[error]), ErrorKind::ContextWindow),
        (
            "data: {\"choices\":\n\n".to_owned(),
            ErrorKind::UnexpectedBody,
        ),
        ("data: 7\n\n".to_owned(), ErrorKind::UnexpectedBody),
        ("data: [DONE]\n\n".to_owned(), ErrorKind::Transport),
        (String::new(), ErrorKind::Transport),
    ] {
        let error = chunks(Script::sse(body)).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
        assert_eq!(error.model(), Some("m"));
    }
}

#[tokio::test]
async fn a_whole_completion_has_openais_shape() {
    let native = json!({ "id": "c1", "object": "text.completion", "created": 7, "model": "m",
        "prompt": [], "choices": [
            { "text": " Paris", "finish_reason": "eos", "seed": 18446744073709551615_u64,
              "logprobs": { "tokens": [" Paris"], "token_logprobs": [-0.5],
                            "top_logprobs": [[{ "token": " Paris", "logprob": -0.5 }]] } },
            { "text": " Rome", "finish_reason": "length", "logprobs": -0.5 },
        ] });
    insta::assert_json_snapshot!(complete(&native).await.unwrap());

    let own = r#"{"object":"text_completion","choices":[{"text":"x","index":0,"finish_reason":"stop"}],"n":1.50}"#;
    let (_server, client) = client(Script::json("200 OK", own)).await;
    let reply = client.send(prompt()).await.unwrap();
    assert_eq!(reply.body.bytes(), own.as_bytes());

    for body in [json!({}), json!([]), json!({ "object": "text_completion" })] {
        let error = complete(&body).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::UnexpectedBody, "{body}");
    }
}

#[tokio::test]
async fn an_error_with_the_status_of_a_success_is_the_upstreams_error() {
    let body = json!({ "error": { "message": "Too long.", "type": "invalid_request_error",
        "param": "prompt", "code": "context_length_exceeded" } });
    let error = complete(&body).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ContextWindow);
    assert_eq!(error.message(), "Too long.");
    assert_eq!(error.code(), Some("context_length_exceeded"));
    assert_eq!(error.param(), Some("prompt"));
    assert_eq!(error.body().unwrap(), body.to_string().as_bytes());
}

#[tokio::test]
async fn a_stream_keeps_the_clients_stream_options() {
    let usage = json!({ "include_usage": true });
    let others = json!({ "include_obfuscation": false, "include_usage": false });
    let both = json!({ "include_obfuscation": false, "include_usage": true });
    for (options, expected) in [(json!(null), usage), (others, both)] {
        let (server, client) = client(Script::sse("")).await;
        let mut call = prompt();
        call.body.set("stream_options", options);
        client.stream(call).await.unwrap();
        let request = server.requests().remove(0);
        let (_, body) = request.split_once("\r\n\r\n").unwrap();
        let body: Value = serde_json::from_str(body).unwrap();
        assert_eq!(body["stream_options"], expected);
    }
}

async fn embed(request: Value, body: &str) -> Result<(String, Metadata)> {
    let call = Call::new(&Embeddings, Document::from_bytes(request.to_string()));
    let (_server, client) = client(Script::json("200 OK", body)).await;
    let reply = client.send(call).await?;
    let body = String::from_utf8(reply.body.bytes().to_vec()).unwrap();
    Ok((body, reply.metadata))
}

#[tokio::test]
async fn embeddings_keep_their_digits_and_get_a_usage() {
    let vectors = r#"{"object":"list","data":[{"index":0,"embedding":[1.50, -2e-3]}],"model":"m""#;
    let request = json!({ "model": "m", "input": ["Grüß Gott", "🌍"] });
    let whole = format!("{vectors},\"usage\":{{\"prompt_tokens\":9,\"total_tokens\":9}}}}");
    let (body, metadata) = embed(request.clone(), &whole).await.unwrap();
    assert_eq!(body, whole);
    assert!(metadata.extra.is_empty());

    // 9 and 1 characters are 3 and 1 tokens.
    let (body, metadata) = embed(request, &format!("{vectors}}}")).await.unwrap();
    assert!(body.starts_with(vectors), "{body}");
    let usage = &serde_json::from_str::<Value>(&body).unwrap()["usage"];
    let expected = json!({ "prompt_tokens": 4, "total_tokens": 4, "estimated": true });
    assert_eq!(usage, &expected);
    assert_eq!(metadata.extra["usage_estimated"], true);

    // Some engines send no total.
    let request = json!({ "model": "m", "input": "x" });
    let (body, _) = embed(
        request,
        &format!("{vectors},\"usage\":{{\"prompt_tokens\":9}}}}"),
    )
    .await
    .unwrap();
    let usage = &serde_json::from_str::<Value>(&body).unwrap()["usage"];
    assert_eq!(usage, &json!({ "prompt_tokens": 9, "total_tokens": 9 }));

    // Token ids need no estimate.
    let request = json!({ "model": "m", "input": [[1, 2], [3]] });
    let (body, _) = embed(request, &format!("{vectors},\"usage\":null}}"))
        .await
        .unwrap();
    let usage = &serde_json::from_str::<Value>(&body).unwrap()["usage"];
    assert_eq!(usage, &json!({ "prompt_tokens": 3, "total_tokens": 3 }));
}

#[tokio::test]
async fn embeddings_have_the_requested_encoding() {
    let floats = r#"{"data":[{"index":0,"embedding":[1.0,-0.5]}],"usage":{"prompt_tokens":1}}"#;
    let base64 = r#"{"data":[{"index":0,"embedding":"AACAPwAAAL8="}],"usage":{}}"#;
    for body in [floats, base64] {
        for (format, expected) in [
            (json!("base64"), json!("AACAPwAAAL8=")),
            (json!("float"), json!([1.0, -0.5])),
            (Value::Null, json!([1.0, -0.5])),
            // A format of the upstream.
            (
                json!("int8"),
                serde_json::from_str::<Value>(body).unwrap()["data"][0]["embedding"].clone(),
            ),
        ] {
            let request = json!({ "model": "m", "input": "x", "encoding_format": format });
            let (body, _) = embed(request, body).await.unwrap();
            let body: Value = serde_json::from_str(&body).unwrap();
            assert_eq!(body["data"][0]["embedding"], expected);
        }
    }
    for body in [
        "{}",
        "[]",
        r#"{"data":[{}]}"#,
        r#"{"data":[{"embedding":"?"}]}"#,
    ] {
        let request = json!({ "model": "m", "input": "x" });
        let error = embed(request, body).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::UnexpectedBody, "{body}");
    }
}

async fn rerank(body: &Value) -> Result<Value> {
    let call = Call::of(&RerankRequest::new("m", "q", ["a", "b"]));
    let reply = client(answer(body)).await.1.send(call).await?;
    Ok(serde_json::from_slice(reply.body.bytes()).unwrap())
}

#[tokio::test]
async fn a_rerank_has_coheres_shape() {
    let together = json!({ "object": "rerank", "id": "r1", "model": "m", "results": [
        { "index": 1, "relevance_score": 0.98 },
        { "index": 0, "relevance_score": 0.25, "document": { "text": "{\"title\":\"Llama\"}" } },
    ], "usage": { "prompt_tokens": 15, "total_tokens": 15 } });
    insta::assert_json_snapshot!(rerank(&together).await.unwrap());

    let cohere =
        json!({ "id": "r1", "results": [], "meta": { "billed_units": { "search_units": 1.0 } } });
    assert_eq!(rerank(&cohere).await.unwrap(), cohere);

    let nameless = rerank(&json!({ "results": [] })).await.unwrap();
    assert!(nameless["id"].as_str().unwrap().starts_with("rerank-"));

    for result in [json!({ "index": 0 }), json!({ "relevance_score": 0.5 })] {
        let body = json!({ "id": "r1", "results": [result] });
        let error = rerank(&body).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::UnexpectedBody, "{body}");
    }
}

#[tokio::test]
async fn models_come_from_a_list_and_from_a_bare_array() {
    let bare = json!([
        { "id": "acme/one", "object": "model", "created": 0, "type": "chat",
          "organization": "Acme", "context_length": 8192,
          "config": { "chat_template": "{{ messages }}", "stop": ["</s>"] },
          "pricing": { "input": 0.2, "transcribe": { "price_per_minute": 0.0015 } } },
        { "id": "acme/two" },
    ]);
    for body in [bare.clone(), json!({ "object": "list", "data": bare })] {
        let (server, client) = client(answer(&body)).await;
        let list = client.models().await.unwrap();
        insta::assert_json_snapshot!("models", list);
        let request = server.requests().remove(0);
        assert!(
            request.starts_with("GET /v1/models HTTP/1.1\r\n"),
            "{request}"
        );
        assert!(request.contains("authorization: Bearer key-secret\r\n"));
    }
    let error = client(answer(&json!({})))
        .await
        .1
        .models()
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::UnexpectedBody);
    assert_eq!(error.provider(), Some("plain"));
}

#[tokio::test]
async fn errors_are_those_of_chats() {
    let body = json!({ "error": { "message": "No.", "code": "c" } }).to_string();
    let (server, client) = client(Script::json("402 Payment Required", body)).await;
    let embedding = EmbeddingRequest::new("m", "a prompt");
    let rerank = RerankRequest::new("m", "a prompt", ["a document"]);
    let errors = [
        client.send(prompt()).await.unwrap_err(),
        client.stream(prompt()).await.unwrap_err(),
        client.send(Call::of(&embedding)).await.unwrap_err(),
        client.send(Call::of(&rerank)).await.unwrap_err(),
        client.models().await.unwrap_err(),
    ];
    for error in errors {
        assert_eq!(error.kind(), ErrorKind::InsufficientCredit);
        assert_eq!(error.code(), Some("c"));
        assert_eq!(error.provider(), Some("plain"));
        let printed = format!("{error} {error:?}");
        assert!(
            !printed.contains("secret") && !printed.contains("a prompt"),
            "{printed}"
        );
    }
    let requests = server.requests();
    let lines = requests
        .iter()
        .map(|request| request.lines().next().unwrap());
    assert_eq!(
        lines.collect::<Vec<_>>(),
        [
            "POST /v1/completions HTTP/1.1",
            "POST /v1/completions HTTP/1.1",
            "POST /v1/embeddings HTTP/1.1",
            "POST /v1/rerank HTTP/1.1",
            "GET /v1/models HTTP/1.1",
        ]
    );
}
