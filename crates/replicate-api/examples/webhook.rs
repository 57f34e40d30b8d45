//! Receives Replicate's webhooks and verifies their signatures.
//!
//! ```sh
//! REPLICATE_API_TOKEN=r8_… cargo run -p replicate-api --features webhook --example webhook
//! ```
//!
//! Create predictions with `"webhook": "https://…"`, the public address of this port, and Replicate
//! posts to it. The server is minimal, to avoid dependencies; a real one passes the headers and the
//! body from its framework to `verify`.

#![allow(clippy::print_stdout, reason = "an example prints")]

use std::time::SystemTime;

use http::{HeaderMap, HeaderName, HeaderValue};
use llm_provider::Settings;
use replicate_api::webhook::WebhookSecret;
use replicate_api::{Prediction, ReplicateClient};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let client = ReplicateClient::new(Settings::new())?;
    let secret = WebhookSecret::new(client.webhook_secret().await?.expose())?;
    let listener = TcpListener::bind("127.0.0.1:8080").await?;
    println!("waiting for webhooks at http://{}", listener.local_addr()?);
    loop {
        let (mut stream, _) = listener.accept().await?;
        let answer = match receive(&mut stream).await {
            Ok((headers, body)) => match secret.verify(&headers, &body, SystemTime::now()) {
                Ok(()) => {
                    let prediction: Prediction = serde_json::from_slice(&body)?;
                    println!("{} {}", prediction.id, prediction.status.0);
                    "204 No Content"
                }
                Err(error) => {
                    println!("refused: {error}");
                    "401 Unauthorized"
                }
            },
            Err(_) => "400 Bad Request",
        };
        let answer = format!("HTTP/1.1 {answer}\r\nconnection: close\r\n\r\n");
        let _ = stream.write_all(answer.as_bytes()).await;
    }
}

/// The headers and the body of a request.
async fn receive(
    stream: &mut TcpStream,
) -> Result<(HeaderMap, Vec<u8>), Box<dyn std::error::Error>> {
    let mut reader = BufReader::new(stream.take(1 << 20));
    let (mut headers, mut line) = (HeaderMap::new(), String::new());
    reader.read_line(&mut line).await?;
    loop {
        line.clear();
        reader.read_line(&mut line).await?;
        let Some((name, value)) = line.trim_end().split_once(": ") else {
            break;
        };
        let name = HeaderName::from_bytes(name.as_bytes())?;
        headers.insert(name, HeaderValue::from_str(value)?);
    }
    let length = headers.get("content-length").ok_or("there is no body")?;
    let mut body = vec![0; length.to_str()?.parse::<usize>()?.min(1 << 20)];
    reader.read_exact(&mut body).await?;
    Ok((headers, body))
}
