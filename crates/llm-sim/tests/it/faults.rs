//! Injected faults, and invalid requests.

use std::time::Duration;

use llm_sim::{Fault, FaultRule, Pace, Sim, SimOptions, SimReply, Timing};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::common::{self, KEY, client, get, json, post, start, start_with};

fn chat(stream: bool) -> Value {
    json!({
        "model": "openai/gpt-oss-20b",
        "stream": stream,
        "messages": [{"role": "user", "content": "hi"}],
    })
}

fn ask(sim: &Sim, stream: bool, fault: &'static str) -> reqwest::RequestBuilder {
    let url = format!("{}/v1/chat/completions", sim.together_url());
    post(url, &chat(stream)).header("x-sim-fault", fault)
}

#[tokio::test]
async fn errors_have_the_messages_of_the_provider() {
    let sim = start().await;
    for (status, kind) in [
        (402, "credit_limit"),
        (429, "dynamic_request_limited"),
        (500, "server_error"),
        (503, "service_unavailable"),
        (504, "timeout"),
    ] {
        sim.together()
            .inject(FaultRule::new(Fault::Status(status)).times(1));
        let response = ask(&sim, false, "").send().await.unwrap();
        assert_eq!(response.status(), status);
        let reset = response.headers().get("x-ratelimit-reset").is_some();
        assert_eq!(reset, status == 429);
        let body: Value = response.json().await.unwrap();
        assert_eq!(body["error"]["type"], kind);
    }
    let response = ask(&sim, false, "status=524").send().await.unwrap();
    assert_eq!(
        response.headers()["content-type"],
        "text/html; charset=UTF-8"
    );

    let base = format!("{}/v1/account", sim.replicate_url());
    for (status, detail) in [
        ("status=402", "You have insufficient credit"),
        ("status=429", "Request was throttled."),
        ("status=500", "Internal server error"),
    ] {
        let (_, body) = json(get(base.clone()).header("x-sim-fault", status)).await;
        assert!(
            body["detail"].as_str().unwrap().starts_with(detail),
            "{body}"
        );
    }
    let response = get(base)
        .header("x-sim-fault", "status=503")
        .send()
        .await
        .unwrap();
    assert_eq!(response.text().await.unwrap(), "Service Unavailable");
}

#[tokio::test]
async fn an_unknown_fault_is_an_error() {
    let sim = start().await;
    let (status, body) = json(ask(&sim, false, "explode")).await;
    assert_eq!(status, 400);
    let message = body["error"]["message"].as_str().unwrap();
    assert!(
        message.contains("\"explode\"") && message.contains("cut-after"),
        "{message}"
    );
}

#[tokio::test]
async fn prompts_can_request_faults_through_the_gateway() {
    let sim = start().await;
    let mut body = chat(false);
    body["messages"][0]["content"] = json!("please fail [sim: status=503]");
    let url = format!("{}/v1/chat/completions", sim.together_url());
    assert_eq!(json(post(url, &body)).await.0, 503);
}

#[tokio::test]
async fn bodies_are_cut_closed_and_corrupted() {
    let sim = start().await;
    let cut = ask(&sim, true, "cut-after=100").send().await.unwrap();
    assert_eq!(cut.status(), 200);
    assert!(cut.bytes().await.is_err());
    let cut = ask(&sim, false, "cut-after=10").send().await.unwrap();
    assert!(cut.bytes().await.is_err());

    // It looks complete except for the missing end.
    let ended = ask(&sim, true, "end-after=100").send().await.unwrap();
    assert_eq!(ended.bytes().await.unwrap().len(), 100);

    let garbage = ask(&sim, false, "garbage").send().await.unwrap();
    assert_eq!(
        garbage.headers()["content-type"],
        "application/json; charset=utf-8"
    );
    assert!(serde_json::from_slice::<Value>(&garbage.bytes().await.unwrap()).is_err());
}

#[tokio::test]
async fn bodies_end_with_garbage_or_half_a_character() {
    let sim = start().await;
    for stream in [true, false] {
        let half = ask(&sim, stream, "half-char-after=70")
            .send()
            .await
            .unwrap();
        assert_eq!(half.headers().get("content-length"), None);
        let half = half.bytes().await.unwrap();
        let error = std::str::from_utf8(&half).unwrap_err();
        // Valid, but incomplete.
        assert_eq!((error.valid_up_to(), error.error_len()), (70, None));

        let garbage = ask(&sim, stream, "garbage-after=70").send().await.unwrap();
        let garbage = garbage.bytes().await.unwrap();
        let error = std::str::from_utf8(&garbage).unwrap_err();
        assert_eq!((error.valid_up_to(), error.error_len()), (70, Some(1)));
    }
}

