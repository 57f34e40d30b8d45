//! The dashboard: its page, logins, sessions, and the data that only it gets.

use std::time::Duration;

use axum::body::Body;
use gateway_store::{Store, StoreOptions};
use http::{Request, Response};
use llm_gateway::{Config, Gateway, GatewayOptions, ResponseBody, VirtualKeys};
use llm_provider::{ApiKey, Error, ErrorKind};
use llm_router::{Deployment, Prices};
use serde_json::{Value, json};

use crate::support::{Scripted, Step, chat_request, deployment, get, send, text};

const MASTER: &str = "sk-master";
const REPLY: &str = r#"{"id":"1","choices":[],"usage":{"prompt_tokens":10,"completion_tokens":5,"total_tokens":15}}"#;

fn locked(config: Config) -> Gateway {
    let config = config.with_master_key(ApiKey::new(MASTER));
    Gateway::new(config, GatewayOptions::new())
}

fn simple() -> Gateway {
    locked(Config::new(vec![deployment(Scripted::new([Step::Json(
        REPLY,
    )]))]))
}

/// A request of the page, with these headers.
fn ask(method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Request<Body> {
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(Body::from(body.to_owned())).unwrap()
}

async fn login(gateway: &Gateway, key: &str, headers: &[(&str, &str)]) -> Response<ResponseBody> {
    let body = json!({ "key": key }).to_string();
    send(gateway.clone(), ask("POST", "/ui/login", headers, &body)).await
}

async fn json_of(response: Response<ResponseBody>) -> Value {
    serde_json::from_str(&text(response).await).unwrap()
}

/// The cookie and the token of a new session.
async fn session(gateway: &Gateway) -> (String, String) {
    let response = login(gateway, MASTER, &[]).await;
    assert_eq!(response.status(), 200);
    let cookie = response.headers()["set-cookie"].to_str().unwrap();
    let cookie = cookie.split(';').next().unwrap().to_owned();
    let token = json_of(response).await["token"]
        .as_str()
        .unwrap()
        .to_owned();
    (cookie, token)
}

async fn status(gateway: &Gateway, path: &str, headers: &[(&str, &str)]) -> u16 {
    let response = send(gateway.clone(), ask("GET", path, headers, "")).await;
    response.status().as_u16()
}

#[tokio::test]
async fn the_page_needs_no_key_and_allows_no_script_but_its_own() {
    let gateway = simple();
    let mut nonces = Vec::new();
    for path in ["/ui", "/ui/"] {
        let response = send(gateway.clone(), get(path)).await;
        assert_eq!(response.status(), 200);
        assert_eq!(
            response.headers()["content-type"],
            "text/html; charset=utf-8"
        );
        assert_eq!(response.headers()["x-frame-options"], "DENY");
        let policy = response.headers()["content-security-policy"]
            .to_str()
            .unwrap()
            .to_owned();
        assert!(
            policy.starts_with("default-src 'none'; script-src 'nonce-"),
            "{policy}"
        );
        assert!(!policy.contains("unsafe"), "{policy}");
        let page = text(response).await;
        let nonce = policy
            .split(['\'', '-'])
            .find(|part| part.len() == 64)
            .unwrap();
        assert_eq!(page.matches(&format!("nonce=\"{nonce}\"")).count(), 2);
        // Nothing in the page builds markup from text or names another host.
        for word in [
            "innerHTML",
            "outerHTML",
            "insertAdjacentHTML",
            "document.write",
            "eval(",
            "{{",
            "https://",
        ] {
            assert!(!page.contains(word), "{word}");
        }
        nonces.push(nonce.to_owned());
    }
    assert_ne!(nonces[0], nonces[1]);
}

#[tokio::test]
async fn a_browser_is_sent_from_the_root_to_the_dashboard() {
    let browser = [("accept", "text/html,application/xhtml+xml;q=0.9")];
    let root = |headers: &[_]| ask("GET", "/", headers, "");
    let response = send(simple(), root(&browser)).await;
    assert_eq!(response.status(), 303);
    assert_eq!(response.headers()["location"], "/ui");
    let options = GatewayOptions::new().with_dashboard(false);
    let without = Gateway::new(Config::new(vec![]), options);
    assert_eq!(send(without, root(&browser)).await.status(), 404);
    for other in [&[][..], &[("accept", "*/*")]] {
        assert_eq!(send(simple(), root(other)).await.status(), 401);
    }
}

#[tokio::test]
async fn the_dashboard_can_be_turned_off() {
    let config = Config::new(vec![deployment(Scripted::new([Step::Json(REPLY)]))]);
    let gateway = Gateway::new(config, GatewayOptions::new().with_dashboard(false));
    for path in ["/ui", "/ui/status", "/ui/session"] {
        assert_eq!(status(&gateway, path, &[]).await, 404, "{path}");
    }
}

#[tokio::test]
async fn a_session_needs_its_cookie_and_its_token() {
    let gateway = simple();
    let (cookie, token) = session(&gateway).await;
    let (cookie, token) = (cookie.as_str(), token.as_str());
    for path in [
        "/ui/status",
        "/ui/requests",
        "/ui/config",
        "/v1/models",
        "/metrics",
    ] {
        assert_eq!(status(&gateway, path, &[]).await, 401, "{path}");
        let only_cookie = [("cookie", cookie)];
        assert_eq!(status(&gateway, path, &only_cookie).await, 401, "{path}");
        let only_token = [("x-polyllm-token", token)];
        assert_eq!(status(&gateway, path, &only_token).await, 401, "{path}");
        let wrong = [("cookie", cookie), ("x-polyllm-token", "0")];
        assert_eq!(status(&gateway, path, &wrong).await, 401, "{path}");
        let both = [("cookie", cookie), ("x-polyllm-token", token)];
        assert_eq!(status(&gateway, path, &both).await, 200, "{path}");
    }
    // A page that is loaded again gets its token; without the cookie, nobody does.
    let found = send(
        gateway.clone(),
        ask("GET", "/ui/session", &[("cookie", cookie)], ""),
    )
    .await;
    assert_eq!(json_of(found).await["token"], token);
    let found = json_of(send(gateway.clone(), get("/ui/session")).await).await;
    assert_eq!(
        found,
        json!({ "needs_login": true, "logged_in": false, "token": null })
    );
    // After the logout, neither works.
    let both = [("cookie", cookie), ("x-polyllm-token", token)];
    let out = send(gateway.clone(), ask("POST", "/ui/logout", &both, "")).await;
    assert_eq!(out.status(), 200);
    assert!(
        out.headers()["set-cookie"]
            .to_str()
            .unwrap()
            .contains("Max-Age=0")
    );
    assert_eq!(status(&gateway, "/ui/status", &both).await, 401);
}

#[tokio::test]
async fn the_cookie_is_for_this_site_only_and_for_tls_where_there_is_tls() {
    let gateway = simple();
    let plain = login(&gateway, MASTER, &[]).await;
    let plain = plain.headers()["set-cookie"].to_str().unwrap().to_owned();
    assert!(
        plain.ends_with("; Path=/; Max-Age=43200; HttpOnly; SameSite=Strict"),
        "{plain}"
    );
    let own = [("host", "llm.example"), ("origin", "https://llm.example")];
    let secure = login(&gateway, MASTER, &own).await;
    assert!(
        secure.headers()["set-cookie"]
            .to_str()
            .unwrap()
            .ends_with("; Secure")
    );
}

#[tokio::test]
async fn pages_of_other_sites_can_neither_log_in_nor_read_the_token() {
    let gateway = simple();
    let (cookie, _) = session(&gateway).await;
    for header in [
        ("origin", "https://evil.example"),
        ("origin", "http://localhost:1234"),
        ("origin", "null"),
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-site", "same-site"),
        ("sec-fetch-site", "none"),
    ] {
        let headers = [("host", "localhost:4000"), header, ("cookie", &cookie)];
        assert_eq!(
            login(&gateway, MASTER, &headers).await.status(),
            403,
            "{header:?}"
        );
        assert_eq!(
            status(&gateway, "/ui/session", &headers).await,
            403,
            "{header:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_wrong_login_is_slow_and_many_are_refused_for_a_while() {
    let gateway = simple();
    let start = tokio::time::Instant::now();
    assert_eq!(login(&gateway, "sk-wrong", &[]).await.status(), 401);
    assert!(start.elapsed() >= Duration::from_secs(1));
    // At the same time, so that waiting allows no further one.
    let many = (0..20).map(|_| login(&gateway, "sk-wrong", &[]));
    let many = futures_util::future::join_all(many).await;
    let refused: Vec<_> = many.iter().filter(|one| one.status() == 429).collect();
    assert_eq!(refused.len(), 11);
    assert_eq!(refused[0].headers()["retry-after"], "5");
    // Also with the right key: otherwise an attacker could try on.
    assert_eq!(login(&gateway, MASTER, &[]).await.status(), 429);
    tokio::time::advance(Duration::from_secs(6)).await;
    // Logins that succeed do not count.
    for _ in 0..20 {
        assert_eq!(login(&gateway, MASTER, &[]).await.status(), 200);
    }
}

#[tokio::test(start_paused = true)]
async fn sessions_end_after_twelve_hours_with_another_master_key_and_above_the_limit() {
    let gateway = simple();
    let (cookie, token) = session(&gateway).await;
    let both = [
        ("cookie", cookie.as_str()),
        ("x-polyllm-token", token.as_str()),
    ];
    tokio::time::advance(Duration::from_secs(12 * 3600 - 1)).await;
    assert_eq!(status(&gateway, "/ui/status", &both).await, 200);
    tokio::time::advance(Duration::from_secs(2)).await;
    assert_eq!(status(&gateway, "/ui/status", &both).await, 401);

    let (cookie, token) = session(&gateway).await;
    let both = [
        ("cookie", cookie.as_str()),
        ("x-polyllm-token", token.as_str()),
    ];
    let config = || Config::new(vec![deployment(Scripted::new([Step::Json(REPLY)]))]);
    gateway.reload(config().with_master_key(ApiKey::new(MASTER)));
    assert_eq!(status(&gateway, "/ui/status", &both).await, 200);
    for _ in 0..64 {
        session(&gateway).await;
    }
    assert_eq!(status(&gateway, "/ui/status", &both).await, 401);

    let (cookie, token) = session(&gateway).await;
    let both = [
        ("cookie", cookie.as_str()),
        ("x-polyllm-token", token.as_str()),
    ];
    gateway.reload(config().with_master_key(ApiKey::new("sk-other")));
    assert_eq!(status(&gateway, "/ui/status", &both).await, 401);
}

#[tokio::test]
async fn the_metrics_have_the_state_of_the_database() {
    let store = Store::open("sqlite::memory:", StoreOptions::default());
    let keys = VirtualKeys::new(store.await.unwrap()).await.unwrap();
    let config = Config::new(vec![deployment(Scripted::new([Step::Json(REPLY)]))]);
    let gateway = Gateway::new(config, GatewayOptions::new().with_virtual_keys(keys));
    let metrics = text(send(gateway, get("/metrics")).await).await;
    assert!(metrics.contains("\npolyllm_database_up 1\n"), "{metrics}");
    assert!(
        metrics.contains("\npolyllm_usage_records_waiting 0\n"),
        "{metrics}"
    );
    assert!(
        metrics.contains("\npolyllm_build_info{version="),
        "{metrics}"
    );
}

#[tokio::test]
async fn a_virtual_key_does_not_open_the_dashboard() {
    let store = Store::open("sqlite::memory:", StoreOptions::default());
    let keys = VirtualKeys::new(store.await.unwrap()).await.unwrap();
    let config = Config::new(vec![deployment(Scripted::new([Step::Json(REPLY)]))]);
    let config = config.with_master_key(ApiKey::new(MASTER));
    let gateway = Gateway::new(config, GatewayOptions::new().with_virtual_keys(keys));
    let (cookie, token) = session(&gateway).await;
    // The session manages keys, as the master key does.
    let headers = [
        ("cookie", cookie.as_str()),
        ("x-polyllm-token", token.as_str()),
    ];
    let generated = ask(
        "POST",
        "/key/generate",
        &headers,
        r#"{"key_alias":"<b>x</b>"}"#,
    );
    let generated = json_of(send(gateway.clone(), generated).await).await;
    let bearer = format!("Bearer {}", generated["key"].as_str().unwrap());
    let headers = [("authorization", bearer.as_str())];
    for path in ["/ui/status", "/ui/activity", "/ui/requests", "/ui/config"] {
        assert_eq!(status(&gateway, path, &headers).await, 403, "{path}");
    }
    assert_eq!(login(&gateway, &bearer[7..], &[]).await.status(), 401);
}

async fn recent(gateway: &Gateway, query: &str) -> Value {
    let path = format!("/ui/requests{query}");
    json_of(send(gateway.clone(), get(&path)).await).await["requests"].take()
}

#[tokio::test]
async fn a_recent_request_has_its_attempts_tokens_and_cost_but_no_prompt() {
    let failing = Scripted::new([Step::Fail(|| {
        Error::new(ErrorKind::Overloaded, "no <b>capacity</b>").with_provider("scripted")
    })]);
    let first = Deployment::new("llama", failing, "upstream/first");
    let second = Deployment::new(
        "llama",
        Scripted::new([Step::Json(REPLY)]),
        "upstream/second",
    );
    let second = second.with_order(1).with_prices(Prices::new(0.01, 0.02));
    let gateway = Gateway::new(Config::new(vec![first, second]), GatewayOptions::new());
    let mut request = chat_request("");
    let id = "x-claude-code-session-id";
    request
        .headers_mut()
        .insert(id, "session-1".parse().unwrap());
    text(send(gateway.clone(), request).await).await;
    // Requests that call no model are not listed.
    send(gateway.clone(), get("/v1/models")).await;
    let all = recent(&gateway, "").await;
    assert_eq!(all.as_array().unwrap().len(), 1, "{all}");
    let one = &all[0];
    assert_eq!(one["status"], 200);
    assert_eq!(one["model"], "llama");
    assert_eq!(one["session"], "session-1");
    assert_eq!(
        (&one["input_tokens"], &one["output_tokens"]),
        (&json!(10), &json!(5))
    );
    assert!((one["cost"].as_f64().unwrap() - 0.2).abs() < 1e-9);
    let outcomes: Vec<_> = one["attempts"]
        .as_array()
        .unwrap()
        .iter()
        .map(|attempt| {
            (
                attempt["deployment"].as_str().unwrap(),
                attempt["outcome"].as_str().unwrap(),
            )
        })
        .collect();
    assert_eq!(
        outcomes,
        [
            ("scripted/upstream/first", "failed"),
            ("scripted/upstream/second", "ok")
        ]
    );
    assert!(
        one["attempts"][0]["error"]
            .as_str()
            .unwrap()
            .contains("no <b>capacity</b>")
    );
    assert_eq!(one["error"], Value::Null);
    assert!(one["overhead_ms"].as_f64().unwrap() <= one["duration_ms"].as_f64().unwrap());
    assert!(!all.to_string().contains("Hello"), "{all}");
    assert_eq!(recent(&gateway, "?failed=true").await, json!([]));
}

#[tokio::test]
async fn recent_requests_are_bounded_and_those_without_a_valid_key_are_not_kept() {
    let gateway = locked(Config::new(vec![deployment(Scripted::new([Step::Json(
        REPLY,
    )]))]));
    send(gateway.clone(), chat_request("")).await;
    let (cookie, token) = session(&gateway).await;
    let headers = [
        ("cookie", cookie.as_str()),
        ("x-polyllm-token", token.as_str()),
    ];
    let list = || ask("GET", "/ui/requests?limit=500", &headers, "");
    assert_eq!(
        json_of(send(gateway.clone(), list()).await).await["requests"],
        json!([])
    );
    let long = "x".repeat(5_000);
    let body = format!(r#"{{"model":"{long}","messages":[{{"role":"user","content":"Hello"}}]}}"#);
    for _ in 0..510 {
        let request = ask("POST", "/v1/chat/completions", &headers, &body);
        assert_eq!(send(gateway.clone(), request).await.status(), 400);
    }
    let all = text(send(gateway.clone(), list()).await).await;
    let count = serde_json::from_str::<Value>(&all).unwrap()["requests"]
        .as_array()
        .unwrap()
        .len();
    assert_eq!(count, 500);
    assert!(all.len() < 1_000_000, "{}", all.len());
    let bad = ask("GET", "/ui/requests?limit=501", &headers, "");
    assert_eq!(send(gateway.clone(), bad).await.status(), 400);
}

#[tokio::test]
async fn the_totals_and_the_state_are_there_without_a_database() {
    let priced =
        deployment(Scripted::new([Step::Json(REPLY)])).with_prices(Prices::new(0.01, 0.02));
    let gateway = Gateway::new(Config::new(vec![priced]), GatewayOptions::new());
    for _ in 0..3 {
        text(send(gateway.clone(), chat_request("")).await).await;
    }
    let activity = json_of(send(gateway.clone(), get("/ui/activity?minutes=10")).await).await;
    let points = activity["points"].as_array().unwrap();
    let sum = |name: &str| {
        points
            .iter()
            .map(|point| point[name].as_f64().unwrap())
            .sum::<f64>()
    };
    assert_eq!(
        (sum("requests"), sum("failed"), sum("output_tokens")),
        (3.0, 0.0, 15.0)
    );
    assert!((sum("cost") - 0.6).abs() < 1e-9);
    let status = json_of(send(gateway.clone(), get("/ui/status")).await).await;
    assert_eq!(status["database"], Value::Null);
    assert_eq!(status["has_master_key"], false);
    assert_eq!(status["deployments"][0]["calls"], 3);
}

#[tokio::test]
async fn the_config_shows_no_key_no_address_and_no_default_parameter() {
    let mut hidden = deployment(Scripted::new([Step::Json(REPLY)]));
    hidden
        .defaults
        .insert("prompt".to_owned(), json!("a secret prompt"));
    let gateway = locked(Config::new(vec![hidden]));
    let (cookie, token) = session(&gateway).await;
    let headers = [
        ("cookie", cookie.as_str()),
        ("x-polyllm-token", token.as_str()),
    ];
    let config = text(send(gateway.clone(), ask("GET", "/ui/config", &headers, "")).await).await;
    assert!(
        !config.contains(MASTER) && !config.contains("secret"),
        "{config}"
    );
    let config: Value = serde_json::from_str(&config).unwrap();
    assert_eq!(config["settings"]["master_key"], "***");
    assert_eq!(
        config["deployments"][0]["default_parameters"],
        json!(["prompt"])
    );
}

#[tokio::test]
async fn the_overhead_of_calls_leaves_out_the_time_of_deployments() {
    let slow = Scripted::new([Step::Wait(Duration::from_millis(300)), Step::Json(REPLY)]);
    let gateway = Gateway::new(Config::new(vec![deployment(slow)]), GatewayOptions::new());
    text(send(gateway.clone(), chat_request("")).await).await;
    let metrics = text(send(gateway.clone(), get("/metrics")).await).await;
    let series = |name: &str| {
        let line = metrics.lines().find(|line| line.starts_with(name));
        let value = line.and_then(|line| line.split_whitespace().last());
        value.unwrap().parse::<f64>().unwrap()
    };
    let overhead = series("polyllm_overhead_seconds_sum");
    assert_eq!(series("polyllm_overhead_seconds_count"), 1.0);
    assert!(series("polyllm_request_duration_seconds_sum") >= overhead + 0.3);
}
