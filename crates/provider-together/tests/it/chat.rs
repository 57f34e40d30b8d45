//! Chats against the simulation: the requests on the wire, and the replies.

use llm_provider::endpoint::Chat;
use llm_provider::{Call, Document, ErrorKind, Provider, Registry, ReplyEvent, Settings};
use llm_sim::{Pace, Sim, SimOptions};
use llm_types::{ChatChunk, ChatResponse};
use provider_together::{NAME, register};
use serde_json::json;

use crate::support::{THINKING, TURBO, chat, chat_call, question, sim, stream, text, together};

#[tokio::test]
async fn both_engines_return_the_same_plain_and_streamed() {
    let (_sim, together) = sim(SimOptions::default()).await;
    for model in [TURBO, THINKING] {
        let (plain, metadata) = chat(&together, model).await.unwrap();
        assert_eq!(metadata.provider, NAME);
        assert_eq!(metadata.model, model);
        assert!(metadata.upstream_id.is_some());
        let said = plain.text().unwrap().into_owned();
        assert!(said.contains("Grüß Gott 🌍"), "{said}");

        let chunks = stream(&together, model).await.unwrap();
        assert_eq!(text(&chunks), said);
        let (last, rest) = chunks.split_last().unwrap();
        assert!(last.choices.is_empty());
        assert_eq!(
            last.usage.value().unwrap().total(),
            plain.usage.value().unwrap().total()
        );
        assert!(rest.iter().all(|chunk| !chunk.usage.is_value()));
        let finishes = rest.iter().flat_map(|chunk| &chunk.choices);
        assert_eq!(
            finishes
                .filter(|choice| choice.finish_reason.is_value())
                .count(),
            1
        );
    }
}

#[tokio::test]
async fn reasoning_has_both_names() {
    let (_sim, together) = sim(SimOptions::default()).await;
    let (plain, _) = chat(&together, THINKING).await.unwrap();
    let message = &plain.choices[0].message;
    assert!(message.reasoning.is_value());
    assert_eq!(message.reasoning, message.reasoning_content);
    let chunks = stream(&together, THINKING).await.unwrap();
    let deltas = chunks
        .iter()
        .flat_map(|chunk| &chunk.choices)
        .map(|choice| &choice.delta);
    let thought: Vec<_> = deltas.filter(|delta| delta.reasoning.is_value()).collect();
    assert!(!thought.is_empty());
    assert!(
        thought
            .iter()
            .all(|delta| delta.reasoning == delta.reasoning_content)
    );
}

#[tokio::test]
async fn the_text_does_not_depend_on_the_write_size() {
    let (_sim, whole) = sim(SimOptions::default()).await;
    for model in [TURBO, THINKING] {
        let expected = text(&stream(&whole, model).await.unwrap());
        for bytes in [1, 2, 3, 7, 1000] {
            let pace = Pace::default().with_bytes_per_write(bytes);
            let (_sim, cut) = sim(SimOptions::default().with_pace(pace)).await;
            assert_eq!(
                text(&stream(&cut, model).await.unwrap()),
                expected,
                "{bytes}"
            );
        }
    }
}

#[tokio::test]
async fn tool_calls_are_complete() {
    let (_sim, together) = sim(SimOptions::default()).await;
    for model in [TURBO, THINKING] {
        let body = json!({
            "model": model,
            "messages": [{ "role": "user", "content": "What is the weather in Paris?" }],
            "tools": [{ "type": "function", "function": { "name": "get_weather",
                "parameters": { "type": "object", "properties": { "city": { "type": "string" } } } } }],
            "tool_choice": "required",
        });
        let reply = together.send(chat_call(&body)).await.unwrap();
        let plain: ChatResponse = reply.read().unwrap();
        let expected = &plain.choices[0].message.calls()[0];
        let mut stream = together.stream(chat_call(&body)).await.unwrap();
        let mut arguments = String::new();
        while let Some(event) = stream.next().await {
            let Ok(ReplyEvent::Chunk(chunk)) = event else {
                panic!("{event:?}")
            };
            let chunk: ChatChunk = chunk.read().unwrap();
            for delta in chunk
                .choices
                .iter()
                .flat_map(|choice| choice.delta.tool_calls.value())
            {
                let pieces = delta.iter().filter_map(|call| call.function.value());
                arguments.extend(pieces.filter_map(|function| function.arguments.as_str()));
            }
        }
        let expected = serde_json::to_value(expected).unwrap();
        assert_eq!(expected["function"]["arguments"], arguments, "{model}");
    }
}

#[tokio::test]
async fn a_request_that_needs_no_change_keeps_its_bytes() {
    let (sim, together) = sim(SimOptions::default()).await;
    let body = format!(
        "{{ \"top_p\": 1.0, \"messages\": [ {{\"role\":\"user\",\"content\":[{{\"type\":\"text\",\"text\":\"\\u00fc\"}}]}} ],\n \
         \"stream\": false, \"model\": \"{TURBO}\", \"min_p\": 0.10 }}"
    );
    together
        .send(Call::new(&Chat, Document::from_bytes(body.clone())))
        .await
        .unwrap();
    let seen = sim.together().requests().pop().unwrap();
    assert_eq!(seen.path, "/v1/chat/completions");
    assert_eq!(String::from_utf8_lossy(&seen.body), body);
    let key = format!("Bearer {}", llm_sim::fingerprint("good-key"));
    assert_eq!(seen.header("authorization"), Some(key.as_str()));
}

