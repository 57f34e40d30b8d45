//! A simulated Acme: OpenAI's wire over plain sockets, one request per connection.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use llm_provider::conformance::{Mood, Upstream};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// A server that ends with its runtime.
pub(crate) struct Server {
    address: SocketAddr,
    running: Arc<AtomicUsize>,
}

impl Server {
    pub(crate) async fn start(mood: Mood) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let running = Arc::<AtomicUsize>::default();
        let counter = Arc::clone(&running);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (mood, counter) = (mood.clone(), Arc::clone(&counter));
                tokio::spawn(async move {
                    counter.fetch_add(1, Ordering::SeqCst);
                    // Whoever hangs up in the middle does no harm.
                    let _ = serve(stream, &mood).await;
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

async fn serve(mut stream: TcpStream, mood: &Mood) -> std::io::Result<()> {
    let (line, body) = read_request(&mut stream).await?;
    let said = body["messages"][0]["content"].as_str().unwrap_or_default();
    let text = match mood {
        Mood::Refuses(status) => {
            let error = json!({ "error": { "message": "Acme says no", "code": null } });
            return answer(&mut stream, &status.to_string(), &error).await;
        }
        Mood::Says(text) => text.clone(),
        _ => format!("You said: {said}"),
    };
    if line.starts_with("GET ") {
        let models = json!({ "object": "list", "data": [{ "id": "acme-large" }] });
        return answer(&mut stream, "200", &models).await;
    }
    let streamed = body["stream"] == true;
    if *mood == Mood::Endless {
        let first = if streamed {
            event(&piece(&text))
        } else {
            String::new()
        };
        stream
            .write_all(format!("{EVENTS}{first}").as_bytes())
            .await?;
        // Until the client hangs up.
        return stream.read(&mut [0]).await.map(drop);
    }
    let usage = json!({ "prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3 });
    if !streamed {
        let mut whole = envelope(json!({
            "index": 0, "finish_reason": "stop",
            "message": { "role": "assistant", "content": text },
        }));
        whole["usage"] = usage;
        return answer(&mut stream, "200", &whole).await;
    }
    stream.write_all(EVENTS.as_bytes()).await?;
    let letters: Vec<char> = text.chars().collect();
    for part in letters.chunks((letters.len() / 8).max(1)) {
        let part: String = part.iter().collect();
        stream.write_all(event(&piece(&part)).as_bytes()).await?;
    }
    let end = envelope(json!({ "index": 0, "delta": {}, "finish_reason": "stop" }));
    let mut last = envelope(Value::Null);
    last["choices"] = json!([]);
    last["usage"] = usage;
    let rest = format!("{}{}data: [DONE]\n\n", event(&end), event(&last));
    stream.write_all(rest.as_bytes()).await
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

fn piece(text: &str) -> Value {
    envelope(json!({ "index": 0, "delta": { "content": text }, "finish_reason": null }))
}

fn envelope(choice: Value) -> Value {
    json!({ "id": "acme-1", "created": 1, "model": "acme-large", "choices": [choice] })
}

fn event(data: &Value) -> String {
    format!("data: {data}\n\n")
}

const EVENTS: &str =
    "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n";