#[tokio::test]
async fn a_body_can_have_another_content_type() {
    let sim = start().await;
    let html = ask(&sim, false, "content-type=text/html")
        .send()
        .await
        .unwrap();
    assert_eq!(html.status(), 200);
    assert_eq!(html.headers()["content-type"], "text/html");
    let body: Value = html.json().await.unwrap();
    assert_eq!(body["object"], "chat.completion");
    let html = ask(&sim, false, "status=500, content-type=text/html");
    assert_eq!(
        html.send().await.unwrap().headers()["content-type"],
        "text/html"
    );
}

#[tokio::test(start_paused = true)]
async fn bodies_are_sent_slowly() {
    let sim = start().await;
    for stream in [true, false] {
        let began = tokio::time::Instant::now();
        let response = ask(&sim, stream, "drip=100/1m").send().await.unwrap();
        let body = response.bytes().await.unwrap();
        // Events are not joined to fill a piece.
        let drops = began.elapsed().as_secs() / 60;
        let least = body.len() as u64 / 100;
        assert!(
            drops >= least && (stream || drops == least),
            "{drops} {least}"
        );
    }
}

#[tokio::test]
async fn a_stream_breaks_off_with_an_error_event() {
    let sim = start_with(SimOptions::default().with_reply(SimReply::tokens(["a", "b", "c"]))).await;
    let mut body = chat(true);
    body["model"] = json!("meta-llama/Llama-3.3-70B-Instruct-Turbo");
    let url = format!("{}/v1/chat/completions", sim.together_url());
    let request = post(url, &body).header("x-sim-fault", "error-after=2");
    let events = common::events(request.send().await.unwrap()).await;
    let data: Vec<Value> = events
        .iter()
        .map(|(_, _, data)| serde_json::from_str(data).unwrap())
        .collect();
    let [a, b, error] = data.as_slice() else {
        panic!("{} events", data.len())
    };
    assert_eq!(
        (&a["choices"][0]["text"], &b["choices"][0]["text"]),
        (&json!("a"), &json!("b"))
    );
    assert_eq!(error["error"]["type"], "server_error");
}

#[tokio::test(start_paused = true)]
async fn delays_and_hangs_take_their_time() {
    let sim = start().await;
    let began = tokio::time::Instant::now();
    assert_eq!(json(ask(&sim, false, "delay=1h")).await.0, 200);
    assert_eq!(began.elapsed().as_secs(), 3600);

    let hanging = ask(&sim, false, "hang").send();
    assert!(
        tokio::time::timeout(Duration::from_secs(3600), hanging)
            .await
            .is_err()
    );
    let half = ask(&sim, true, "hang-after=50").send().await.unwrap();
    let rest = tokio::time::timeout(Duration::from_secs(3600), half.bytes());
    assert!(rest.await.is_err());
    sim.together().idle().await;
}

#[tokio::test]
async fn bodies_are_written_in_the_requested_pieces() {
    let options = SimOptions::default().with_pace(Pace::default().with_bytes_per_write(7));
    let (split, whole) = (start_with(options).await, start().await);
    let text = |sim: &Sim| {
        let request = ask(sim, true, "");
        async move { request.send().await.unwrap().text().await.unwrap() }
    };
    // The bodies are equal except for the times in the ids.
    let body = text(&split).await;
    assert_eq!(body.len(), text(&whole).await.len());

    let (head, body) = raw(
        &split,
        "POST",
        "/v1/chat/completions",
        &chat(true).to_string(),
    )
    .await;
    assert!(head.contains("transfer-encoding: chunked"), "{head}");
    let mut rest = body.as_slice();
    let mut sizes = Vec::new();
    while let Some(line) = rest.iter().position(|byte| *byte == b'\n') {
        let size = std::str::from_utf8(&rest[..line]).unwrap().trim();
        let size = usize::from_str_radix(size, 16).unwrap();
        sizes.push(size);
        rest = &rest[line + 1 + size + 2..];
    }
    assert!(sizes.iter().all(|size| *size <= 7), "{sizes:?}");
    assert!(sizes.contains(&7) && sizes.len() > 100);
}

#[tokio::test]
async fn a_disconnected_client_ends_its_request() {
    let timing = Timing::default().with_token(Duration::from_secs(3600));
    let sim = start_with(SimOptions::default().with_timing(timing)).await;
    let mut response = ask(&sim, true, "").send().await.unwrap();
    assert!(response.chunk().await.unwrap().is_some());
    assert_eq!(sim.together().in_flight(), 1);
    drop(response);
    sim.together().idle().await;
    assert_eq!(sim.together().in_flight(), 0);

    let plain = tokio::spawn(ask(&sim, false, "").send());
    sim.together().requests_until(|seen| seen.len() == 2).await;
    plain.abort();
    sim.together().idle().await;
}

#[tokio::test]
async fn requests_are_recorded_without_secrets() {
    let sim = start().await;
    json(ask(&sim, false, "")).await;
    let seen = sim.together().requests();
    assert_eq!(
        (seen[0].method.as_str(), seen[0].path.as_str()),
        ("POST", "/v1/chat/completions")
    );
    assert_eq!(seen[0].json(), chat(false));
    let key = format!("Bearer {}", llm_sim::fingerprint(KEY));
    assert_eq!(seen[0].header("authorization"), Some(key.as_str()));
    sim.together().forget_requests();
    assert!(sim.together().requests().is_empty());
    assert_eq!(sim.together().request_count(), 1);
}