#[tokio::test]
async fn parameters_with_other_names_are_translated() {
    let (sim, together) = sim(SimOptions::default()).await;
    let body = json!({
        "model": TURBO,
        "messages": [
            { "role": "developer", "content": "Be brief." },
            { "role": "system", "content": [{ "type": "text", "text": "a" }, { "type": "text", "text": "b" }] },
            { "role": "user", "content": [{ "type": "text", "text": "Hi" },
                { "type": "image_url", "image_url": { "url": "https://example.com/a.png" } }] },
            { "role": "assistant", "content": [{ "type": "text", "text": "Hello" }] },
            { "role": "user", "content": "Go on" },
        ],
        "max_completion_tokens": 12,
        "logprobs": true,
        "top_logprobs": 2,
        "stop": "END",
        "top_k": 20,
    });
    together.send(chat_call(&body)).await.unwrap();
    insta::assert_json_snapshot!(sim.together().requests().pop().unwrap().json());
    let mut stream = together.stream(chat_call(&body)).await.unwrap();
    while let Some(event) = stream.next().await {
        event.unwrap();
    }
    let sent = sim.together().requests().pop().unwrap().json();
    assert_eq!(sent["stream"], true);
    assert_eq!(sent["stream_options"], json!({ "include_usage": true }));
}

#[tokio::test]
async fn logprobs_false_is_not_sent() {
    let (sim, together) = sim(SimOptions::default()).await;
    let body = json!({ "model": TURBO, "messages": [{ "role": "user", "content": "Hi" }],
                       "logprobs": false });
    together.send(chat_call(&body)).await.unwrap();
    let sent = sim.together().requests().pop().unwrap().json();
    assert_eq!(sent.get("logprobs"), None);
}

#[tokio::test]
async fn an_image_outside_a_user_message_is_rejected_by_name() {
    let (sim, together) = sim(SimOptions::default()).await;
    let body = json!({ "model": TURBO, "messages": [
        { "role": "system", "content": [{ "type": "image_url", "image_url": { "url": "data:," } }] }] });
    let error = together.send(chat_call(&body)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert_eq!(error.param(), Some("messages[0].content"));
    let message =
        "Together takes images and sound in user messages only, not in those of the role system";
    assert_eq!(error.message(), message);
    assert_eq!(sim.together().request_count(), 0);
}

#[tokio::test]
async fn errors_have_their_kind() {
    let (sim, account) = sim(SimOptions::default()).await;
    let error = chat(&together(&sim, "invalid-secret"), TURBO)
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Auth);
    assert_eq!(error.code(), Some("invalid_api_key"));
    assert!(!format!("{error} {error:?}").contains("secret"));

    let error = chat(&account, "acme/no-such-model").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert_eq!(error.code(), Some("model_not_available"));
    assert_eq!(error.model(), Some("acme/no-such-model"));

    for (fault, kind) in [
        ("status=402", ErrorKind::InsufficientCredit),
        ("status=403", ErrorKind::ContextWindow),
        ("status=429", ErrorKind::RateLimited),
        ("status=500", ErrorKind::UpstreamFailed),
        ("status=503", ErrorKind::Overloaded),
        ("status=524", ErrorKind::Timeout),
    ] {
        let faults: llm_sim::Faults = fault.parse().unwrap();
        sim.together().inject(faults);
        let error = chat(&account, TURBO).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{fault}: {error}");
        let error = stream(&account, TURBO).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{fault}, streamed: {error}");
        sim.together().clear_faults();
    }
}

#[tokio::test]
async fn a_refusal_in_the_history_is_text() {
    let (sim, together) = sim(SimOptions::default()).await;
    let body = json!({ "model": TURBO, "messages": [
        { "role": "user", "content": "Hi" },
        { "role": "assistant", "content": [
            { "type": "refusal", "refusal": "I cannot help" }, { "type": "text", "text": " with it." }] },
        { "role": "user", "content": "Why?" }] });
    together.send(chat_call(&body)).await.unwrap();
    let sent = sim.together().requests().pop().unwrap().json();
    assert_eq!(sent["messages"][1]["content"], "I cannot help with it.");
}

#[tokio::test]
async fn a_stream_that_fails_or_is_cut_ends_with_an_error() {
    let (sim, together) = sim(SimOptions::default()).await;
    for (fault, kind) in [
        ("error-after=3", ErrorKind::UpstreamFailed),
        ("cut-after=700", ErrorKind::Transport),
        ("end-after=700", ErrorKind::Transport),
        ("garbage", ErrorKind::Transport),
    ] {
        let faults: llm_sim::Faults = fault.parse().unwrap();
        sim.together().inject(faults);
        let error = stream(&together, TURBO).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{fault}: {error}");
        assert_eq!(error.provider(), Some(NAME));
        sim.together().clear_faults();
    }
}

#[tokio::test]
async fn a_dropped_stream_closes_its_connection() {
    let options = SimOptions::default()
        .with_timing(llm_sim::Timing::default().with_token(std::time::Duration::from_secs(30)));
    let (sim, together) = sim(options).await;
    let mut stream = together.stream(question(TURBO)).await.unwrap();
    assert!(stream.next().await.unwrap().is_ok());
    assert_eq!(sim.together().in_flight(), 1);
    drop(stream);
    let limit = std::time::Duration::from_secs(1);
    tokio::time::timeout(limit, sim.together().idle())
        .await
        .unwrap();
}

#[tokio::test]
async fn the_registry_builds_it_and_a_base_may_end_in_v1() {
    let sim = Sim::start(SimOptions::default()).await.unwrap();
    let mut registry = Registry::new();
    register(&mut registry);
    let (provider, model) = registry.split("together_ai/openai/gpt-oss-20b").unwrap();
    let settings = json!({ "api_key": "k", "api_base": format!("{}/v1/", sim.together_url()) });
    let settings: Settings = serde_json::from_value(settings).unwrap();
    let together = registry.build(provider, settings).unwrap();
    together.send(question(model)).await.unwrap();
}
