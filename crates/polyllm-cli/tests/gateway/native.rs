//! Upstreams with `/v1/messages` and `/v1/responses` of their own: bytes go through, and keys, spend,
//! errors and secrets are as for chats.

use std::sync::{Arc, Mutex};

use gateway_store::{Store, StoreOptions};
use llm_gateway::{Config, Gateway, GatewayOptions, VirtualKeys};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

const CONFIG: &str = r"
general_settings: { master_key: sk-master }
model_list:
  - model_name: native
    litellm_params:
      model: openai/up/model
      api_base: os.environ/BASE
      api_key: upstream-canary
      native_messages: true
      native_responses: true
      max_retries: 0
    model_info: { input_cost_per_token: 0.5, output_cost_per_token: 0.25 }
";

const MESSAGE: &str = r#"{"id":"msg_1","type":"message","role":"assistant","model":"up/model","content":[{"type":"text","text":"Hi"}],"odd":1.50,"usage":{"input_tokens":3,"cache_read_input_tokens":5,"output_tokens":4}}"#;
const RESPONSE: &str = r#"{"id":"resp_1","object":"response","model":"up/model","output":[],"odd":1.50,"usage":{"input_tokens":8,"output_tokens":4,"total_tokens":12}}"#;

fn messages() -> String {
    [
        r#"{"type":"message_start","message":{"id":"m","model":"up/model","usage":{"input_tokens":8,"output_tokens":0}}}"#,
        r#"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"Hi"},"odd":1.50}"#,
        r#"{"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":4}}"#,
        r#"{"type":"message_stop"}"#,
    ]
    .map(|data| {
        let name: Value = serde_json::from_str(data).unwrap();
        format!("event: {}\ndata: {data}\n\n", name["type"].as_str().unwrap())
    })
    .concat()
}

fn responses() -> String {
    [
        r#"{"type":"response.created","response":{"id":"r","model":"up/model"}}"#,
        r#"{"type":"response.output_text.delta","delta":"Hi","odd":1.50}"#,
        r#"{"type":"response.completed","response":{"id":"r","model":"up/model","usage":{"input_tokens":8,"output_tokens":4}}}"#,
    ]
    .map(|data| {
        let name: Value = serde_json::from_str(data).unwrap();
        format!("event: {}\ndata: {data}\n\n", name["type"].as_str().unwrap())
    })
    .concat()
}

/// A request that the upstream got.
struct Request {
    path: String,
    /// The lines of its headers.
    headers: String,
    body: String,
}

type Sent = Arc<Mutex<Vec<Request>>>;

/// Starts an upstream with both APIs. Text `fail` in a body makes it fail, and `break` ends its stream.
async fn upstream() -> (String, Sent) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}/v1", listener.local_addr().unwrap());
    let sent = Sent::default();
    let kept = Arc::clone(&sent);
    tokio::spawn(async move {
        while let Ok((mut connection, _)) = listener.accept().await {
            let request = read(&mut connection).await;
            let (is_messages, body) = (request.path == "/v1/messages", &request.body);
            let (status, kind, text) = if body.contains("fail") {
                let error = r#"{"error":{"message":"busy with upstream-canary","type":"x"}}"#;
                ("503 Busy", "application/json", error.to_owned())
            } else if body.contains(r#""stream":true"#) {
                let mut events = if is_messages { messages() } else { responses() };
                if body.contains("break") {
                    // After the first output: before it, a failure is an HTTP error.
                    let third = events.match_indices("event: ").nth(2).unwrap().0;
                    events.truncate(third);
                }
                ("200 OK", "text/event-stream", events)
            } else {
                let reply = if is_messages { MESSAGE } else { RESPONSE };
                ("200 OK", "application/json", reply.to_owned())
            };
            kept.lock().unwrap().push(request);
            let answer = format!(
                "HTTP/1.1 {status}\r\ncontent-type: {kind}\r\ncontent-length: {}\r\n\
                 connection: close\r\n\r\n{text}",
                text.len()
            );
            let _ = connection.write_all(answer.as_bytes()).await;
        }
    });
    (base, sent)
}

