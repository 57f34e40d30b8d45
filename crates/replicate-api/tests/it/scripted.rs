//! A server with scripted responses, byte for byte.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use llm_http::HttpClient;
use llm_provider::{ApiKey, Settings};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// A request as received.
#[derive(Clone, Debug)]
pub(crate) struct Received {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) headers: Vec<(String, String)>,
    /// The body as JSON; null if it is not JSON.
    pub(crate) body: Value,
    pub(crate) text: String,
}

impl Received {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }

    pub(crate) fn line(&self) -> String {
        format!("{} {}", self.method, self.path)
    }
}

/// The response.
#[derive(Clone, Debug)]
pub(crate) struct Response {
    status: u16,
    headers: Vec<(&'static str, String)>,
    pieces: Vec<Vec<u8>>,
    delay: Duration,
    end: End,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum End {
    /// The connection is closed. Without a length, the body counts as complete.
    Close,
    /// The connection is closed one byte before the length in the header.
    Cut,
    /// Nothing more is sent, and the connection stays open.
    Hang,
}

impl Response {
    pub(crate) fn new(status: u16, content_type: &str, body: impl Into<Vec<u8>>) -> Self {
        Self {
            status,
            headers: vec![("content-type", content_type.to_owned())],
            pieces: vec![body.into()],
            delay: Duration::ZERO,
            end: End::Close,
        }
    }

    pub(crate) fn json(status: u16, body: Value) -> Self {
        Self::new(status, "application/json", body.to_string())
    }

    pub(crate) fn sse(body: impl Into<Vec<u8>>) -> Self {
        Self::new(200, "text/event-stream", body)
    }

    pub(crate) fn not_found() -> Self {
        Self::json(404, json!({"detail": "Not found."}))
    }

    pub(crate) fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// Writes the body in pieces of `size` bytes.
    pub(crate) fn in_pieces(mut self, size: usize) -> Self {
        let whole = self.pieces.concat();
        self.pieces = whole.chunks(size).map(<[u8]>::to_vec).collect();
        self
    }

    pub(crate) fn after(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }

    pub(crate) fn ending(mut self, end: End) -> Self {
        self.end = end;
        self
    }
}

pub(crate) struct Server {
    pub(crate) url: String,
    seen: Arc<Mutex<Vec<Received>>>,
}

impl Server {
    /// Starts a server. `answer` returns the response to a request, from the server's URL, the request,
    /// and the number of earlier requests with the same method and path.
    pub(crate) async fn start(
        answer: impl Fn(&str, &Received, usize) -> Response + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let seen: Arc<Mutex<Vec<Received>>> = Arc::default();
        let answer = Arc::new(answer);
        let server = Self {
            url: url.clone(),
            seen: Arc::clone(&seen),
        };
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (seen, answer, url) = (Arc::clone(&seen), Arc::clone(&answer), url.clone());
                tokio::spawn(async move {
                    let _ = serve(stream, |request| {
                        let mut seen = seen.lock().unwrap();
                        let before = seen.iter().filter(|s| s.line() == request.line()).count();
                        seen.push(request.clone());
                        drop(seen);
                        answer(&url, request, before)
                    })
                    .await;
                });
            }
        });
        server
    }

    pub(crate) fn seen(&self) -> Vec<Received> {
        self.seen.lock().unwrap().clone()
    }

    pub(crate) fn lines(&self) -> Vec<String> {
        self.seen().iter().map(Received::line).collect()
    }

    pub(crate) fn count(&self, line: &str) -> usize {
        self.lines().iter().filter(|seen| *seen == line).count()
    }

    /// The first request with this method and path.
    pub(crate) fn first(&self, line: &str) -> Received {
        self.seen()
            .into_iter()
            .find(|seen| seen.line() == line)
            .unwrap_or_else(|| {
                panic!("no {line} among {:?}", self.lines());
            })
    }

    /// Waits for a request; fails after a minute.
    pub(crate) async fn wait_for(&self, line: &str) {
        for _ in 0..12_000 {
            if self.count(line) > 0 {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        panic!("no {line} within a minute, but {:?}", self.lines());
    }
}

/// The requests that the server received, without its address, which differs in each run.
pub(crate) fn requests(server: &Server) -> Vec<Value> {
    let seen = server.seen().into_iter().map(|seen| {
        let headers: Vec<String> = seen
            .headers
            .iter()
            .filter(|(name, _)| !matches!(name.as_str(), "host" | "user-agent" | "content-length"))
            .map(|(name, value)| format!("{name}: {value}"))
            .collect();
        let is_text = seen.body.is_null() && !seen.text.is_empty();
        let body = if is_text {
            json!(seen.text)
        } else {
            seen.body.clone()
        };
        json!({"line": seen.line(), "headers": headers, "body": body})
    });
    seen.collect()
}

pub(crate) fn settings(url: &str) -> Settings {
    let mut settings = Settings::new()
        .with_api_key(ApiKey::new("r8_test"))
        .with_api_base(url)
        .with_max_retries(0);
    // Each test has its own thread and runtime; connections end with them.
    thread_local!(static HTTP: HttpClient = HttpClient::dedicated());
    settings = settings.with_transport(HTTP.with(Clone::clone));
    settings
}

/// Advances paused time in small steps. Otherwise, waiting for a socket would trigger the next
/// timeout.
pub(crate) fn advance_in_small_steps() {
    tokio::spawn(async {
        loop {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
}

async fn serve(
    mut stream: TcpStream,
    answer: impl FnOnce(&Received) -> Response,
) -> std::io::Result<()> {
    let request = read(&mut stream).await?;
    let answer = answer(&request);
    tokio::time::sleep(answer.delay).await;
    let length: usize = answer.pieces.iter().map(Vec::len).sum();
    let mut head = format!(
        "HTTP/1.1 {} Scripted\r\nconnection: close\r\n",
        answer.status
    );
    for (name, value) in &answer.headers {
        head += &format!("{name}: {value}\r\n");
    }
    if matches!(answer.end, End::Cut) {
        head += &format!("content-length: {}\r\n", length + 1);
    }
    stream.write_all(format!("{head}\r\n").as_bytes()).await?;
    for piece in &answer.pieces {
        stream.write_all(piece).await?;
        stream.flush().await?;
        tokio::task::yield_now().await;
    }
    if matches!(answer.end, End::Hang) {
        // Until the client disconnects.
        let _ = stream.read(&mut [0]).await;
    }
    stream.shutdown().await
}

async fn read(stream: &mut TcpStream) -> std::io::Result<Received> {
    let mut bytes = Vec::new();
    let head = loop {
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break end;
        }
        if stream.read_buf(&mut bytes).await? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
    };
    let text = String::from_utf8_lossy(&bytes[..head]).into_owned();
    let mut lines = text.lines();
    let mut first = lines
        .next()
        .unwrap_or_default()
        .split(' ')
        .map(str::to_owned);
    let headers: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
        .collect();
    let length = headers.iter().find(|(name, _)| name == "content-length");
    let length: usize = length.map_or(0, |(_, value)| value.parse().unwrap_or(0));
    while bytes.len() < head + 4 + length {
        if stream.read_buf(&mut bytes).await? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
    }
    Ok(Received {
        method: first.next().unwrap_or_default(),
        path: first.next().unwrap_or_default(),
        headers,
        body: serde_json::from_slice(&bytes[head + 4..]).unwrap_or_default(),
        text: String::from_utf8_lossy(&bytes[head + 4..]).into_owned(),
    })
}
