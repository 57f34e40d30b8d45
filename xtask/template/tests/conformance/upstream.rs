//! A simulated Acme: OpenAI's schema.

use provider_conformance::Scenario;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::server::{answer, read_request};

pub(crate) async fn serve(mut stream: TcpStream, scenario: &Scenario) -> std::io::Result<()> {
    let (head, body) = read_request(&mut stream).await?;
    let known = ["GET /v1/models ", "POST /v1/chat/completions "];
    if !known.iter().any(|line| head.starts_with(line)) {
        let error = json!({ "error": { "message": "unknown path", "code": null } });
        return answer(&mut stream, "404", &error).await;
    }
    if !head.to_ascii_lowercase().contains("\r\nauthorization: bearer ") {
        let error = json!({ "error": { "message": "no key", "code": null } });
        return answer(&mut stream, "401", &error).await;
    }
    if let Scenario::Refuse(status) = scenario {
        let error = json!({ "error": { "message": "Acme rejected the request", "code": null } });
        return answer(&mut stream, &status.to_string(), &error).await;
    }
    if head.starts_with("GET ") {
        let models = json!({ "object": "list", "data": [{ "id": "acme-large" }] });
        return answer(&mut stream, "200", &models).await;
    }
    let text = match scenario {
        Scenario::Reply(text) | Scenario::FailMidway(text) => text.clone(),
        _ => format!("You said: {}. That is all.", last_text(&body)),
    };
    let letters: Vec<char> = text.chars().collect();
    let pieces = letters.chunks((letters.len() / 8).max(1));
    let mut pieces: Vec<String> = pieces.map(|piece| piece.iter().collect()).collect();
    let limit = body["max_tokens"].as_u64().map(|limit| limit as usize);
    let cut = limit.is_some_and(|limit| limit < pieces.len());
    pieces.truncate(limit.unwrap_or(usize::MAX));
    let finish = if cut { "length" } else { "stop" };
    let tokens = pieces.len();
    let usage = json!({
        "prompt_tokens": 5, "completion_tokens": tokens, "total_tokens": tokens + 5,
    });

    if body["stream"] != true {
        if *scenario == Scenario::Endless {
            stream.write_all(EVENTS.as_bytes()).await?;
            // Until the client closes the connection.
            return stream.read(&mut [0]).await.map(drop);
        }
        let message = json!({ "role": "assistant", "content": pieces.concat() });
        let choice = json!({ "index": 0, "message": message, "finish_reason": finish });
        let mut whole = envelope(json!([choice]));
        whole["usage"] = usage;
        return answer(&mut stream, "200", &whole).await;
    }
    stream.write_all(EVENTS.as_bytes()).await?;
    for (count, piece) in pieces.iter().enumerate() {
        let delta = json!({ "content": piece });
        let choice = json!({ "index": 0, "delta": delta, "finish_reason": null });
        let chunk = event(&envelope(json!([choice])));
        stream.write_all(chunk.as_bytes()).await?;
        match scenario {
            Scenario::Endless => return stream.read(&mut [0]).await.map(drop),
            Scenario::FailMidway(_) if count == 2 => {
                let error = json!({ "error": { "message": "Acme failed", "code": 500 } });
                return stream.write_all(event(&error).as_bytes()).await;
            }
            _ => {}
        }
    }
    let choice = json!({ "index": 0, "delta": {}, "finish_reason": finish });
    let mut last = envelope(json!([]));
    last["usage"] = usage;
    let end = envelope(json!([choice]));
    let rest = format!("{}{}data: [DONE]\n\n", event(&end), event(&last));
    stream.write_all(rest.as_bytes()).await
}

/// The text of the last message.
fn last_text(body: &Value) -> String {
    let messages = body["messages"].as_array();
    let last = messages.and_then(|messages| messages.last());
    match last.map_or(&Value::Null, |last| &last["content"]) {
        Value::Array(parts) => parts
            .iter()
            .filter_map(|part| part["text"].as_str())
            .collect(),
        text => text.as_str().unwrap_or_default().to_owned(),
    }
}

fn envelope(choices: Value) -> Value {
    json!({ "id": "acme-1", "created": 1, "model": "acme-large", "choices": choices })
}

fn event(data: &Value) -> String {
    format!("data: {data}\n\n")
}

const EVENTS: &str =
    "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n";
