//! `/_sim`: inspection and fault injection over HTTP.

use std::time::Duration;

use llm_sim::{Sim, SimOptions, SimReply, Timing};
use reqwest::Method;
use serde_json::{Value, json};

use crate::common::{client, get, json, post, start, start_with};

/// Without a key.
async fn sim(base: &str, method: Method, path: &str, body: &'static str) -> (u16, Value) {
    json(
        client()
            .request(method, format!("{base}/_sim{path}"))
            .body(body),
    )
    .await
}

fn ask(sim: &Sim) -> reqwest::RequestBuilder {
    let body = json!({
        "model": "acme/turbo", "stream": true, "messages": [{"role": "user", "content": "hi"}],
    });
    post(format!("{}/v1/chat/completions", sim.together_url()), &body)
}

#[tokio::test]
async fn faults_are_added_listed_and_cleared() {
    let upstreams = start().await;
    for base in [upstreams.together_url(), upstreams.replicate_url()] {
        let (status, rules) = sim(
            base,
            Method::POST,
            "/faults?method=GET&path=%2Fmodels&times=1",
            "delay=1ms, status=503",
        )
        .await;
        assert_eq!(status, 200);
        let rule = json!({
            "faults": "delay=0.001s, status=503", "method": "GET", "path": "/models", "times": 1,
        });
        assert_eq!(rules, json!([rule]));

        let url = format!("{base}/v1/models/meta/meta-llama-3-8b-instruct");
        assert_eq!(get(url.clone()).send().await.unwrap().status(), 503);
        assert_ne!(get(url.clone()).send().await.unwrap().status(), 503);
        assert_eq!(sim(base, Method::GET, "/faults", "").await.1[0]["times"], 0);

        sim(base, Method::POST, "/faults", "status=500").await;
        assert_eq!(get(url.clone()).send().await.unwrap().status(), 500);
        assert_eq!(sim(base, Method::DELETE, "/faults", "").await.1, json!([]));
        assert_ne!(get(url).send().await.unwrap().status(), 500);
    }
}

#[tokio::test]
async fn an_invalid_request_is_an_error_that_names_the_fault() {
    let upstreams = start().await;
    let base = upstreams.together_url();
    for (path, body, wanted) in [
        ("/faults", "explode", "unknown fault \"explode\""),
        ("/faults", "", "names no fault"),
        ("/faults?times=x", "hang", "times must be a number"),
    ] {
        let (status, answer) = sim(base, Method::POST, path, body).await;
        assert_eq!(status, 400);
        let error = answer["error"].as_str().unwrap();
        assert!(error.contains(wanted), "{error}");
    }
    let (status, _) = sim(base, Method::GET, "/requests?since=x", "").await;
    assert_eq!(status, 400);
    let (status, answer) = sim(base, Method::GET, "/nonsense", "").await;
    assert_eq!(status, 404);
    assert!(answer["endpoints"].as_array().unwrap().len() > 5);
    assert_eq!(sim(base, Method::GET, "", "").await.0, 200);
}

#[tokio::test]
async fn requests_are_shown_with_their_times_and_without_secrets() {
    let timing = Timing::default()
        .with_first_token(Duration::from_millis(3))
        .with_token(Duration::from_millis(2));
    let options = SimOptions::default()
        .with_timing(timing)
        .with_reply(SimReply::tokens(["a", "b"]));
    let upstreams = start_with(options).await;
    let base = upstreams.together_url();
    ask(&upstreams).send().await.unwrap().bytes().await.unwrap();
    ask(&upstreams).send().await.unwrap().bytes().await.unwrap();
    upstreams.together().idle().await;

    let (_, all) = sim(base, Method::GET, "/requests", "").await;
    assert_eq!(all.as_array().unwrap().len(), 2);
    let (_, seen) = sim(base, Method::GET, "/requests?since=1", "").await;
    let [seen] = seen.as_array().unwrap().as_slice() else {
        panic!("{seen}");
    };
    assert_eq!(seen["number"], 1);
    assert_eq!(
        (&seen["method"], &seen["path"]),
        (&json!("POST"), &json!("/v1/chat/completions"))
    );
    assert_eq!(seen["body"]["model"], "acme/turbo");
    let key = seen["headers"]["authorization"].as_str().unwrap();
    assert!(key.starts_with("Bearer #"), "{key}");

    let times = &seen["times"];
    assert_eq!(times["outcome"], "finished");
    // Until the end of the century.
    assert!((1.7e18..4.2e18).contains(&times["received_unix_ns"].as_f64().unwrap()));
    let writes: Vec<(u64, u64, u64)> = serde_json::from_value(times["writes_ns"].clone()).unwrap();
    let due: Vec<_> = writes.iter().map(|write| (write.1, write.2)).collect();
    assert_eq!(
        due,
        [
            (3_000_000, 1),
            (5_000_000, 1),
            (5_000_000, 0),
            (5_000_000, 0)
        ]
    );
    assert!(writes.iter().all(|write| write.0 >= write.1));
    assert!(times["ended_ns"].as_u64() >= Some(writes[3].0));

    sim(base, Method::DELETE, "/requests", "").await;
    assert_eq!(sim(base, Method::GET, "/requests", "").await.1, json!([]));
    let (_, counts) = sim(base, Method::GET, "/counts", "").await;
    assert_eq!(
        counts,
        json!({"started": 2, "running": 0, "finished": 2, "abandoned": 0, "broken": 0})
    );
}
