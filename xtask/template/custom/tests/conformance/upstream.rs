//! A simulated Acme: its own schema, and streams in NDJSON.

use provider_conformance::Scenario;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::server::{answer, read_request};

pub(crate) async fn serve(mut stream: TcpStream, scenario: &Scenario) -> std::io::Result<()> {
    let (head, body) = read_request(&mut stream).await?;
    let known = ["GET /v1/models ", "POST /v1/generate "];
    if !known.iter().any(|line| head.starts_with(line)) {
        let error = json!({ "error": { "code": null, "reason": "unknown path" } });
        return answer(&mut stream, "404", &error).await;
    }
    if !head.to_ascii_lowercase().contains("\r\nx-api-key: ") {
        let error = json!({ "error": { "code": null, "reason": "no key" } });
        return answer(&mut stream, "401", &error).await;
    }
    if let Scenario::Refuse(status) = scenario {
        let error = json!({ "error": { "code": null, "reason": "Acme rejected the request" } });
        return answer(&mut stream, &status.to_string(), &error).await;
    }
    if head.starts_with("GET ") {
        return answer(&mut stream, "200", &json!({ "models": ["acme-large"] })).await;
    }
    let text = match scenario {
        Scenario::Reply(text) | Scenario::FailMidway(text) => text.clone(),
        _ => format!("You said: {}. That is all.", last_text(&body)),
    };
    let letters: Vec<char> = text.chars().collect();
    let pieces = letters.chunks((letters.len() / 8).max(1));
    let mut pieces: Vec<String> = pieces.map(|piece| piece.iter().collect()).collect();
    let limit = body["max_tokens"].as_u64().map(|limit| limit as usize);
    let is_cut = limit.is_some_and(|limit| limit < pieces.len());
    pieces.truncate(limit.unwrap_or(usize::MAX));
    let finish = if is_cut { "limit" } else { "complete" };
    let usage = json!({ "input": 5, "output": pieces.len() });

    if body["stream"] != true {
        if *scenario == Scenario::Endless {
            stream.write_all(LINES.as_bytes()).await?;
            // Until the client closes the connection.
            return stream.read(&mut [0]).await.map(drop);
        }
        let reply = json!({
            "id": "acme-1",
            "model": "acme-large",
            "output": pieces.concat(),
            "finish": finish,
            "usage": usage,
        });
        return answer(&mut stream, "200", &reply).await;
    }
    stream.write_all(LINES.as_bytes()).await?;
    for (count, piece) in pieces.iter().enumerate() {
        write(&mut stream, &json!({ "id": "acme-1", "delta": piece })).await?;
        match scenario {
            Scenario::Endless => return stream.read(&mut [0]).await.map(drop),
            Scenario::FailMidway(_) if count == 2 => {
                let error = json!({ "error": { "code": "failed", "reason": "Acme failed" } });
                return write(&mut stream, &error).await;
            }
            _ => {}
        }
    }
    let last = json!({ "id": "acme-1", "finish": finish, "usage": usage });
    write(&mut stream, &last).await
}

/// The text of the last message.
fn last_text(body: &Value) -> &str {
    let turns = body["conversation"].as_array();
    let last = turns.and_then(|turns| turns.last());
    last.and_then(|last| last["text"].as_str()).unwrap_or_default()
}

async fn write(stream: &mut TcpStream, line: &Value) -> std::io::Result<()> {
    stream.write_all(format!("{line}\n").as_bytes()).await
}

const LINES: &str =
    "HTTP/1.1 200 OK\r\ncontent-type: application/x-ndjson\r\nconnection: close\r\n\r\n";
