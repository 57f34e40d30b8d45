//! Keys, models, health checks, and unknown paths.

use crate::support::*;
use http::{Method, Request, StatusCode};
use llm_gateway::{Config, Gateway, GatewayOptions};
use llm_provider::ApiKey;
use llm_router::Deployment;
use tower::ServiceExt;

#[tokio::test]
async fn only_the_master_key_is_accepted() {
    let provider = Scripted::new([Step::Json("{}")]);
    let config = Config::new(vec![deployment(provider)]).with_master_key(ApiKey::new("sk-1234"));
    let gateway = Gateway::new(config, GatewayOptions::new());
    for (given, code) in [
        (Some("Bearer sk-1234"), 200),
        (Some("bearer  sk-1234"), 200),
        (Some("Bearer sk-12345"), 401),
        (Some("Bearer sk-123"), 401),
        (Some("Bearer sk-1235"), 401),
        (Some("Bearer "), 401),
        (Some("Bearer"), 401),
        (Some("Basic sk-1234"), 401),
        (Some("sk-1234"), 401),
        (None, 401),
    ] {
        for mut request in [chat_request(""), get("/v1/models"), get("/models/llama")] {
            if let Some(given) = given {
                request
                    .headers_mut()
                    .insert("authorization", given.parse().unwrap());
            }
            let response = send(gateway.clone(), request).await;
            assert_eq!(response.status().as_u16(), code, "{given:?}");
            if code == 401 {
                assert_eq!(response.headers()["www-authenticate"], "Bearer");
                let (_, error) = error(response).await;
                assert_eq!(error["code"], "invalid_api_key");
                assert!(!error.to_string().contains("sk-1"), "{error}");
            }
        }
    }
    for path in [
        "/health/liveliness",
        "/health/liveness",
        "/health/readiness",
    ] {
        assert_eq!(
            send(gateway.clone(), get(path)).await.status(),
            StatusCode::OK
        );
    }
    assert_eq!(
        send(gateway, get("/nowhere")).await.status(),
        StatusCode::UNAUTHORIZED
    );
}

#[tokio::test]
async fn without_a_master_key_any_key_is_accepted() {
    let provider = Scripted::new([Step::Json("{}")]);
    let mut request = chat_request("");
    request
        .headers_mut()
        .insert("authorization", "Bearer whatever".parse().unwrap());
    assert_eq!(
        send(gateway(provider), request).await.status(),
        StatusCode::OK
    );
}

#[tokio::test]
async fn models_are_listed_and_found_by_ids_with_slashes() {
    let provider = Scripted::new([]);
    let named = |name: &str| Deployment::new(name, provider.clone(), "m");
    let config = Config::new(vec![named("zeta"), named("meta/llama 3:8b"), named("zeta")]);
    let gateway = Gateway::new(config, GatewayOptions::new());
    for path in ["/v1/models", "/models"] {
        let list: serde_json::Value =
            serde_json::from_str(&text(send(gateway.clone(), get(path)).await).await).unwrap();
        assert_eq!(list["object"], "list");
        let ids: Vec<&str> = list["data"]
            .as_array()
            .unwrap()
            .iter()
            .map(|m| m["id"].as_str().unwrap())
            .collect();
        assert_eq!(ids, ["meta/llama 3:8b", "zeta"]);
        assert_eq!(list["data"][0]["object"], "model");
        assert_eq!(list["data"][0]["owned_by"], "polyllm");
        assert!(list["data"][0]["created"].as_u64().unwrap() > 1_700_000_000);
    }
    for path in [
        "/v1/models/meta/llama%203:8b",
        "/v1/models/meta%2Fllama%203%3A8b",
        "/models/zeta",
    ] {
        let response = send(gateway.clone(), get(path)).await;
        assert_eq!(response.status(), StatusCode::OK, "{path}");
    }
    for (path, status) in [("/v1/models/nobody", 404), ("/v1/models/%ff", 400)] {
        assert_eq!(
            error(send(gateway.clone(), get(path)).await).await.0,
            status,
            "{path}"
        );
    }
}

#[tokio::test]
async fn health_responses_are_those_of_litellm() {
    let gateway = gateway(Scripted::new([]));
    let response = send(gateway.clone(), get("/health/liveliness")).await;
    assert_eq!(response.headers()["content-type"], "application/json");
    assert_eq!(text(response).await, "\"I'm alive!\"");
    let response = send(gateway, get("/health/readiness")).await;
    assert_eq!(text(response).await, r#"{"status":"healthy"}"#);
}

#[tokio::test]
async fn an_unknown_path_or_method_is_an_error_with_the_routes() {
    let gateway = gateway(Scripted::new([]));
    for path in [
        "/",
        "/v1",
        "/v1/v1/chat/completions",
        "/v1/models/",
        "/v2/chat/completions",
    ] {
        let (status, error) = error(send(gateway.clone(), get(path)).await).await;
        assert_eq!(status, 404, "{path}");
        assert!(
            error["message"]
                .as_str()
                .unwrap()
                .contains("POST /v1/chat/completions")
        );
    }
    let mut request = get("/v1/chat/completions");
    let response = send(gateway.clone(), std::mem::take(&mut request)).await;
    assert_eq!(response.headers()["allow"], "POST");
    assert_eq!(error(response).await.0, 405);
    let mut request = get("/v1/models");
    *request.method_mut() = Method::DELETE;
    let response = send(gateway.clone(), request).await;
    assert_eq!(response.headers()["allow"], "GET,HEAD");
    assert_eq!(error(response).await.0, 405);
    let mut request = get("/health/liveliness");
    *request.method_mut() = Method::HEAD;
    assert_eq!(send(gateway, request).await.status(), 200);
}

#[tokio::test]
async fn the_gateway_runs_as_a_service_in_axum() {
    let gateway = gateway(Scripted::new([]));
    let program = axum::Router::new()
        .route("/own", axum::routing::get(async || "mine"))
        .fallback_service(gateway.into_service());
    for (path, status) in [("/own", 200), ("/v1/models", 200), ("/v1/nothing", 404)] {
        let response = program.clone().oneshot(get(path)).await.unwrap();
        assert_eq!(response.status(), status, "{path}");
    }
}

#[tokio::test]
async fn no_response_lets_pages_of_other_sites_read_it() {
    let gateway = gateway(Scripted::new([Step::Json("{}")]));
    for method in ["OPTIONS", "GET", "POST", "HEAD"] {
        for path in ["/v1/chat/completions", "/v1/models", "/nowhere", "/ui"] {
            let request = Request::builder()
                .method(method)
                .uri(path)
                .header("origin", "http://other.example")
                .header("access-control-request-method", "POST")
                .header("access-control-request-headers", "authorization")
                .body(Default::default())
                .unwrap();
            let response = send(gateway.clone(), request).await;
            let allows = |name: &http::HeaderName| name.as_str().starts_with("access-control-");
            assert!(!response.headers().keys().any(allows), "{method} {path}");
        }
    }
}