async fn read(connection: &mut TcpStream) -> Request {
    let mut reader = BufReader::new(connection);
    let (mut first, mut headers, mut length) = (String::new(), String::new(), 0);
    reader.read_line(&mut first).await.unwrap();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).await.unwrap();
        if line == "\r\n" {
            break;
        }
        let (name, value) = line.split_once(':').unwrap();
        if name.eq_ignore_ascii_case("content-length") {
            length = value.trim().parse().unwrap();
        }
        headers += &line;
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).await.unwrap();
    Request {
        path: first.split(' ').nth(1).unwrap().to_owned(),
        headers,
        body: String::from_utf8(body).unwrap(),
    }
}

struct Client {
    url: String,
    http: reqwest::Client,
    key: String,
}

impl Client {
    async fn post(&self, key: &str, path: &str, body: &str) -> (u16, String) {
        let request = self
            .http
            .post(format!("{}{path}", self.url))
            .bearer_auth(key);
        let request = request.header("content-type", "application/json");
        let response = request.body(body.to_owned()).send().await.unwrap();
        (response.status().as_u16(), response.text().await.unwrap())
    }

    async fn call(&self, path: &str, body: &str) -> (u16, String) {
        self.post(&self.key, path, body).await
    }

    /// The spend of the key.
    async fn spend(&self) -> f64 {
        let url = format!("{}/key/info?key={}", self.url, self.key);
        let request = self.http.get(url).bearer_auth("sk-master");
        let info: Value = request.send().await.unwrap().json().await.unwrap();
        info["info"]["spend"].as_f64().unwrap()
    }
}

async fn start() -> (Client, Sent) {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let (base, sent) = upstream().await;
    let environment = |name: &str| (name == "BASE").then(|| base.clone());
    let config = Config::parse(CONFIG, &polyllm::registry(), &environment).unwrap();
    let store = Store::open("sqlite::memory:", StoreOptions::default());
    let keys = VirtualKeys::new(store.await.unwrap()).await.unwrap();
    let gateway = Gateway::new(config, GatewayOptions::new().with_virtual_keys(keys));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(gateway.serve(listener, std::future::pending()));
    let mut client = Client {
        url,
        http: reqwest::Client::new(),
        key: String::new(),
    };
    let (status, made) = client.post("sk-master", "/key/generate", "{}").await;
    assert_eq!(status, 200, "{made}");
    let made: Value = serde_json::from_str(&made).unwrap();
    client.key = made["key"].as_str().unwrap().to_owned();
    (client, sent)
}

