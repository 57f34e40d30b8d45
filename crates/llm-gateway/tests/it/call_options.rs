//! What a request says about its routing.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use http::Request;
use llm_gateway::{Config, Gateway, GatewayOptions};
use llm_provider::{Error, ErrorKind};
use llm_router::{AffinityOptions, CacheOptions, Deployment, Router};
use tokio::time::Instant;

use crate::support::{Scripted, Step, chat_request, deployment, error, gateway, post, send};

const REPLY: &str = r#"{"id":"1","choices":[]}"#;

fn replies() -> Arc<Scripted> {
    Scripted::new([Step::Json(REPLY)])
}

fn fails() -> Arc<Scripted> {
    Scripted::new([Step::Fail(|| Error::new(ErrorKind::Overloaded, "too busy"))])
}

fn with_header(mut request: Request<Body>, name: &'static str, value: &str) -> Request<Body> {
    let value = value.parse().unwrap();
    request.headers_mut().insert(name, value);
    request
}

/// The calls that a provider has received.
fn calls(provider: &Scripted) -> Vec<String> {
    provider.calls.lock().unwrap().clone()
}

#[tokio::test]
async fn the_members_are_not_sent_upstream() {
    let provider = replies();
    let more = r#","num_retries":1,"priority":3,"tags":["a"],"timeout":5,"stream_timeout":5,
        "fallbacks":["llama"],"context_window_fallbacks":[{"llama":["llama"]}],
        "cache":{"no-cache":true},"content_policy_fallbacks":null,"disable_fallbacks":false,
        "drop_params":true,"seed":7"#;
    let response = send(gateway(provider.clone()), chat_request(more)).await;
    assert_eq!(response.status(), 200);
    let body: serde_json::Value = serde_json::from_str(&calls(&provider)[0]).unwrap();
    let mut keys: Vec<&String> = body.as_object().unwrap().keys().collect();
    keys.sort();
    assert_eq!(keys, ["messages", "model", "seed"]);
}

#[tokio::test]
async fn the_deployment_and_the_request_exclude_parameters() {
    for (more, is_strict, keys, dropped) in [
        (
            r#","seed":7,"top_p":1,"user":"u""#,
            false,
            "messages model top_p user",
            Some("seed"),
        ),
        (
            r#","seed":7,"user":"u","additional_drop_params":["user","stop"]"#,
            false,
            "messages model",
            Some("user,seed"),
        ),
        (
            r#","seed":7,"user":"u","additional_drop_params":["user"]"#,
            true,
            "messages model seed user",
            None,
        ),
    ] {
        let provider = replies();
        let deployment = deployment(provider.clone()).with_excluded_params(["seed", "top_k"]);
        let mut request = chat_request(more);
        if is_strict {
            request = with_header(request, "x-polyllm-strict", "true");
        }
        let gateway = Gateway::new(Config::new(vec![deployment]), GatewayOptions::new());
        let response = send(gateway, request).await;
        assert_eq!(response.status(), 200, "{more}");
        let body: serde_json::Value = serde_json::from_str(&calls(&provider)[0]).unwrap();
        let mut sent: Vec<&str> = body
            .as_object()
            .unwrap()
            .keys()
            .map(String::as_str)
            .collect();
        sent.sort_unstable();
        assert_eq!(sent.join(" "), keys, "{more}");
        let header = response.headers().get("x-polyllm-dropped-params");
        assert_eq!(
            header.map(|value| value.to_str().unwrap()),
            dropped,
            "{more}"
        );
    }
}

