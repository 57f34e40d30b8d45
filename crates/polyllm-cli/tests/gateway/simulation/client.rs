//! A client of a gateway.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use llm_gateway::{Gateway, ResponseBody};
use serde_json::{Value, json};
use tokio::time::{sleep, timeout};
use tower::ServiceExt;

use super::log::Log;
use super::plan::Request;

/// What a client saw of its request.
#[derive(Clone, Debug)]
pub(super) struct Outcome {
    pub(super) request: Request,
    pub(super) end: End,
    pub(super) at: u64,
}

#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum End {
    /// The whole reply.
    Complete,
    /// An error instead of a reply: the status and the code.
    Refused(u16, String),
    /// A stream that ended with an error event.
    Broken,
    /// A stream that ended with neither an error nor `[DONE]`.
    Unfinished,
    /// The client left.
    Left,
}

/// The secret of a key.
pub(super) fn secret(key: usize) -> String {
    format!("sk-simulated-key-number-{key}")
}

/// Sends a request and reads its reply.
pub(super) async fn run(gateway: Gateway, process: usize, request: Request, log: Log) -> Outcome {
    let Request { number, key, .. } = request;
    log.write(format_args!("client: request {number} with key {key}"));
    let work = exchange(gateway, process, &request);
    let end = match request.patience {
        None => work.await,
        Some(patience) => timeout(Duration::from_millis(patience), work)
            .await
            .unwrap_or(End::Left),
    };
    log.write(format_args!("client: request {number}: {end:?}"));
    let at = log.now();
    Outcome { request, end, at }
}

async fn exchange(gateway: Gateway, process: usize, request: &Request) -> End {
    let Request { number, key, .. } = request;
    let content = format!("request {number} key {key} gateway {process} ");
    let mut body = json!({
        "model": request.model,
        "messages": [{ "role": "user", "content": content }],
        "max_tokens": request.max_tokens,
        "stream": request.is_streamed,
    });
    if request.is_streamed && request.wants_usage {
        body["stream_options"] = json!({ "include_usage": true });
    }
    let call = http::Request::post("/v1/chat/completions")
        .header("authorization", format!("Bearer {}", secret(*key)))
        .header("content-type", "application/json")
        .header("x-litellm-session-id", number.to_string())
        .body(Full::new(Bytes::from(body.to_string())))
        .unwrap();
    let response = gateway.into_service().oneshot(call).await.unwrap();
    let status = response.status().as_u16();
    let text = read(response.into_body(), request.pause).await;
    if status != 200 {
        let error: Value = serde_json::from_str(&text).unwrap();
        let code = error["error"]["code"].as_str().unwrap_or_default();
        return End::Refused(status, code.to_owned());
    }
    if !request.is_streamed || text.ends_with("data: [DONE]\n\n") {
        return End::Complete;
    }
    match text.contains("data: {\"error\"") {
        true => End::Broken,
        false => End::Unfinished,
    }
}

async fn read(mut body: ResponseBody, pause: u64) -> String {
    let mut text = String::new();
    while let Some(frame) = body.frame().await {
        let data = frame.unwrap().into_data().unwrap();
        text.push_str(std::str::from_utf8(&data).unwrap());
        sleep(Duration::from_millis(pause)).await;
    }
    text
}