#[tokio::test]
async fn no_request_causes_a_panic() {
    let sim = start().await;
    let client = client();
    let bodies = [
        "null",
        "0",
        "\"\"",
        "{}",
        "{\"model\":null}",
        "[[[[",
        "{\"input\":{\"prompt\":1e999}}",
        "{\"version\":\":\",\"input\":{}}",
        "{\"messages\":[null],\"model\":\"a/b\"}",
        "{\"messages\":[{\"role\":\"user\",\"content\":\"\"}],\"model\":\"a/b\",\"max_tokens\":1,\"min_tokens\":99999999999,\"stop\":[\"\"]}",
        "{\"input\":{\"prompt\":\"\",\"max_tokens\":1e300,\"min_tokens\":1e300}}",
        "{\"model\":\"a/b\",\"input\":[\"\",\"\\u0000\"]}",
        "{\"model\":\"a/b\",\"query\":\"\",\"documents\":[{}]}",
        "{\"model\":\"Qwen/b\",\"messages\":[{\"role\":\"user\",\"content\":\"\"}],\"stream\":true,\"n\":3,\"max_tokens\":1}",
    ];
    let paths = [
        "/",
        "/v1",
        "/v1/",
        "//",
        "/v1/chat/completions",
        "/v1/completions",
        "/v1/embeddings",
        "/v1/rerank",
        "/v1/models",
        "/v1/models/%00/%ff",
        "/v1/models/meta/llama-3",
        "/v1/predictions",
        "/v1/predictions?cursor=%",
        "/v1/predictions?cursor=pffffffffffffffff",
        "/v1/predictions/x/cancel",
        "/v1/models/meta/meta-llama-3-8b-instruct/predictions",
        "/v1/models/acme/x/versions/%F0%9F",
        "/v1/deployments",
        "/v1/deployments/acme/llama-3-chat",
        "/v1/streams/",
        "/v1/streams/x",
    ];
    for base in [sim.together_url(), sim.replicate_url()] {
        for path in paths {
            for method in ["GET", "POST", "PATCH", "DELETE", "PUT", "OPTIONS", "QUERY"] {
                let bodies = if method == "POST" {
                    &bodies[..]
                } else {
                    &bodies[..1]
                };
                for body in bodies {
                    let method = reqwest::Method::from_bytes(method.as_bytes()).unwrap();
                    let request = client.request(method, format!("{base}{path}"));
                    let request = request.bearer_auth(KEY).body(*body);
                    let response = request.send().await.expect("an answer, whatever it is");
                    response.bytes().await.expect("a whole body");
                }
            }
        }
    }
    assert_eq!(
        json(get(format!("{}/v1/account", sim.replicate_url())))
            .await
            .0,
        200
    );
}

#[tokio::test]
async fn a_body_that_is_too_large_is_rejected() {
    let sim = start().await;
    let url = format!("{}/v1/chat/completions", sim.together_url());
    let huge = client()
        .post(url)
        .bearer_auth(KEY)
        .body(vec![b' '; (32 << 20) + 1]);
    assert_eq!(json(huge).await.0, 413);
}

#[tokio::test]
async fn shutting_down_lets_answers_finish_and_frees_the_port() {
    let timing = Timing::default().with_first_token(Duration::from_millis(200));
    let sim = start_with(SimOptions::default().with_timing(timing)).await;
    let port: u16 = sim
        .together_url()
        .rsplit(':')
        .next()
        .unwrap()
        .parse()
        .unwrap();
    let answer = tokio::spawn(json(ask(&sim, false, "")));
    sim.together().requests_until(|seen| seen.len() == 1).await;
    sim.shutdown().await;
    assert_eq!(answer.await.unwrap().0, 200);
    assert!(TcpStream::connect(("127.0.0.1", port)).await.is_err());

    let sim = start_with(SimOptions::default().with_together_port(port)).await;
    assert!(
        Sim::start(SimOptions::default().with_together_port(port))
            .await
            .is_err()
    );
    drop(sim);
}

/// A raw request: returns the head and the body as received.
async fn raw(sim: &Sim, method: &str, path: &str, body: &str) -> (String, Vec<u8>) {
    let address = sim.together_url().trim_start_matches("http://");
    let mut socket = TcpStream::connect(address).await.unwrap();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {KEY}\r\n\
         connection: close\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    socket.write_all(request.as_bytes()).await.unwrap();
    let mut all = Vec::new();
    socket.read_to_end(&mut all).await.unwrap();
    let end = all
        .windows(4)
        .position(|bytes| bytes == b"\r\n\r\n")
        .unwrap()
        + 4;
    (
        String::from_utf8_lossy(&all[..end]).into_owned(),
        all[end..].to_vec(),
    )
}
