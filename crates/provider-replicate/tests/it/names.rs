//! Every form of a model name is sent to its own endpoint, and is looked up once.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::*;

const HASH: &str = "2796ee9483c3fd7aa2e171d38f4ca12251a30609463dcfd4cd76703f22e96cdf";

fn llama_2() -> Value {
    json!({
        "prompt": {"type": "string"},
        "system_prompt": {"type": "string"},
        "max_new_tokens": {"type": "integer", "minimum": 1},
        "min_new_tokens": {"type": "integer"},
        "temperature": {"type": "number", "minimum": 0.01},
        "stop_sequences": {"type": "string"},
    })
}

/// Serves a model with a version, a deployment of it, and predictions at every path.
async fn replicate() -> Server {
    let version_path = format!("/v1/models/meta/llama-2-70b-chat/versions/{HASH}");
    Server::start(
        move |url, seen, _| match (seen.method.as_str(), seen.path.as_str()) {
            ("GET", LLAMA_2) => Response::json(
                200,
                json!({"is_official": false, "latest_version": version(HASH, llama_2())}),
            ),
            ("GET", path) if path == version_path => Response::json(200, version(HASH, llama_2())),
            ("GET", "/v1/deployments/acme/chat") => Response::json(
                200,
                json!({"current_release": {"model": "meta/llama-2-70b-chat", "version": HASH}}),
            ),
            ("POST", _) => Response::json(201, succeeded(url, json!("ok"))),
            _ => Response::not_found(),
        },
    )
    .await
}

const LLAMA_2: &str = "/v1/models/meta/llama-2-70b-chat";

/// The requests of two chats with `model`, and the body of the first prediction's.
async fn requests(model: &str) -> Value {
    let server = replicate().await;
    let provider = server.provider();
    for _ in 0..2 {
        chat(&provider, chat_request(model).with_max_tokens(20))
            .await
            .unwrap();
    }
    let created = server
        .seen()
        .into_iter()
        .find(|seen| seen.method == "POST")
        .unwrap();
    json!({"requests": server.lines(), "body": created.body})
}

#[tokio::test]
async fn every_form_has_its_endpoint() {
    insta::assert_json_snapshot!("official", requests(MODEL).await);
    insta::assert_json_snapshot!("community", requests("meta/llama-2-70b-chat").await);
    let versioned = format!("meta/llama-2-70b-chat:{HASH}");
    insta::assert_json_snapshot!("versioned", requests(&versioned).await);
    let named = format!("llama-2-70b-chat:{HASH}");
    insta::assert_json_snapshot!("version_with_name", requests(&named).await);
    insta::assert_json_snapshot!("version_alone", requests(HASH).await);
    insta::assert_json_snapshot!("deployment", requests("deployments/acme/chat").await);
}

#[tokio::test]
async fn a_model_that_turns_out_not_to_be_official_is_run_by_its_version() {
    let server = Server::start(|url, seen, _| match seen.line().as_str() {
        // Older responses do not have `is_official`.
        LOOK_UP => Response::json(200, json!({"latest_version": version("v1", llama_3())})),
        "POST /v1/predictions" => Response::json(201, succeeded(url, json!("ok"))),
        _ => Response::not_found(),
    })
    .await;
    let provider = server.provider();
    for _ in 0..2 {
        chat(&provider, chat_request(MODEL)).await.unwrap();
    }
    assert_eq!(
        server.lines(),
        [
            LOOK_UP,
            CREATE,
            "POST /v1/predictions",
            "POST /v1/predictions"
        ]
    );
    assert_eq!(server.first("POST /v1/predictions").body["version"], "v1");
}

#[tokio::test]
async fn concurrent_first_calls_of_a_model_without_a_name_of_its_own_all_use_the_version() {
    let server = Server::start(|url, seen, _| match seen.line().as_str() {
        LOOK_UP => Response::json(200, json!({"latest_version": version("v1", llama_3())})),
        CREATE => Response::not_found().after(Duration::from_millis(50)),
        "POST /v1/predictions" => Response::json(201, succeeded(url, json!("ok"))),
        _ => Response::not_found(),
    })
    .await;
    let provider = server.provider();
    let calls = (0..5).map(|_| chat(&provider, chat_request(MODEL)));
    for reply in futures_util::future::join_all(calls).await {
        reply.unwrap();
    }
    assert_eq!(server.count("POST /v1/predictions"), 5);
}

#[tokio::test]
async fn a_failed_look_up_is_repeated_before_a_model_is_unknown() {
    // The look-up of a call is tried twice.
    for failures in [1, 2] {
        let server = Server::start(move |url, seen, before| match seen.line().as_str() {
            LOOK_UP if before < failures => Response::json(500, json!({"detail": "No."})),
            LOOK_UP => Response::json(
                200,
                json!({"is_official": false, "latest_version": version("v1", llama_3())}),
            ),
            "POST /v1/predictions" => Response::json(201, succeeded(url, json!("ok"))),
            _ => Response::not_found(),
        })
        .await;
        let provider = server.provider();
        chat(&provider, chat_request(MODEL)).await.unwrap();
        assert_eq!(server.count(LOOK_UP), failures + 1, "{:?}", server.lines());
    }
}

#[tokio::test]
async fn concurrent_calls_share_one_look_up() {
    let server = Server::start(|url, seen, _| match seen.line().as_str() {
        LOOK_UP => Response::json(200, official(llama_3())).after(Duration::from_millis(50)),
        CREATE => Response::json(201, succeeded(url, json!("ok"))),
        _ => Response::not_found(),
    })
    .await;
    let provider = server.provider();
    let calls = (0..8).map(|_| chat(&provider, chat_request(MODEL)));
    for reply in futures_util::future::join_all(calls).await {
        reply.unwrap();
    }
    assert_eq!((server.count(LOOK_UP), server.count(CREATE)), (1, 8));
}

#[tokio::test]
async fn request_text_in_an_error_is_shortened_and_escaped() {
    let server = replicate().await;
    let long = format!("a\n\u{1b}[2J{}", "b".repeat(1 << 20));
    let part = json!({"role": "user", "content": [{"type": long}]});
    let part = json!({"model": "meta/llama-2-70b-chat", "messages": [part]});
    let part = serde_json::from_value(part).unwrap();
    for request in [chat_request(&long), part] {
        let error = chat(&server.provider(), request).await.unwrap_err();
        assert!(error.message().contains("\"a\\n\\u{1b}[2Jb"), "{error}");
        assert!(error.message().len() < 500, "{}", error.message().len());
        assert!(!error.message().contains(char::is_control));
    }
}

#[tokio::test(start_paused = true)]
async fn a_model_that_does_not_exist_is_looked_up_once_and_a_failed_look_up_soon_again() {
    for (status, looked_up) in [(404, 1), (403, 2)] {
        advance_in_small_steps();
        let server = Server::start(move |url, seen, _| match seen.line().as_str() {
            LOOK_UP => Response::json(status, json!({"detail": "No."})),
            CREATE => Response::json(201, succeeded(url, json!("ok"))),
            _ => Response::not_found(),
        })
        .await;
        let provider = server.provider();
        for _ in 0..2 {
            chat(&provider, chat_request(MODEL)).await.unwrap();
            tokio::time::sleep(Duration::from_secs(120)).await;
        }
        assert_eq!(server.count(LOOK_UP), looked_up, "{status}");
    }
}
