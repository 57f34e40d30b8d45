//! A simulated upstream that speaks OpenAI's schema over plain sockets, one request per
//! connection.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use provider_conformance::{Scenario, Upstream};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// A server that ends with its runtime.
pub(crate) struct Server {
    address: SocketAddr,
    running: Arc<AtomicUsize>,
}

impl Server {
    pub(crate) async fn start(scenario: Scenario) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let running = Arc::<AtomicUsize>::default();
        let counter = Arc::clone(&running);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (scenario, counter) = (scenario.clone(), Arc::clone(&counter));
                tokio::spawn(async move {
                    counter.fetch_add(1, Ordering::SeqCst);
                    // A client that hangs up is not an error here.
                    let _ = serve(stream, &scenario).await;
                    counter.fetch_sub(1, Ordering::SeqCst);
                });
            }
        });
        Self { address, running }
    }
}

impl Upstream for Server {
    fn address(&self) -> SocketAddr {
        self.address
    }

    fn running(&self) -> usize {
        self.running.load(Ordering::SeqCst)
    }
}

async fn serve(mut stream: TcpStream, scenario: &Scenario) -> std::io::Result<()> {
    let (line, body) = read_request(&mut stream).await?;
    if let Scenario::Refuse(status) = scenario {
        let error = json!({ "error": { "message": "Acme says no", "code": null } });
        return answer(&mut stream, &status.to_string(), &error).await;
    }
    let path = line.split(' ').nth(1).unwrap_or_default();
    match path.trim_start_matches("/v1") {
        "/models" => answer(&mut stream, "200", &models()).await,
        "/embeddings" => answer(&mut stream, "200", &embeddings(&body)).await,
        "/rerank" => answer(&mut stream, "200", &rerank(&body)).await,
        "/completions" => generate(stream, scenario, &body, Shape::Completion).await,
        _ => generate(stream, scenario, &body, Shape::Chat).await,
    }
}

#[derive(Clone, Copy, Eq, PartialEq)]
enum Shape {
    Chat,
    Completion,
}

async fn generate(
    mut stream: TcpStream,
    scenario: &Scenario,
    body: &Value,
    shape: Shape,
) -> std::io::Result<()> {
    let text = match scenario {
        Scenario::Reply(text) | Scenario::FailMidway(text) => text.clone(),
        _ => format!("You said: {}. That is all.", said(body)),
    };
    let letters: Vec<char> = text.chars().collect();
    let pieces = letters.chunks((letters.len() / 8).max(1));
    let mut pieces: Vec<String> = pieces.map(|piece| piece.iter().collect()).collect();
    let limits = ["max_completion_tokens", "max_tokens"];
    let mut limits = limits.iter().filter_map(|name| body[*name].as_u64());
    let limit = limits.next().map(|limit| limit as usize);
    let cut = limit.is_some_and(|limit| limit < pieces.len());
    pieces.truncate(limit.unwrap_or(usize::MAX));
    let finish = if cut { "length" } else { "stop" };
    let choices = body["n"].as_u64().unwrap_or(1);
    let tokens = pieces.len() as u64 * choices;
    let usage = json!({
        "prompt_tokens": 5, "completion_tokens": tokens, "total_tokens": tokens + 5,
    });

    if body["stream"] != true {
        if *scenario == Scenario::Endless {
            stream.write_all(EVENTS.as_bytes()).await?;
            return stream.read(&mut [0]).await.map(drop);
        }
        let choice = |index| shape.choice(index, &pieces.concat(), Some(finish), "message");
        let mut whole = shape.envelope((0..choices).map(choice).collect());
        whole["usage"] = usage;
        return answer(&mut stream, "200", &whole).await;
    }
    stream.write_all(EVENTS.as_bytes()).await?;
    for (count, piece) in pieces.iter().enumerate() {
        for index in 0..choices {
            let chunk = shape.envelope([shape.choice(index, piece, None, "delta")].into());
            stream.write_all(event(&chunk).as_bytes()).await?;
        }
        match scenario {
            // Until the client hangs up.
            Scenario::Endless => return stream.read(&mut [0]).await.map(drop),
            Scenario::FailMidway(_) if count == 2 => {
                let error = json!({ "error": { "message": "Acme failed", "code": 500 } });
                return stream.write_all(event(&error).as_bytes()).await;
            }
            _ => {}
        }
    }
    for index in 0..choices {
        let end = shape.envelope([shape.choice(index, "", Some(finish), "delta")].into());
        stream.write_all(event(&end).as_bytes()).await?;
    }
    let mut last = shape.envelope([].into());
    last["usage"] = usage;
    let rest = format!("{}data: [DONE]\n\n", event(&last));
    stream.write_all(rest.as_bytes()).await
}