#[tokio::test]
async fn a_wrong_value_is_an_error_that_names_it() {
    for (more, param) in [
        (r#","num_retries":-1"#, "num_retries"),
        (r#","priority":256"#, "priority"),
        (r#","timeout":0"#, "timeout"),
        (r#","timeout":1e999"#, "timeout"),
        (r#","stream_timeout":"soon""#, "stream_timeout"),
        (r#","tags":"a""#, "tags"),
        (r#","cache":{"ttl":-1}"#, "cache"),
        (r#","cache":{"no-cache":"yes"}"#, "cache"),
        (r#","fallbacks":"llama""#, "fallbacks"),
        (r#","fallbacks":[{"llama":["unknown"]}]"#, "fallbacks"),
        (r#","fallbacks":["unknown"]"#, "fallbacks"),
        (r#","fallbacks":[{"model":"llama"}]"#, "fallbacks"),
        (r#","drop_params":"yes""#, "drop_params"),
        (
            r#","additional_drop_params":"seed""#,
            "additional_drop_params",
        ),
    ] {
        let provider = replies();
        let response = send(gateway(provider.clone()), chat_request(more)).await;
        let (status, error) = error(response).await;
        assert_eq!(
            (status, error["param"].as_str()),
            (400, Some(param)),
            "{more}"
        );
        assert!(calls(&provider).is_empty());
    }
    let request = with_header(chat_request(""), "x-litellm-timeout", "soon");
    let (status, error) = error(send(gateway(replies()), request).await).await;
    assert_eq!(
        (status, error["param"].as_str()),
        (400, Some("x-litellm-timeout"))
    );
}

#[tokio::test]
async fn a_request_says_how_often_other_deployments_are_tried() {
    for (more, header, attempts) in [
        ("", None, 2),
        (r#","num_retries":0"#, None, 1),
        (r#","num_retries":2"#, None, 3),
        (r#","num_retries":2"#, Some("0"), 3),
        ("", Some("0"), 1),
    ] {
        let provider = fails();
        let deployments = (0..3).map(|id| deployment(provider.clone()).with_id(id.to_string()));
        let config = Config::new(deployments.collect());
        let mut request = chat_request(more);
        if let Some(retries) = header {
            request = with_header(request, "x-litellm-num-retries", retries);
        }
        let gateway = Gateway::new(config, GatewayOptions::new());
        assert_ne!(send(gateway, request).await.status(), 200);
        assert_eq!(calls(&provider).len(), attempts, "{more} {header:?}");
    }
}

#[tokio::test]
async fn the_file_the_deployment_and_the_request_say_whether_parameters_are_dropped() {
    for (of_file, of_deployment, more, is_strict, drops) in [
        (false, None, "", false, false),
        (true, None, "", false, true),
        (false, Some(true), "", false, true),
        (true, Some(false), "", false, false),
        (false, None, r#","drop_params":true"#, false, true),
        (true, None, r#","drop_params":false"#, false, false),
        (true, Some(true), r#","drop_params":true"#, true, false),
    ] {
        let deployment = deployment(replies()).with_drop_params(of_deployment);
        let config = Config::new(vec![deployment]).with_drop_params(of_file);
        let mut request = chat_request(more);
        if is_strict {
            request = with_header(request, "x-polyllm-strict", "true");
        }
        let response = send(Gateway::new(config, GatewayOptions::new()), request).await;
        assert_eq!(response.status(), 200);
        let has_dropped = response.headers().contains_key("x-polyllm-dropped-params");
        assert_eq!(has_dropped, drops, "{of_file} {of_deployment:?} {more}");
    }
}

#[tokio::test]
async fn a_request_names_the_models_that_take_over() {
    let gateway = || {
        let deployments = vec![
            deployment(fails()),
            Deployment::new("other", replies(), "m"),
        ];
        let fallbacks = llm_router::Fallbacks::default().with("llama", ["other"]);
        let router = Router::builder().with_fallbacks(fallbacks);
        Gateway::new(
            Config::new(deployments).with_router(router),
            GatewayOptions::new(),
        )
    };
    for (more, status) in [
        ("", 200),
        (r#","disable_fallbacks":true"#, 503),
        (r#","fallbacks":[]"#, 503),
        (r#","fallbacks":["other"]"#, 200),
        (r#","fallbacks":[{"llama":["other"]}]"#, 200),
        (r#","fallbacks":[{"other":["llama"]}]"#, 503),
    ] {
        let response = send(gateway(), chat_request(more)).await;
        assert_eq!(response.status(), status, "{more}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_limits_its_time() {
    for (more, header, seconds) in [
        (r#","timeout":2"#, None, 2),
        (r#","timeout":9,"stream_timeout":3,"stream":true"#, None, 3),
        (r#","timeout":4,"stream_timeout":3"#, None, 4),
        ("", Some("5"), 5),
    ] {
        let mut request = chat_request(more);
        if let Some(time) = header {
            request = with_header(request, "x-litellm-timeout", time);
        }
        let begin = Instant::now();
        let response = send(gateway(Scripted::new([Step::Silence])), request).await;
        assert_eq!(response.status(), 504, "{more}");
        assert_eq!(begin.elapsed(), Duration::from_secs(seconds), "{more}");
    }
}

#[tokio::test]
async fn the_calls_of_a_session_stay_at_one_deployment() {
    for name in [
        "x-claude-code-session-id",
        "session-id",
        "x-session-affinity",
    ] {
        let providers = [replies(), replies(), replies(), replies()];
        let deployments = providers.iter().enumerate();
        let deployments = deployments
            .map(|(id, provider)| deployment(Arc::clone(provider)).with_id(id.to_string()));
        let router = Router::builder().with_affinity(AffinityOptions::default());
        let config = Config::new(deployments.collect()).with_router(router);
        let gateway = Gateway::new(config, GatewayOptions::new());
        for turn in 0..12 {
            // The messages alone would be of another session.
            let body =
                format!(r#"{{"model":"llama","messages":[{{"role":"user","content":"{turn}"}}]}}"#);
            let request = post("/v1/chat/completions", body);
            let request = with_header(request, name, "session-1");
            assert_eq!(send(gateway.clone(), request).await.status(), 200);
        }
        let counts: Vec<usize> = providers
            .iter()
            .map(|provider| calls(provider).len())
            .collect();
        assert!(counts.contains(&12), "{name}: {counts:?}");
    }
}

#[tokio::test]
async fn tags_choose_deployments_where_the_config_says_so() {
    let served = |reads_tags: bool, request: Request<Body>| async move {
        let (free, paid) = (replies(), replies());
        let deployments = vec![
            deployment(free.clone())
                .with_id("free")
                .with_tags(["free", "default"]),
            deployment(paid.clone()).with_id("paid").with_tags(["paid"]),
        ];
        let config = Config::new(deployments).with_reads_tags(reads_tags);
        let gateway = Gateway::new(config, GatewayOptions::new());
        let status = send(gateway, request).await.status().as_u16();
        (status, calls(&free).len(), calls(&paid).len())
    };
    assert_eq!(
        served(true, chat_request(r#","tags":["paid"]"#)).await,
        (200, 0, 1)
    );
    let metadata = r#","metadata":{"tags":["paid"]}"#;
    assert_eq!(served(true, chat_request(metadata)).await, (200, 0, 1));
    assert_eq!(served(true, chat_request("")).await, (200, 1, 0));
    assert_eq!(
        served(true, chat_request(r#","tags":["other"]"#)).await,
        (404, 0, 0)
    );
    let request = with_header(chat_request(""), "x-litellm-tags", "other, paid");
    assert_eq!(served(true, request).await, (200, 0, 1));
    assert_eq!(
        served(false, chat_request(r#","tags":["other"]"#)).await.0,
        200
    );
}

#[tokio::test]
async fn a_cached_reply_is_marked_and_a_request_can_pass_it_over() {
    let provider = replies();
    let router = Router::builder().with_cache(CacheOptions::default());
    let config = Config::new(vec![deployment(provider.clone())]).with_router(router);
    let gateway = Gateway::new(config, GatewayOptions::new());
    let cached = async |more: &str| {
        let response = send(gateway.clone(), chat_request(more)).await;
        assert_eq!(response.status(), 200);
        response.headers().contains_key("x-polyllm-cache")
    };
    assert!(!cached("").await);
    assert!(cached(r#","user":"someone""#).await);
    assert!(!cached(r#","cache":{"no-cache":true}"#).await);
    assert!(!cached(r#","cache":{"namespace":"other"}"#).await);
    assert!(cached(r#","cache":{"s-maxage":60}"#).await);
    assert_eq!(calls(&provider).len(), 3);
}
