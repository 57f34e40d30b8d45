//! Rate limits and their retry advice.

use std::time::Duration;

use llm_sim::{Fault, FaultRule, Rate, RetryAdvice, Sim, SimLimits, SimOptions};
use reqwest::Response;
use serde_json::{Value, json};

use super::{LLAMA3, ask, create, url};
use crate::common::{client, get, post, start_with};

async fn limited(limits: SimLimits) -> Sim {
    start_with(SimOptions::default().with_limits(limits)).await
}

async fn try_to_create(sim: &Sim) -> Response {
    let request = post(format!("{}/v1/{LLAMA3}", sim.replicate_url()), &ask("hi"));
    request.send().await.expect("an answer")
}

fn header<'a>(response: &'a Response, name: &str) -> Option<&'a str> {
    response
        .headers()
        .get(name)
        .map(|value| value.to_str().expect("text"))
}

#[tokio::test(start_paused = true)]
async fn the_limit_of_a_minute_refills_continuously() {
    let sim = limited(SimLimits::default().with_replicate_defaults()).await;
    let first = try_to_create(&sim).await;
    // As recorded after a single request.
    assert_eq!(header(&first, "ratelimit-remaining"), Some("599"));
    assert_eq!(header(&first, "ratelimit-reset"), Some("1"));
    let first: Value = first.json().await.unwrap();
    let got = get(url(&first, "get")).send().await.unwrap();
    assert_eq!(header(&got, "ratelimit-remaining"), Some("59999"));
    let listed = get(format!("{}/v1/account", sim.replicate_url()))
        .send()
        .await
        .unwrap();
    assert_eq!(header(&listed, "ratelimit-remaining"), Some("2999"));

    let rate = Rate::new(3, Duration::from_secs(60));
    let sim = limited(SimLimits::default().with_replicate_creates(rate)).await;
    for left in ["2", "1", "0"] {
        let response = try_to_create(&sim).await;
        assert_eq!(response.status(), 201);
        assert_eq!(header(&response, "ratelimit-remaining"), Some(left));
    }
    let refused = try_to_create(&sim).await;
    assert_eq!(refused.status(), 429);
    assert_eq!(header(&refused, "ratelimit-remaining"), Some("0"));
    assert_eq!(header(&refused, "ratelimit-reset"), Some("20"));
    assert_eq!(sim.replicate().counts().created(), 3);
    // Other requests and other keys are not limited by it.
    let account = get(format!("{}/v1/account", sim.replicate_url()));
    assert_eq!(account.send().await.unwrap().status(), 200);
    let other = client().post(format!("{}/v1/{LLAMA3}", sim.replicate_url()));
    let other = other.bearer_auth("another").json(&ask("hi"));
    assert_eq!(other.send().await.unwrap().status(), 201);

    tokio::time::sleep(Duration::from_secs(20)).await;
    assert_eq!(try_to_create(&sim).await.status(), 201);
    assert_eq!(try_to_create(&sim).await.status(), 429);
}

#[tokio::test(start_paused = true)]
async fn reads_and_lists_have_separate_limits() {
    let one = Rate::new(1, Duration::from_secs(30));
    let limits = SimLimits::default()
        .with_replicate_gets(one)
        .with_replicate_others(one);
    let sim = limited(limits).await;
    let fresh = create(&sim, LLAMA3, &ask("hi")).await;
    let look = async || get(url(&fresh, "get")).send().await.unwrap().status();
    assert_eq!((look().await.as_u16(), look().await.as_u16()), (200, 429));
    let cancel = async || {
        let request = post(url(&fresh, "cancel"), &json!({}));
        request.send().await.unwrap().status()
    };
    assert_eq!(
        (cancel().await.as_u16(), cancel().await.as_u16()),
        (200, 429)
    );
    // Streams and requests without a key are not counted.
    for _ in 0..2 {
        let stream = client().get(url(&fresh, "stream")).send().await.unwrap();
        assert_eq!(stream.status(), 200);
        let account = client().get(format!("{}/v1/account", sim.replicate_url()));
        assert_eq!(account.send().await.unwrap().status(), 401);
    }
}

#[tokio::test(start_paused = true)]
async fn retry_advice_has_each_form() {
    let one = Rate::new(2, Duration::from_secs(59));
    for advice in [
        RetryAdvice::Date,
        RetryAdvice::Field,
        RetryAdvice::Header,
        RetryAdvice::Words,
    ] {
        let limits = SimLimits::default().with_replicate_advice(advice);
        let sim = limited(limits.with_replicate_creates(one)).await;
        create(&sim, LLAMA3, &ask("hi")).await;
        create(&sim, LLAMA3, &ask("hi")).await;
        let refused = try_to_create(&sim).await;
        assert_eq!(
            refused.headers()["content-type"],
            "application/problem+json"
        );
        let after = header(&refused, "retry-after").map(str::to_owned);
        let body: Value = refused.json().await.unwrap();
        let words = "Request was throttled. Your rate limit resets in ~30s.";
        let (wanted, plain) = match advice {
            RetryAdvice::Field => (
                json!({"detail": words, "status": 429, "retry_after": 30}),
                true,
            ),
            RetryAdvice::Words => (json!({"detail": words}), true),
            _ => (json!({"detail": words, "status": 429}), false),
        };
        assert_eq!(body, wanted);
        match advice {
            RetryAdvice::Header => assert_eq!(after.as_deref(), Some("30")),
            RetryAdvice::Date => assert!(after.is_some_and(|date| date.ends_with(" GMT"))),
            _ => assert!(plain && after.is_none()),
        }

        // An injected fault has the same form.
        sim.replicate()
            .inject(FaultRule::new(Fault::Status(429)).times(1));
        let refused = get(format!("{}/v1/account", sim.replicate_url()))
            .send()
            .await
            .unwrap();
        let told = header(&refused, "retry-after").is_some();
        assert_eq!(
            told,
            matches!(advice, RetryAdvice::Date | RetryAdvice::Header)
        );
    }
}

#[tokio::test(start_paused = true)]
async fn low_credit_allows_one_prediction_at_a_time() {
    let rate = Rate::new(1, Duration::from_secs(10));
    let sim = limited(SimLimits::default().with_replicate_creates(rate)).await;
    create(&sim, LLAMA3, &ask("hi")).await;
    let body: Value = try_to_create(&sim).await.json().await.unwrap();
    assert_eq!(
        body["detail"],
        "Request was throttled. Your rate limit for creating predictions is reduced to 6 requests \
         per minute with a burst of 1 requests while you have less than $5.0 in credit. Your rate \
         limit resets in ~10s."
    );
}