impl Shape {
    fn choice(self, index: u64, text: &str, finish: Option<&str>, message: &str) -> Value {
        match self {
            Self::Chat => json!({
                "index": index, "finish_reason": finish,
                message: { "role": "assistant", "content": text },
            }),
            Self::Completion => json!({ "index": index, "text": text, "finish_reason": finish }),
        }
    }

    fn envelope(self, choices: Vec<Value>) -> Value {
        json!({ "id": "acme-1", "created": 1, "model": "acme-large", "choices": choices })
    }
}

/// The text of the last message, or the prompt.
fn said(body: &Value) -> String {
    let last = body["messages"]
        .as_array()
        .and_then(|messages| messages.last());
    let content = last.map_or(&body["prompt"], |last| &last["content"]);
    match content {
        Value::Array(parts) => parts
            .iter()
            .filter_map(|part| part["text"].as_str())
            .collect(),
        text => text.as_str().unwrap_or_default().to_owned(),
    }
}

fn models() -> Value {
    json!({ "object": "list", "data": [{ "id": "acme-large" }, { "id": "acme-small" }] })
}

/// A vector of each text's length and letters.
fn embeddings(body: &Value) -> Value {
    let texts = match &body["input"] {
        Value::Array(texts) => texts.clone(),
        text => vec![text.clone()],
    };
    let vector = |text: &Value| {
        let text = text.as_str().unwrap_or_default();
        let sum: u32 = text.bytes().map(u32::from).sum();
        json!([text.len() as f32, sum as f32, 0.25])
    };
    let item = |(index, text)| json!({ "index": index, "embedding": vector(text) });
    let data: Vec<Value> = texts.iter().enumerate().map(item).collect();
    let usage = json!({ "prompt_tokens": 3, "total_tokens": 3 });
    json!({ "object": "list", "model": "acme-large", "data": data, "usage": usage })
}

/// Documents that share words with the query come first.
fn rerank(body: &Value) -> Value {
    let query = body["query"].as_str().unwrap_or_default();
    let documents = body["documents"].as_array().cloned().unwrap_or_default();
    let score = |text: &str| {
        let shared = query.split(' ').filter(|word| text.contains(word)).count();
        shared as f64 / 4.0
    };
    let result = |(index, document): (usize, &Value)| {
        let text = document.as_str().unwrap_or_default();
        let mut result = json!({ "index": index, "relevance_score": score(text) });
        if body["return_documents"] == true {
            result["document"] = json!({ "text": text });
        }
        result
    };
    let mut results: Vec<Value> = documents.iter().enumerate().map(result).collect();
    results.sort_by_key(|result| -(result["relevance_score"].as_f64().unwrap() * 4.0) as i64);
    results.truncate(
        body["top_n"]
            .as_u64()
            .map_or(usize::MAX, |most| most as usize),
    );
    json!({ "id": "rerank-1", "results": results })
}

/// The first line, and the body as JSON.
async fn read_request(stream: &mut TcpStream) -> std::io::Result<(String, Value)> {
    let mut bytes = Vec::new();
    let head = loop {
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break String::from_utf8_lossy(&bytes[..end]).into_owned();
        }
        if stream.read_buf(&mut bytes).await? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
    };
    let length = head.lines().find_map(|line| {
        let line = line.to_ascii_lowercase();
        line.strip_prefix("content-length:")?.trim().parse().ok()
    });
    let whole = head.len() + 4 + length.unwrap_or(0);
    while bytes.len() < whole {
        if stream.read_buf(&mut bytes).await? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
    }
    let body = serde_json::from_slice(&bytes[head.len() + 4..whole]).unwrap_or_default();
    Ok((head.lines().next().unwrap_or_default().to_owned(), body))
}

async fn answer(stream: &mut TcpStream, status: &str, body: &Value) -> std::io::Result<()> {
    let body = body.to_string();
    let length = body.len();
    let head = format!(
        "HTTP/1.1 {status} x\r\ncontent-type: application/json\r\nconnection: close\r\n\
         content-length: {length}\r\n\r\n"
    );
    stream.write_all(format!("{head}{body}").as_bytes()).await
}

fn event(data: &Value) -> String {
    format!("data: {data}\n\n")
}

const EVENTS: &str =
    "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n";
