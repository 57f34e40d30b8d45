//! An OpenAI-compatible upstream that answers at once, so that only the gateway's work counts.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;

use anyhow::Result;

/// How many chunks with content a stream has.
pub(super) const CHUNKS: usize = 64;
/// How many vectors an answer with embeddings has.
const VECTORS: usize = 64;
const DIMENSIONS: usize = 256;

/// Starts the upstream, which lasts as long as this process; the result is its base URL.
pub(super) fn start() -> Result<String> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let base = format!("http://{}", listener.local_addr()?);
    let answers = Answers::new();
    thread::spawn(move || {
        for connection in listener.incoming().flatten() {
            let answers = answers.clone();
            // A connection that breaks is the client's to report.
            thread::spawn(move || answers.serve(connection).map_err(drop));
        }
    });
    Ok(base)
}

#[derive(Clone)]
struct Answers {
    chat: String,
    stream: String,
    embeddings: String,
}

impl Answers {
    fn new() -> Self {
        let chat = r#"{"id":"c-1","object":"chat.completion","created":1780000000,"model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"Hello! How can I help?","tool_calls":[]},"finish_reason":"stop"}],"usage":{"prompt_tokens":9,"completion_tokens":7,"total_tokens":16}}"#;
        let head =
            r#""id":"c-1","object":"chat.completion.chunk","created":1780000000,"model":"m""#;
        let mut stream = String::new();
        for number in 0..CHUNKS {
            stream += &format!(
                "data: {{{head},\"choices\":[{{\"index\":0,\"delta\":{{\"content\":\" word{number}\"}},\"finish_reason\":null}}]}}\n\n"
            );
        }
        stream += &format!(
            "data: {{{head},\"choices\":[{{\"index\":0,\"delta\":{{}},\"finish_reason\":\"stop\"}}]}}\n\n"
        );
        stream += &format!(
            "data: {{{head},\"choices\":[],\"usage\":{{\"prompt_tokens\":9,\"completion_tokens\":{CHUNKS},\"total_tokens\":73}}}}\n\ndata: [DONE]\n\n"
        );
        let number = |at: usize| format!("-0.0{:07}", (at * 7_919) % 10_000_000);
        let vector: Vec<String> = (0..DIMENSIONS).map(number).collect();
        let vector = vector.join(",");
        let item = |at| format!(r#"{{"object":"embedding","index":{at},"embedding":[{vector}]}}"#);
        let items: Vec<String> = (0..VECTORS).map(item).collect();
        let embeddings = format!(
            r#"{{"object":"list","data":[{}],"model":"m","usage":{{"prompt_tokens":64,"total_tokens":64}}}}"#,
            items.join(",")
        );
        Self {
            chat: whole("application/json", chat),
            stream: whole("text/event-stream", &stream),
            embeddings: whole("application/json", &embeddings),
        }
    }

    fn serve(&self, connection: TcpStream) -> std::io::Result<()> {
        connection.set_nodelay(true)?;
        let mut writer = connection.try_clone()?;
        let mut reader = BufReader::new(connection);
        loop {
            let (mut path, mut length) = (String::new(), 0);
            if reader.read_line(&mut path)? == 0 {
                return Ok(());
            }
            loop {
                let mut line = String::new();
                reader.read_line(&mut line)?;
                if line.trim().is_empty() {
                    break;
                }
                if let Some((name, value)) = line.split_once(':')
                    && name.eq_ignore_ascii_case("content-length")
                {
                    length = value.trim().parse().unwrap_or(0);
                }
            }
            let mut body = vec![0; length];
            reader.read_exact(&mut body)?;
            let asks = |text: &[u8]| body.windows(text.len()).any(|part| part == text);
            let answer = if path.contains("/embeddings") {
                &self.embeddings
            } else if asks(br#""stream":true"#) {
                &self.stream
            } else {
                &self.chat
            };
            writer.write_all(answer.as_bytes())?;
        }
    }
}

fn whole(content_type: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "HTTP/1.1 200 OK\r\ncontent-type: {content_type}\r\ncontent-length: {length}\r\n\r\n{body}"
    )
}
