//! What `/metrics` tells Prometheus.

use std::sync::Arc;

use gateway_store::{KeySettings, Store, StoreOptions};
use http::{Method, Request};
use llm_gateway::{Config, Gateway, GatewayOptions, VirtualKeys};
use llm_provider::{ApiKey, Error, ErrorKind};
use llm_router::{Deployment, Prices, QueueOptions, RateLimits};
use tokio::sync::Semaphore;

use crate::support::{
    Scripted, Step, chat_request, deployment, error, frame, gateway, get, post, send, text,
};

const REPLY: &str = r#"{"id":"1","choices":[],"usage":{"prompt_tokens":10,"completion_tokens":5,"total_tokens":15,"prompt_tokens_details":{"cached_tokens":4}}}"#;
const CHUNK: &str = r#"{"id":"1","choices":[{"index":0,"delta":{"content":"Hi"}}]}"#;

async fn metrics(gateway: &Gateway) -> String {
    let response = send(gateway.clone(), get("/metrics")).await;
    assert_eq!(response.status(), 200);
    assert_eq!(
        response.headers()["content-type"],
        "text/plain; version=0.0.4"
    );
    text(response).await
}

/// The value of a series, such as `name{label="value"}`.
fn value<'t>(metrics: &'t str, series: &str) -> Option<&'t str> {
    let mut lines = metrics.lines();
    lines.find_map(|line| line.strip_prefix(series)?.strip_prefix(' '))
}

#[tokio::test]
async fn a_call_counts_its_request_attempt_tokens_and_cost() {
    let priced =
        deployment(Scripted::new([Step::Json(REPLY)])).with_prices(Prices::new(1e-3, 2e-3));
    let gateway = Gateway::new(Config::new(vec![priced]), GatewayOptions::new());
    for _ in 0..2 {
        text(send(gateway.clone(), chat_request("")).await).await;
    }
    let metrics = metrics(&gateway).await;
    let labels = r#"deployment="scripted/upstream/model",model="llama""#;
    for (series, expected) in [
        (
            r#"polyllm_requests_total{route="/v1/chat/completions",status="200"}"#.to_owned(),
            "2",
        ),
        (
            r#"polyllm_request_duration_seconds_count{route="/v1/chat/completions"}"#.to_owned(),
            "2",
        ),
        // The request for the metrics itself.
        ("polyllm_requests_in_flight".to_owned(), "1"),
        (format!("polyllm_attempts_total{{{labels}}}"), "2"),
        (
            format!("polyllm_attempt_duration_seconds_count{{{labels}}}"),
            "2",
        ),
        (
            format!("polyllm_tokens_total{{{labels},type=\"input\"}}"),
            "20",
        ),
        (
            format!("polyllm_tokens_total{{{labels},type=\"cached_input\"}}"),
            "8",
        ),
        (
            format!("polyllm_tokens_total{{{labels},type=\"output\"}}"),
            "10",
        ),
        (format!("polyllm_cost_usd_total{{{labels}}}"), "0.040000000"),
        (format!("polyllm_deployment_in_flight{{{labels}}}"), "0"),
        (format!("polyllm_deployment_cooling_down{{{labels}}}"), "0"),
    ] {
        assert_eq!(
            value(&metrics, &series),
            Some(expected),
            "{series}\n{metrics}"
        );
    }
}

#[tokio::test]
async fn a_failure_counts_by_kind_and_the_model_that_takes_over() {
    let fail = || Error::new(ErrorKind::Auth, "the key is wrong");
    let down = Scripted::new([Step::Fail(fail)]);
    let up = Deployment::new("qwen", Scripted::new([Step::Json(REPLY)]), "upstream/other");
    let mut config = Config::new(vec![deployment(down), up]);
    let fallbacks = llm_router::Fallbacks::default().with_default(["qwen"]);
    config.router = config.router.with_fallbacks(fallbacks);
    let gateway = Gateway::new(config, GatewayOptions::new());
    assert_eq!(send(gateway.clone(), chat_request("")).await.status(), 200);
    let metrics = metrics(&gateway).await;
    let labels = r#"deployment="scripted/upstream/model""#;
    for (series, expected) in [
        (
            format!(
                "polyllm_attempt_failures_total{{{labels},error=\"authentication_failed\",model=\"llama\"}}"
            ),
            "1",
        ),
        (
            format!(
                "polyllm_cooldowns_total{{{labels},error=\"authentication_failed\",model=\"llama\"}}"
            ),
            "1",
        ),
        (
            format!("polyllm_deployment_cooling_down{{{labels},model=\"llama\"}}"),
            "1",
        ),
        (
            r#"polyllm_fallbacks_total{from="llama",to="qwen"}"#.to_owned(),
            "1",
        ),
    ] {
        assert_eq!(
            value(&metrics, &series),
            Some(expected),
            "{series}\n{metrics}"
        );
    }
}

