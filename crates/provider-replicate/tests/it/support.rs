//! A server that answers as a test tells it, to the byte.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use llm_provider::{
    ApiKey, Call, ChatEvent, ChatStream, Error, HttpClient, Json, Provider, Reply, Settings,
};
use llm_types::{ChatRequest, ChatResponse, Message};
use provider_replicate::Replicate;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// A request as it came.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Value,
}

impl Seen {
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

/// What to answer.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    status: u16,
    headers: Vec<(&'static str, String)>,
    pieces: Vec<Vec<u8>>,
    delay: Duration,
    end: End,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum End {
    /// The connection is closed as if all had been said.
    Close,
    /// The connection is closed in the middle of a body that was announced to be longer.
    Cut,
    /// Nothing more comes, and nothing ends.
    Hang,
}

impl Answer {
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
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Server {
    /// `answer` is given the server's own URL, the request, and how many requests to the same
    /// method and path came before it.
    pub(crate) async fn start(
        answer: impl Fn(&str, &Seen, usize) -> Answer + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let seen: Arc<Mutex<Vec<Seen>>> = Arc::default();
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

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    pub(crate) fn lines(&self) -> Vec<String> {
        self.seen().iter().map(Seen::line).collect()
    }

    pub(crate) fn count(&self, line: &str) -> usize {
        self.lines().iter().filter(|seen| *seen == line).count()
    }

    /// The first request of this method and path.
    pub(crate) fn first(&self, line: &str) -> Seen {
        self.seen()
            .into_iter()
            .find(|seen| seen.line() == line)
            .unwrap_or_else(|| {
                panic!("no {line} among {:?}", self.lines());
            })
    }

    /// Waits until a request has come; fails after a second.
    pub(crate) async fn wait_for(&self, line: &str) {
        for _ in 0..200 {
            if self.count(line) > 0 {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        panic!("no {line} within a second, but {:?}", self.lines());
    }

    pub(crate) fn provider(&self) -> Replicate {
        Replicate::new(settings(&self.url)).unwrap()
    }
}

pub(crate) fn settings(url: &str) -> Settings {
    let mut settings = Settings::new()
        .with_api_key(ApiKey::new("r8_test"))
        .with_api_base(url)
        .with_max_retries(0);
    // Each test has its own thread with its own runtime, and connections die with theirs.
    thread_local!(static HTTP: HttpClient = HttpClient::new());
    settings.http = HTTP.with(Clone::clone);
    settings
}

pub(crate) fn ask(model: &str) -> ChatRequest {
    ChatRequest::new(model, vec![Message::user("Hello!")])
}

pub(crate) async fn chat(
    provider: &Replicate,
    request: ChatRequest,
) -> Result<Reply<ChatResponse>, Error> {
    provider.chat(Call::new(Json::from_value(request))).await
}

pub(crate) async fn stream(
    provider: &Replicate,
    request: ChatRequest,
) -> Result<ChatStream, Error> {
    provider
        .chat_stream(Call::new(Json::from_value(request)))
        .await
}

/// Lets paused time pass in small steps: without it, each wait for a socket would let the next
/// timeout strike.
pub(crate) fn wind_the_clock() {
    tokio::spawn(async {
        loop {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
}

/// What came of a stream.
#[derive(Debug, Default)]
pub(crate) struct Told {
    pub(crate) text: String,
    pub(crate) progress: Vec<String>,
    pub(crate) chunks: Vec<Value>,
    pub(crate) error: Option<Error>,
}

impl Told {
    pub(crate) async fn all(mut stream: ChatStream) -> Self {
        let mut told = Self::default();
        while let Some(event) = stream.next().await {
            assert!(told.error.is_none(), "something came after the error");
            match event {
                Ok(ChatEvent::Chunk(chunk)) => {
                    let chunk: Value = serde_json::from_slice(chunk.bytes()).unwrap();
                    let text = &chunk["choices"][0]["delta"]["content"];
                    told.text.push_str(text.as_str().unwrap_or_default());
                    told.chunks.push(chunk);
                }
                Ok(ChatEvent::Progress(progress)) => told.progress.push(progress.status),
                Ok(_) => {}
                Err(error) => told.error = Some(error),
            }
        }
        told
    }

    /// Fails unless the stream ended well, with one finish reason and then the usage.
    #[track_caller]
    pub(crate) fn assert_whole(&self) {
        assert!(
            self.error.is_none(),
            "{:?} after {:?}",
            self.error,
            self.text
        );
        let reasons = self
            .chunks
            .iter()
            .filter(|c| c["choices"][0]["finish_reason"].is_string());
        assert_eq!(reasons.count(), 1);
        let last = self.chunks.last().unwrap();
        assert_eq!(
            (&last["choices"], last["usage"].is_object()),
            (&json!([]), true)
        );
    }
}

/// A prediction's body.
pub(crate) fn prediction(url: &str, status: &str, output: Value) -> Value {
    json!({
        "id": "p1",
        "model": "meta/meta-llama-3-8b-instruct",
        "version": "hidden",
        "input": {},
        "logs": "",
        "output": output,
        "error": null,
        "status": status,
        "created_at": "2024-10-04T18:07:35.262Z",
        "urls": {
            "get": format!("{url}/v1/predictions/p1"),
            "cancel": format!("{url}/v1/predictions/p1/cancel"),
            "web": "https://replicate.com/p/p1",
        },
    })
}

pub(crate) fn succeeded(url: &str, output: Value) -> Value {
    let mut prediction = prediction(url, "succeeded", output);
    prediction["metrics"] = json!({
        "input_token_count": 18, "output_token_count": 4, "predict_time": 0.5, "total_time": 2.5,
    });
    prediction
}

/// A version with these input properties.
pub(crate) fn version(id: &str, properties: Value) -> Value {
    let schemas = json!({"Input": {"type": "object", "properties": properties}});
    json!({"id": id, "openapi_schema": {"components": {"schemas": schemas}}})
}

pub(crate) fn llama_3() -> Value {
    json!({
        "prompt": {"type": "string"},
        "system_prompt": {"type": "string", "default": "You are a helpful assistant"},
        "max_tokens": {"type": "integer", "default": 512},
        "min_tokens": {"type": "integer"},
        "temperature": {"type": "number", "minimum": 0.0, "maximum": 5.0},
        "top_p": {"type": "number"},
        "top_k": {"type": "integer"},
        "stop_sequences": {"type": "string"},
        "presence_penalty": {"type": "number"},
        "frequency_penalty": {"type": "number"},
        "prompt_template": {"type": "string"},
        "seed": {"type": "integer"},
    })
}

/// The official model as Replicate describes it.
pub(crate) fn official(properties: Value) -> Value {
    json!({"owner": "meta", "is_official": true, "latest_version": version("v1", properties)})
}

pub(crate) const MODEL: &str = "meta/meta-llama-3-8b-instruct";
pub(crate) const LOOK_UP: &str = "GET /v1/models/meta/meta-llama-3-8b-instruct";
pub(crate) const CREATE: &str = "POST /v1/models/meta/meta-llama-3-8b-instruct/predictions";
pub(crate) const GET: &str = "GET /v1/predictions/p1";
pub(crate) const CANCEL: &str = "POST /v1/predictions/p1/cancel";

async fn serve(mut stream: TcpStream, answer: impl FnOnce(&Seen) -> Answer) -> std::io::Result<()> {
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
    match answer.end {
        End::Close => {}
        End::Cut => head += &format!("content-length: {}\r\n", length + 1),
        End::Hang => {}
    }
    stream.write_all(format!("{head}\r\n").as_bytes()).await?;
    for piece in &answer.pieces {
        stream.write_all(piece).await?;
        stream.flush().await?;
        tokio::task::yield_now().await;
    }
    if matches!(answer.end, End::Hang) {
        // Until the client leaves.
        let _ = stream.read(&mut [0]).await;
    }
    stream.shutdown().await
}

async fn read(stream: &mut TcpStream) -> std::io::Result<Seen> {
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
    Ok(Seen {
        method: first.next().unwrap_or_default(),
        path: first.next().unwrap_or_default(),
        headers,
        body: serde_json::from_slice(&bytes[head + 4..]).unwrap_or_default(),
    })
}
