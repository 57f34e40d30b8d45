//! Rate limits of requests and tokens per key and model.

use std::time::Duration;

use llm_sim::{Rate, Sim, SimLimits, SimOptions};
use reqwest::Response;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::{TURBO, chat, with};
use crate::common::{client, post, start, start_with};

fn url(sim: &Sim) -> String {
    format!("{}/v1/chat/completions", sim.together_url())
}

fn header<'a>(response: &'a Response, name: &str) -> Option<&'a str> {
    Some(response.headers().get(name)?.to_str().unwrap())
}

#[tokio::test]
async fn without_limits_there_are_no_rate_limit_headers() {
    let sim = start().await;
    let response = post(url(&sim), &chat(TURBO, false)).send().await.unwrap();
    assert_eq!(header(&response, "x-ratelimit-limit"), None);
    assert_eq!(header(&response, "x-tokenlimit-limit"), None);
}

#[tokio::test(start_paused = true)]
async fn requests_beyond_the_limit_get_retry_advice() {
    let rate = Rate::new(120, Duration::from_secs(60));
    let limits = SimLimits::default().with_together_requests(rate);
    let sim = start_with(SimOptions::default().with_limits(limits)).await;
    let client = client();
    let ask = |model: &str, key: &str| {
        let request = client.post(url(&sim)).bearer_auth(key);
        request.json(&chat(model, false)).send()
    };
    for left in (0..120).rev() {
        let response = ask(TURBO, "one").await.unwrap();
        assert_eq!(response.status(), 200);
        // Per second, as documented. Even a paused clock advances between requests.
        assert_eq!(header(&response, "x-ratelimit-limit"), Some("2"));
        let remaining = header(&response, "x-ratelimit-remaining").unwrap();
        assert!(remaining.parse::<u64>().unwrap() >= left);
        assert_eq!(
            header(&response, "x-ratelimit-remaining-dynamic"),
            Some(remaining)
        );
    }
    let refused = loop {
        let response = ask(TURBO, "one").await.unwrap();
        if response.status() != 200 {
            break response;
        }
    };
    assert_eq!(refused.status(), 429);
    assert_eq!(header(&refused, "x-ratelimit-remaining"), Some("0"));
    assert_eq!(header(&refused, "x-ratelimit-reset"), Some("1"));
    assert_eq!(header(&refused, "retry-after"), None);
    let body: Value = refused.json().await.unwrap();
    assert_eq!(
        (&body["error"]["type"], &body["error_type"]),
        (
            &json!("dynamic_request_limited"),
            &json!("dynamic_request_limited")
        )
    );
    let message = body["error"]["message"].as_str().unwrap();
    assert!(message.contains(TURBO), "{message}");

    // Other keys and other models have separate limits.
    assert_eq!(ask(TURBO, "two").await.unwrap().status(), 200);
    assert_eq!(ask("acme/other", "one").await.unwrap().status(), 200);
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(ask(TURBO, "one").await.unwrap().status(), 200);
}

#[tokio::test(start_paused = true)]
async fn tokens_are_limited_in_prompts_and_answers() {
    let limits =
        SimLimits::default().with_together_tokens(Rate::new(600, Duration::from_secs(600)));
    let sim = start_with(SimOptions::default().with_limits(limits)).await;
    let body = with(
        chat(TURBO, true),
        json!({"max_tokens": 400, "ignore_eos": true}),
    );
    let began = Instant::now();
    let response = post(url(&sim), &body).send().await.unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(header(&response, "x-tokenlimit-limit"), Some("1"));
    response.bytes().await.unwrap();

    let refused = post(url(&sim), &body).send().await.unwrap();
    assert_eq!(refused.status(), 429);
    let reset: u64 = header(&refused, "x-ratelimit-reset")
        .unwrap()
        .parse()
        .unwrap();
    let body_of: Value = refused.json().await.unwrap();
    assert_eq!(body_of["error"]["error_type"], "dynamic_token_limited");
    // About 20 prompt tokens and 400 output tokens, twice, minus the 600 that were left.
    assert!((220..=260).contains(&reset), "{reset}");
    tokio::time::sleep_until(began + Duration::from_secs(reset + 1)).await;
    assert_eq!(post(url(&sim), &body).send().await.unwrap().status(), 200);

    // Embeddings and reranking count as well.
    let embed = json!({"model": "acme/embed", "input": ["word ".repeat(500), "word ".repeat(200)]});
    let embeddings = format!("{}/v1/embeddings", sim.together_url());
    let first = post(embeddings.clone(), &embed).send().await.unwrap();
    assert_eq!(header(&first, "x-tokenlimit-remaining"), Some("0"));
    assert_eq!(post(embeddings, &embed).send().await.unwrap().status(), 429);
}

#[tokio::test]
async fn a_refused_body_is_not_charged() {
    let limits =
        SimLimits::default().with_together_requests(Rate::new(1, Duration::from_secs(3600)));
    let sim = start_with(SimOptions::default().with_limits(limits)).await;
    let wrong = with(chat(TURBO, false), json!({"n": 0}));
    for body in [wrong, chat("acme/no-such-model", false)] {
        assert_ne!(post(url(&sim), &body).send().await.unwrap().status(), 429);
    }
    let good = post(url(&sim), &chat(TURBO, false)).send().await.unwrap();
    assert_eq!(good.status(), 200);
}