#[tokio::test]
async fn a_stream_is_in_flight_until_its_body_ends() {
    let gate = Arc::new(Semaphore::new(0));
    let provider = Scripted::new([Step::Json(CHUNK), Step::Until(Arc::clone(&gate))]);
    let gateway = gateway(provider);
    let response = send(gateway.clone(), chat_request(r#","stream":true"#)).await;
    let mut body = response.into_body();
    frame(&mut body).await.unwrap();
    let during = metrics(&gateway).await;
    assert_eq!(value(&during, "polyllm_requests_in_flight"), Some("2"));
    gate.close();
    while frame(&mut body).await.is_some() {}
    drop(body);
    let after = metrics(&gateway).await;
    assert_eq!(value(&after, "polyllm_requests_in_flight"), Some("1"));
    let labels = r#"deployment="scripted/upstream/model",model="llama""#;
    let first_output = format!("polyllm_time_to_first_output_seconds_count{{{labels}}}");
    assert_eq!(value(&after, &first_output), Some("1"), "{after}");
}

#[tokio::test]
async fn a_client_that_leaves_before_the_response_is_counted_as_closed() {
    let provider = Scripted::new([Step::Silence]);
    let gateway = gateway(Arc::clone(&provider));
    let request = tokio::spawn(send(gateway.clone(), chat_request("")));
    provider.until_running(1).await;
    request.abort();
    provider.until_running(0).await;
    let metrics = metrics(&gateway).await;
    let series = r#"polyllm_requests_total{route="/v1/chat/completions",status="closed"}"#;
    assert_eq!(value(&metrics, series), Some("1"), "{metrics}");
}

#[tokio::test]
async fn clients_cannot_add_series() {
    let gateway = gateway(Scripted::new([Step::Json(REPLY)]));
    let requests = |from: usize| {
        (from..from + 50).map(|number| {
            let model = format!(r#"{{"model":"hostile-{number}","messages":[]}}"#);
            [
                post("/v1/chat/completions", model),
                get(&format!("/hostile/{number}")),
                get(&format!("/v1/models/hostile-{number}")),
            ]
        })
    };
    let mut lines = Vec::new();
    for from in [0, 50] {
        for request in requests(from).flatten() {
            send(gateway.clone(), request).await;
        }
        let metrics = metrics(&gateway).await;
        assert!(!metrics.contains("hostile"), "{metrics}");
        lines.push(metrics.lines().count());
    }
    // The second scrape also counts the first.
    assert!(lines[1] <= lines[0] + 30, "{lines:?}");
}

#[tokio::test]
async fn keys_and_hostile_model_names_add_no_series() {
    count_series(500).await;
}

#[tokio::test]
#[ignore = "takes minutes without optimization"]
async fn ten_thousand_keys_and_hostile_model_names_add_no_series() {
    count_series(10_000).await;
}

/// Calls with as many keys and model names, and compares the series with those after 100 calls.
async fn count_series(keys_count: usize) {
    let reply = Scripted::new([Step::Json(REPLY)]);
    let any = Deployment::new("open/*", reply.clone(), "upstream/*");
    let config = Config::new(vec![deployment(reply), any]);
    let store = Store::open("sqlite::memory:", StoreOptions::default());
    let keys = VirtualKeys::new(store.await.unwrap()).await.unwrap();
    let options = GatewayOptions::new().with_virtual_keys(keys.clone());
    let gateway = Gateway::new(config.with_master_key(ApiKey::new("sk-master")), options);
    let ask = async |key: &str, path: &str, body: String| {
        let request = post(path, body);
        let (mut head, body) = request.into_parts();
        let value = format!("Bearer {key}").parse().unwrap();
        head.headers.insert("authorization", value);
        send(gateway.clone(), Request::from_parts(head, body)).await
    };
    let mut lines = Vec::new();
    for number in 0..keys_count {
        let settings = KeySettings::default();
        let key = keys.store().keys().generate(settings).await.unwrap();
        let key = key.secret.expose();
        let model = ["llama", "open/h{number}", "h{number}\"} 1\n"][number % 3];
        let model = model.replace("{number}", &number.to_string());
        let body = serde_json::json!({
            "model": model, "user": model, "messages": [{ "role": "user", "content": "x" }],
        });
        let response = ask(key, "/v1/chat/completions", body.to_string()).await;
        let expected = if number % 3 == 2 { 404 } else { 200 };
        assert_eq!(response.status(), expected, "{model}");
        if number == 100 || number == keys_count - 1 {
            let request = Request::get("/metrics").header("authorization", "Bearer sk-master");
            let request = request.body(axum::body::Body::empty()).unwrap();
            let metrics = text(send(gateway.clone(), request).await).await;
            lines.push(metrics.lines().count());
            assert!(!metrics.contains("h99"), "{metrics}");
        }
    }
    // The second scrape has the series of the first.
    assert!(lines[1] <= lines[0] + 30, "{lines:?}");
}

#[tokio::test]
async fn the_length_of_a_queue_is_a_metric() {
    let gate = Arc::new(Semaphore::new(0));
    let provider = Scripted::new([Step::Until(Arc::clone(&gate)), Step::Json(REPLY)]);
    let limits = RateLimits::default().with_max_parallel_requests(1);
    let mut config = Config::new(vec![deployment(provider.clone()).with_limits(limits)]);
    config.router = config.router.with_queue(QueueOptions::default());
    let gateway = Gateway::new(config, GatewayOptions::new());
    let calls: Vec<_> = (0..3)
        .map(|_| tokio::spawn(send(gateway.clone(), chat_request(""))))
        .collect();
    provider.until_running(1).await;
    let length =
        |metrics: &str| value(metrics, r#"polyllm_queue_length{model="llama"}"#).map(str::to_owned);
    // The other two join the queue as soon as they run.
    while length(&metrics(&gateway).await).as_deref() != Some("2") {
        tokio::task::yield_now().await;
    }
    gate.close();
    for call in calls {
        assert_eq!(call.await.unwrap().status(), 200);
    }
    assert_eq!(length(&metrics(&gateway).await).as_deref(), Some("0"));
}

#[tokio::test]
async fn counters_outlive_a_reload() {
    let gateway = gateway(Scripted::new([Step::Json(REPLY)]));
    send(gateway.clone(), chat_request("")).await;
    gateway.reload(Config::new(vec![deployment(Scripted::new([Step::Json(
        REPLY,
    )]))]));
    send(gateway.clone(), chat_request("")).await;
    let metrics = metrics(&gateway).await;
    let series = r#"polyllm_attempts_total{deployment="scripted/upstream/model",model="llama"}"#;
    assert_eq!(value(&metrics, series), Some("2"), "{metrics}");
}

#[tokio::test]
async fn metrics_need_the_master_key_where_there_is_one() {
    let provider = Scripted::new([Step::Json(REPLY)]);
    let config = Config::new(vec![deployment(provider)]).with_master_key(ApiKey::new("sk-master"));
    let gateway = Gateway::new(config, GatewayOptions::new());
    let (status, refused) = error(send(gateway.clone(), get("/metrics")).await).await;
    assert_eq!((status, &refused["code"]), (401, &"invalid_api_key".into()));
    let request = Request::builder()
        .method(Method::GET)
        .uri("/metrics")
        .header("authorization", "Bearer sk-master");
    let request = request.body(axum::body::Body::empty()).unwrap();
    assert_eq!(send(gateway, request).await.status(), 200);
}
