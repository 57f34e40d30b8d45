//! Accounts, calls, and scripted servers.

use std::time::Duration;

use llm_provider::endpoint::Request;
use llm_provider::{ApiKey, Call, Document, Metadata, Provider, ReplyEvent, Result, Settings};
use llm_sim::{Sim, SimOptions};
use llm_types::completions::{CompletionRequest, CompletionResponse};
use llm_types::{ChatChunk, ChatRequest, ChatResponse, Message};
use provider_together::Together;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

pub(crate) const TURBO: &str = "meta-llama/Llama-3.3-70B-Instruct-Turbo";
pub(crate) const THINKING: &str = "openai/gpt-oss-20b";

pub(crate) async fn sim(options: SimOptions) -> (Sim, Together) {
    let sim = Sim::start(options).await.unwrap();
    let together = together(&sim, "good-key");
    (sim, together)
}

pub(crate) fn settings(base: &str) -> Settings {
    Settings::new()
        .with_api_key(ApiKey::new("good-key"))
        .with_api_base(base)
        .with_max_retries(0)
}

pub(crate) fn together(sim: &Sim, key: &str) -> Together {
    let settings = settings(sim.together_url()).with_api_key(ApiKey::new(key));
    Together::new(settings).unwrap()
}

pub(crate) fn call<R: Request>(body: &Value) -> Call {
    Call::new(R::ENDPOINT, Document::from_bytes(body.to_string()))
}

pub(crate) fn chat_call(body: &Value) -> Call {
    call::<ChatRequest>(body)
}

pub(crate) fn question(model: &str) -> Call {
    Call::of(&ChatRequest::new(
        model,
        vec![Message::user("Grüß Gott 🌍")],
    ))
}

pub(crate) async fn chat(together: &Together, model: &str) -> Result<(ChatResponse, Metadata)> {
    let reply = together.send(question(model)).await?;
    Ok((reply.read()?, reply.metadata))
}

/// Asks for an answer in one piece, and gives it as JSON.
pub(crate) async fn send<R: Request>(together: &Together, body: &Value) -> Result<Value> {
    let reply = together.send(call::<R>(body)).await?;
    Ok(serde_json::from_slice(reply.body.bytes()).unwrap())
}

pub(crate) async fn stream(together: &Together, model: &str) -> Result<Vec<ChatChunk>> {
    chunks(together, question(model)).await
}

pub(crate) async fn chunks(together: &Together, call: Call) -> Result<Vec<ChatChunk>> {
    let mut stream = together.stream(call).await?;
    let mut chunks = Vec::new();
    while let Some(event) = stream.next().await {
        if let ReplyEvent::Chunk(chunk) = event? {
            chunks.push(chunk.read().unwrap());
        }
    }
    Ok(chunks)
}

pub(crate) async fn completion_chunks(
    together: &Together,
    body: &Value,
) -> Result<Vec<CompletionResponse>> {
    let mut stream = together.stream(call::<CompletionRequest>(body)).await?;
    let mut chunks = Vec::new();
    while let Some(event) = stream.next().await {
        if let ReplyEvent::Chunk(chunk) = event? {
            chunks.push(chunk.read().unwrap());
        }
    }
    Ok(chunks)
}

pub(crate) fn text(chunks: &[ChatChunk]) -> String {
    chunks.iter().filter_map(ChatChunk::text).collect()
}

/// The last body that the simulation saw.
pub(crate) fn sent(sim: &Sim) -> Value {
    let requests = sim.together().requests();
    let mut bodies = requests.iter().rev().filter(|seen| !seen.body.is_empty());
    bodies.next().unwrap().json()
}

/// The paths that were asked for, in their order.
pub(crate) fn paths(sim: &Sim) -> Vec<String> {
    let requests = sim.together().requests();
    requests.into_iter().map(|request| request.path).collect()
}

/// An account whose upstream answers everything with this status, type and body.
pub(crate) async fn scripted(status: &str, content_type: &str, body: &[u8]) -> Together {
    let body = body.to_vec();
    answering(status, content_type, move |_| body.clone()).await
}

/// An account whose upstream gives its requests, from the 0th on, these bodies.
pub(crate) async fn answering(
    status: &str,
    content_type: &str,
    body: impl Fn(usize) -> Vec<u8> + Send + 'static,
) -> Together {
    let head =
        format!("HTTP/1.1 {status}\r\ncontent-type: {content_type}\r\nconnection: close\r\n\r\n");
    let mut number = 0..;
    let answer = move |_: &str| {
        let body = body(number.next().unwrap_or_default());
        (Duration::ZERO, [head.as_bytes(), &body].concat())
    };
    Together::new(settings(&upstream(answer).await)).unwrap()
}

/// The address of an upstream that answers a request, given as text, with these bytes after this
/// time.
pub(crate) async fn upstream(
    mut answer: impl FnMut(&str) -> (Duration, Vec<u8>) + Send + 'static,
) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let (sender, mut requests) = mpsc::unbounded_channel::<(TcpStream, String)>();
    tokio::spawn(async move {
        while let Some((mut connection, request)) = requests.recv().await {
            let (delay, answer) = answer(&request);
            tokio::spawn(async move {
                tokio::time::sleep(delay).await;
                let _ = connection.write_all(&answer).await;
            });
        }
    });
    tokio::spawn(async move {
        loop {
            let (mut connection, _) = listener.accept().await.unwrap();
            if let Some(request) = read(&mut connection).await {
                let _ = sender.send((connection, request));
            }
        }
    });
    base
}

/// Reads a request as text; `None` when the connection ends first.
async fn read(connection: &mut TcpStream) -> Option<String> {
    let mut request = Vec::new();
    while !is_whole(&request) {
        let read = connection.read_buf(&mut request).await;
        read.ok().filter(|read| *read > 0)?;
    }
    String::from_utf8(request).ok()
}

/// Whether a request has its head and the body that the head announces.
fn is_whole(request: &[u8]) -> bool {
    let text = String::from_utf8_lossy(request);
    let Some((head, body)) = text.split_once("\r\n\r\n") else {
        return false;
    };
    let mut headers = head.lines().filter_map(|line| line.split_once(": "));
    let length = headers.find(|(name, _)| name.eq_ignore_ascii_case("content-length"));
    length.is_none_or(|(_, length)| {
        length
            .parse()
            .is_ok_and(|length: usize| body.len() >= length)
    })
}
