//! Errors and metadata show no secret of a deployment, wherever Together repeats it.

use std::time::Duration;

use llm_provider::{Error, Provider, Result};
use llm_types::embeddings::EmbeddingRequest;
use llm_types::rerank::RerankRequest;
use provider_together::Together;
use serde_json::{Value, json};

use crate::canaries::{
    CANARIES, assert_clean, assert_metadata_clean, planted, settings, spellings,
};
use crate::support::{TURBO, call, chunks, completion_chunks, question, upstream};

/// An account whose upstream answers everything with this.
async fn account(status: &str, headers: &str, body: &str) -> Together {
    let head = format!("HTTP/1.1 {status}\r\n{headers}connection: close\r\n\r\n");
    let answer = [head, body.to_owned()].concat().into_bytes();
    let base = upstream(move |_| (Duration::ZERO, answer.clone())).await;
    Together::new(settings(&base)).unwrap()
}

fn json_type() -> &'static str {
    "content-type: application/json\r\n"
}

/// What each kind of call fails with.
async fn failures(together: &Together) -> Vec<Error> {
    fn failed<T>(answer: Result<T>) -> Error {
        answer.map(drop).unwrap_err()
    }
    let completion = json!({ "model": TURBO, "prompt": "Hi" });
    let embedding = json!({ "model": TURBO, "input": "Hi" });
    let rerank = json!({ "model": TURBO, "query": "q", "documents": ["a"] });
    vec![
        failed(together.send(question(TURBO)).await),
        failed(chunks(together, question(TURBO)).await),
        failed(
            together
                .send(call::<llm_types::completions::CompletionRequest>(
                    &completion,
                ))
                .await,
        ),
        failed(completion_chunks(together, &completion).await),
        failed(together.send(call::<EmbeddingRequest>(&embedding)).await),
        failed(together.send(call::<RerankRequest>(&rerank)).await),
        failed(together.models().await),
    ]
}

fn error() -> Value {
    json!({ "id": "a", "error": { "message": "No.", "type": "invalid_request_error", "param": "n",
            "code": null, "error_type": "dynamic_token_limited" }, "error_type": "e" })
}

#[tokio::test]
async fn no_secret_comes_back_in_any_error_answer() {
    for canary in CANARIES {
        for document in planted(&error(), canary) {
            for body in spellings(&document) {
                for status in ["403 Forbidden", "429 Too Many Requests"] {
                    let together = account(status, json_type(), &body).await;
                    for error in failures(&together).await {
                        assert_clean(&error, &format!("{status} with {body}"));
                    }
                }
            }
        }
        for status in ["403 Forbidden", "307 Temporary Redirect", "200 OK"] {
            let headers = format!(
                "content-type: text/{canary}\r\nlocation: https://{canary}/\r\n\
                 x-request-id: {canary}\r\nretry-after: {canary}\r\n"
            );
            let together = account(status, &headers, &format!("<p>{canary}</p>")).await;
            for error in failures(&together).await {
                assert_clean(&error, &format!("a page with {status}"));
            }
        }
    }
}

#[tokio::test]
async fn no_secret_comes_back_in_an_error_in_mid_stream() {
    let piece =
        json!({ "choices": [{ "index": 0, "delta": { "content": "Hel" }, "text": "Hel" }] });
    for canary in CANARIES {
        for document in planted(&error(), canary) {
            for data in spellings(&document) {
                for before in [String::new(), format!("data: {piece}\n\n")] {
                    let body = format!("{before}data: {data}\n\n");
                    let headers = "content-type: text/event-stream\r\n";
                    let together = account("200 OK", headers, &body).await;
                    for error in failures(&together).await {
                        assert_clean(&error, &body);
                    }
                }
            }
        }
    }
}

#[tokio::test]
async fn no_secret_comes_back_in_the_metadata_of_an_answer() {
    for canary in CANARIES {
        let answer = json!({ "id": canary, "model": canary, "object": "chat.completion",
            "choices": [{ "index": 0, "finish_reason": "stop",
                          "message": { "role": "assistant", "content": "Hi" } }] });
        for headers in [
            json_type().to_owned(),
            format!("{}x-request-id: {canary}\r\n", json_type()),
        ] {
            let together = account("200 OK", &headers, &answer.to_string()).await;
            let reply = together.send(question(TURBO)).await.unwrap();
            assert_metadata_clean(&reply.metadata, &headers);
        }
    }
}
