//! Streams that are cut, and models that only stream.

use std::time::Duration;

use llm_http::HttpClient;
use llm_provider::{ErrorKind, Provider};
use llm_sim::{Fault, SimOptions, SimReply};
use llm_types::ChatRequest;
use llm_types::completions::CompletionRequest;
use serde_json::json;

use crate::support::{
    THINKING, TURBO, answering, chat_call, chunks, completion_chunks, question, scripted, send,
    sent, sim, stream, text,
};

/// A stream as a simulated engine writes it, byte for byte.
async fn recorded(model: &str) -> Vec<u8> {
    let few = SimReply::tokens(["Grüß Gott ", "🌍"]);
    let (sim, _) = sim(SimOptions::default().with_reply(few)).await;
    let body = json!({ "model": model, "messages": [{ "role": "user", "content": "Grüß Gott 🌍" }],
                       "reasoning": { "enabled": false }, "stream": true });
    let request = http::Request::post(format!("{}/v1/chat/completions", sim.together_url()))
        .header("authorization", "Bearer good-key")
        .body(body.to_string())
        .unwrap();
    let limit = Duration::from_secs(10);
    let answer = llm_http::send(
        &HttpClient::shared(),
        request,
        llm_http::SendOptions::new(limit),
    )
    .await;
    let body = answer.unwrap().into_body().collect(1 << 20).await;
    body.unwrap().to_vec()
}

#[tokio::test]
async fn a_stream_cut_at_every_byte_is_whole_or_an_error() {
    for model in [TURBO, THINKING] {
        let whole = recorded(model).await;
        let together = scripted("200 OK", "text/event-stream", &whole).await;
        let expected = text(&stream(&together, model).await.unwrap());
        assert_eq!(expected, "Grüß Gott 🌍");
        let mut errors = 0;
        let pieces = whole.clone();
        let cut = move |cut: usize| pieces[..cut].to_vec();
        let together = answering("200 OK", "text/event-stream", cut).await;
        for cut in 0..whole.len() {
            match stream(&together, model).await {
                Ok(chunks) => assert_eq!(text(&chunks), expected, "{model} cut at {cut}"),
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::Transport, "{model} cut at {cut}");
                    errors += 1;
                }
            }
        }
        assert!(errors > whole.len() / 2, "{errors} of {}", whole.len());
    }
}

#[tokio::test]
async fn a_model_that_only_streams_answers_plain_calls() {
    let (sim, together) = sim(SimOptions::default()).await;
    for model in ["acme/stream-only", "acme/gpt-oss-stream-only"] {
        sim.together().forget_requests();
        let body = json!({ "model": model, "n": 2, "logprobs": true,
            "messages": [{ "role": "user", "content": "Hi" }] });
        let answer = send::<ChatRequest>(&together, &body).await.unwrap();
        assert_eq!(answer["object"], "chat.completion");
        assert_eq!(answer["choices"].as_array().unwrap().len(), 2);
        for choice in answer["choices"].as_array().unwrap() {
            assert_eq!(choice["finish_reason"], "stop");
            assert!(choice["logprobs"]["content"].as_array().unwrap().len() > 1);
        }
        assert!(answer["usage"]["total_tokens"].as_u64().unwrap() > 0);
        let chunks = chunks(
            &together,
            chat_call(&json!({ "model": model,
            "messages": [{ "role": "user", "content": "Hi" }] })),
        )
        .await
        .unwrap();
        assert_eq!(answer["choices"][0]["message"]["content"], text(&chunks));
        // Refused once, then known.
        assert_eq!(sim.together().requests().len(), 3);
        together.send(question(model)).await.unwrap();
        assert_eq!(sim.together().requests().len(), 4);
        assert_eq!(sent(&sim)["stream"], true);
    }
}

#[tokio::test]
async fn a_model_that_only_streams_completes_too() {
    let (_sim, together) = sim(SimOptions::default()).await;
    let body = json!({ "model": "acme/stream-only", "prompt": "Hi", "logprobs": 1 });
    let answer = send::<CompletionRequest>(&together, &body).await.unwrap();
    let chunks = completion_chunks(&together, &body).await.unwrap();
    let choices = chunks.iter().flat_map(|chunk| &chunk.choices);
    let said: String = choices.map(|choice| choice.text.as_str()).collect();
    let choice = &answer["choices"][0];
    assert_eq!(choice["text"], said);
    assert_eq!(choice["finish_reason"], "stop");
    let tokens = choice["logprobs"]["tokens"].as_array().unwrap();
    let tokens: String = tokens.iter().map(|token| token.as_str().unwrap()).collect();
    assert_eq!(tokens, said);
    assert!(answer["usage"]["total_tokens"].as_u64().unwrap() > 0);
}

#[tokio::test]
async fn a_plain_call_fails_if_its_stream_breaks() {
    let (sim, together) = sim(SimOptions::default()).await;
    let model = "acme/stream-only";
    together.send(question(model)).await.unwrap();
    for (fault, kind) in [
        (Fault::EndAfter(700), ErrorKind::Transport),
        (Fault::ErrorAfter(2), ErrorKind::UpstreamFailed),
    ] {
        sim.together().inject(llm_sim::FaultRule::new(fault));
        let error = together.send(question(model)).await.unwrap_err();
        assert_eq!(error.kind(), kind);
        assert_eq!(error.model(), Some(model));
        sim.together().clear_faults();
    }
}