#[tokio::test]
async fn requests_replies_and_events_go_through_and_are_charged() {
    let (client, sent) = start().await;
    // 8 tokens of the prompt and 4 of the reply, also where 5 of them were in the cache.
    let cost = 8.0 * 0.5 + 4.0 * 0.25;
    let named = |text: &str| text.replace("up/model", "native");
    for (at, path, reply) in [
        (0, "/v1/messages", named(MESSAGE)),
        (1, "/v1/responses", named(RESPONSE)),
        (2, "/v1/messages", named(&messages())),
        (3, "/v1/responses", named(&responses()) + "data: [DONE]\n\n"),
    ] {
        let stream = if at >= 2 { r#","stream":true"# } else { "" };
        // A member that the gateway does not know, and a number with its own digits.
        let body = format!(
            r#"{{"model":"native","max_tokens":9,"new_thing":{{"a":2.50}},"store":false{stream}}}"#
        );
        assert_eq!(client.call(path, &body).await, (200, reply), "{path}");
        let (upstream_path, upstream_body) = {
            let sent = &sent.lock().unwrap()[at];
            (sent.path.clone(), sent.body.clone())
        };
        assert_eq!(upstream_path, path);
        assert_eq!(upstream_body, body.replace(r#""native""#, r#""up/model""#));
        let spend = client.spend().await;
        let expected = cost * (at + 1) as f64;
        assert!(
            (spend - expected).abs() < 1e-6,
            "{path}: {spend}, not {expected}"
        );
    }
}

#[tokio::test]
async fn failures_have_the_form_of_their_api_and_no_secret() {
    for (path, expected, body) in [
        (
            "/v1/messages",
            529,
            r#"{"model":"native","messages":"fail"}"#,
        ),
        ("/v1/responses", 503, r#"{"model":"native","input":"fail"}"#),
    ] {
        let (client, _) = start().await;
        let (status, answer) = client.call(path, body).await;
        assert_eq!(status, expected, "{answer}");
        assert!(answer.contains("busy with ***"), "{answer}");
        let answer: Value = serde_json::from_str(&answer).unwrap();
        let is_messages = answer["type"] == "error";
        assert_eq!(is_messages, path == "/v1/messages", "{answer}");
        let streamed = body
            .replace('}', r#","stream":true}"#)
            .replace("fail", "break");
        // The deployment of the first gateway is cooling down.
        let (client, _) = start().await;
        let (status, events) = client.call(path, &streamed).await;
        assert_eq!(status, 200);
        let last = events
            .split("\n\n")
            .filter(|event| !event.is_empty())
            .last()
            .unwrap();
        let (name, data) = last.split_once("\ndata: ").unwrap_or_default();
        let data: Value = serde_json::from_str(data).unwrap_or_default();
        assert_eq!(
            (name, &data["type"]),
            ("event: error", &json!("error")),
            "{events}"
        );
        let (status, _) = client.post("sk-wrong", path, body).await;
        assert_eq!(status, 401);
    }
}

#[tokio::test]
async fn what_the_gateway_has_to_keep_is_not_sent() {
    let (client, sent) = start().await;
    let body = r#"{"model":"native","input":"x","previous_response_id":"resp_of_another_key"}"#;
    let (status, answer) = client.call("/v1/responses", body).await;
    assert_eq!(status, 400, "{answer}");
    assert!(sent.lock().unwrap().is_empty());
    // Without a store of its own, the gateway lets the upstream keep nothing.
    let (status, _) = client
        .call("/v1/responses", r#"{"model":"native","input":"x"}"#)
        .await;
    assert_eq!(status, 200);
    let body = sent.lock().unwrap()[0].body.clone();
    assert!(body.contains(r#""store":false"#), "{body}");
}

#[tokio::test]
async fn headers_of_the_messages_api_go_through_and_no_others() {
    let (client, sent) = start().await;
    let send = async |path: &str, headers: &[(&str, &str)], body: &str| {
        let request = client.http.post(format!("{}{path}", client.url));
        let request = request.bearer_auth(&client.key);
        let request = request.header("content-type", "application/json");
        let request = headers.iter().fold(request, |request, (name, value)| {
            request.header(*name, *value)
        });
        let response = request.body(body.to_owned()).send().await.unwrap();
        (response.status().as_u16(), response.text().await.unwrap())
    };
    let headers = [
        ("anthropic-version", "2023-06-01"),
        ("anthropic-beta", "one-2026-01-01,two"),
        ("anthropic-beta", "three"),
        ("x-api-key", "sk-of-the-client"),
        ("anthropic-dangerous-direct-browser-access", "true"),
    ];
    for stream in [false, true] {
        let body =
            format!(r#"{{"model":"native","max_tokens":9,"messages":[],"stream":{stream}}}"#);
        let (status, answer) = send("/v1/messages", &headers, &body).await;
        assert_eq!(status, 200, "{answer}");
        let found = sent.lock().unwrap().pop().unwrap().headers;
        let of_api = found
            .lines()
            .filter(|line| line.starts_with("anthropic-"))
            .collect::<Vec<_>>();
        let expected = [
            "anthropic-version: 2023-06-01",
            "anthropic-beta: one-2026-01-01,two",
            "anthropic-beta: three",
        ];
        assert_eq!(of_api, expected);
        assert!(!found.contains("sk-of-the-client"), "{found}");
    }
    let (status, answer) = send(
        "/v1/responses",
        &headers,
        r#"{"model":"native","input":"x"}"#,
    )
    .await;
    assert_eq!(status, 200, "{answer}");
    let found = sent.lock().unwrap().pop().unwrap().headers;
    assert!(!found.contains("anthropic-"), "{found}");

    let body = r#"{"model":"native","max_tokens":9,"messages":[]}"#;
    for value in [&*"x".repeat(5_000), "gr\u{fc}n"] {
        let (status, answer) = send("/v1/messages", &[("anthropic-beta", value)], body).await;
        assert_eq!(status, 400, "{answer}");
        assert!(
            answer.contains("the header anthropic-beta is invalid"),
            "{answer}"
        );
    }
    assert!(sent.lock().unwrap().is_empty());
}
