//! Clients of the gateway see no secret of a deployment, even if the upstream repeats it.

use llm_gateway::{Config, Gateway, GatewayOptions};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

const KEY: &str = "sk-canary/4f1c+key";
const HEADER: &str = "header-canary-77aa";

const CONFIG: &str = r#"
model_list:
  - model_name: together
    litellm_params: &secrets
      model: together_ai/acme/model
      api_key: os.environ/KEY
      api_base: os.environ/BASE
      extra_headers: { x-team: os.environ/HEADER }
      max_retries: 0
  - model_name: replicate
    litellm_params:
      <<: *secrets
      model: replicate/acme/model
"#;

/// Starts an upstream that sends the same response to every request. Returns its address.
async fn upstream(status: &str, headers: &str, body: &str) -> String {
    let answer = format!("HTTP/1.1 {status}\r\n{headers}connection: close\r\n\r\n{body}");
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut connection, _)) = listener.accept().await {
            if read_request(&mut connection).await.is_some() {
                let _ = connection.write_all(answer.as_bytes()).await;
            }
        }
    });
    base
}

/// Reads a request; `None` when the connection ends first.
async fn read_request(connection: &mut TcpStream) -> Option<()> {
    let mut reader = BufReader::new(connection);
    let mut length = 0;
    loop {
        let mut line = String::new();
        let read = reader.read_line(&mut line).await;
        read.ok().filter(|read| *read > 0)?;
        if line == "\r\n" {
            break;
        }
        let (name, value) = line.split_once(':').unwrap_or_default();
        if name.eq_ignore_ascii_case("content-length") {
            length = value.trim().parse().ok()?;
        }
    }
    reader.read_exact(&mut vec![0; length]).await.ok().map(drop)
}

/// Starts a gateway, and returns its URL.
async fn gateway(base: &str) -> String {
    let environment = |name: &str| {
        Some(match name {
            "BASE" => base.to_owned(),
            "KEY" => KEY.to_owned(),
            "HEADER" => HEADER.to_owned(),
            _ => return None,
        })
    };
    let _ = rustls::crypto::ring::default_provider().install_default();
    let config = Config::parse(CONFIG, &polyllm::registry(), &environment).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let gateway = Gateway::new(config, GatewayOptions::new());
    tokio::spawn(gateway.serve(listener, std::future::pending()));
    url
}

/// The heads and bodies that a client receives from each model, plain and streamed, and from the probe
/// of all.
async fn read(base: &str) -> Vec<String> {
    let url = gateway(base).await;
    let client = reqwest::Client::new();
    let mut read = Vec::new();
    for model in ["together", "replicate"] {
        for stream in [false, true] {
            let body = json!({ "model": model, "stream": stream,
                               "messages": [{ "role": "user", "content": "Hi" }] });
            let request = client.post(format!("{url}/v1/chat/completions"));
            let response = request.json(&body).send().await.unwrap();
            let head = format!("{:?}", response.headers());
            let body = response.text().await.unwrap();
            // Without the escapes of JSON.
            let plain = serde_json::from_str::<Value>(&body).map(|body| body["error"].to_string());
            read.extend([head, body]);
            read.extend(plain);
        }
    }
    let response = client.get(format!("{url}/health")).send().await.unwrap();
    read.push(format!("{:?}", response.headers()));
    read.push(response.text().await.unwrap());
    read
}

#[tokio::test]
async fn no_secret_of_a_deployment_reaches_a_client() {
    let json_type = "content-type: application/json\r\n".to_owned();
    let events_type = "content-type: text/event-stream\r\n".to_owned();
    let piece = json!({ "choices": [{ "index": 0, "delta": { "content": "Hel" } }] });
    for secret in [KEY, HEADER] {
        let text = format!("it was {secret}");
        let error = json!({ "error": { "message": text, "param": secret, "code": secret } });
        let problem = json!({ "title": text, "detail": text,
            "invalid_fields": [{ "field": format!("input.{secret}"), "description": text }] });
        let failed = json!({ "id": "p1", "status": "failed", "error": text, "logs": text });
        let headers = format!("x-request-id: {secret}\r\nretry-after: {secret}\r\n{json_type}");
        for (status, headers, body) in [
            ("400 Bad Request", &json_type, error.to_string()),
            ("422 Unprocessable Content", &json_type, problem.to_string()),
            ("401 Unauthorized", &headers, error.to_string()),
            (
                "502 Bad Gateway",
                &format!("content-type: text/{secret}\r\n"),
                text.clone(),
            ),
            ("201 Created", &json_type, failed.to_string()),
            ("200 OK", &events_type, format!("data: {error}\n\n")),
            (
                "200 OK",
                &events_type,
                format!("data: {piece}\n\ndata: {error}\n\n"),
            ),
        ] {
            let all = read(&upstream(status, headers, &body).await).await;
            // The error reaches the client, redacted. An HTML page is not quoted.
            let is_quoted = all.iter().any(|seen| seen.contains("***"));
            assert_eq!(
                is_quoted,
                !status.starts_with("502"),
                "{status} with {body}"
            );
            for seen in all {
                assert!(!seen.contains(secret), "{status} with {body}: {seen}");
            }
        }
    }
}

/// The address of a deployment is not a client's to know: its host may be an internal one.
#[tokio::test]
async fn no_address_of_a_deployment_reaches_a_client() {
    // Nothing listens there any more.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    drop(listener);
    let all = read(&format!("http://{address}")).await;
    let failed = all
        .iter()
        .filter(|seen| seen.contains("cannot connect to the upstream"));
    assert!(failed.count() > 2, "{all:?}");
    for seen in all {
        assert!(!seen.contains(&address), "{seen}");
    }
}

#[tokio::test]
async fn an_unhealthy_deployment_is_listed_as_in_litellm() {
    let models = json!([{ "id": "acme/model", "object": "model", "type": "chat" }]).to_string();
    let refused = json!({ "error": { "message": format!("invalid key {KEY}") } }).to_string();
    let json_type = "content-type: application/json\r\n";
    for (status, body, healthy, unhealthy) in [
        ("200 OK", &models, &["together"][..], &["replicate"][..]),
        (
            "401 Unauthorized",
            &refused,
            &[],
            &["together", "replicate"],
        ),
    ] {
        let url = gateway(&upstream(status, json_type, body).await).await;
        let health = reqwest::get(format!("{url}/health")).await.unwrap();
        assert_eq!(health.status(), 200);
        let health: Value = health.json().await.unwrap();
        for (list, count, expected) in [
            ("healthy_endpoints", "healthy_count", healthy),
            ("unhealthy_endpoints", "unhealthy_count", unhealthy),
        ] {
            let entries = health[list].as_array().unwrap();
            assert_eq!(health[count], entries.len());
            let groups = entries.iter().map(|entry| &entry["model_group"]);
            assert!(groups.eq(expected), "{list}: {health}");
            for entry in entries {
                let is_unhealthy = entry["error"].is_string();
                assert_eq!(is_unhealthy, list == "unhealthy_endpoints", "{health}");
            }
        }
        if status.starts_with("401") {
            let first = &health["unhealthy_endpoints"][0];
            assert_eq!(first["model"], "together_ai/acme/model");
            assert_eq!(first["error"], "together_ai: invalid key ***");
        }
    }
}
