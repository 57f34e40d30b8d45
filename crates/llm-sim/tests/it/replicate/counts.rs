//! Counts of predictions by status, in the process and over HTTP.

use std::time::Duration;

use llm_sim::{Fault, FaultRule, Memory, PredictionFailure, SimOptions, SimStatus};
use serde_json::json;

use super::{LLAMA3, ask, create, slow, url};
use crate::common::{client, json, post, start_with};

#[tokio::test(start_paused = true)]
async fn counts_follow_the_predictions() {
    let sim = slow().await;
    let replicate = sim.replicate();
    assert_eq!(replicate.counts(), Default::default());
    let mut ids = Vec::new();
    for _ in 0..3 {
        ids.push(create(&sim, LLAMA3, &ask("hi")).await);
    }
    replicate.inject(FaultRule::new(Fault::Fail(PredictionFailure::OutOfMemory)).times(1));
    create(&sim, LLAMA3, &ask("hi")).await;
    let request = post(format!("{}/v1/{LLAMA3}", sim.replicate_url()), &ask("hi"));
    json(request.header("cancel-after", "5s")).await;
    let counts = replicate.counts();
    assert_eq!(
        (counts.created(), counts.starting, counts.running()),
        (5, 5, 5)
    );

    let counts = replicate.counts_until(|counts| counts.processing > 0).await;
    assert_eq!((counts.aborted, counts.of(SimStatus::Processing)), (1, 4));
    json(post(url(&ids[0], "cancel"), &json!({}))).await;
    let counts = replicate.counts_until(|counts| counts.running() == 0).await;
    assert_eq!((counts.succeeded, counts.failed), (2, 1));
    assert_eq!((counts.canceled, counts.cancel_calls), (1, 1));
    // Too late, but counted.
    json(post(url(&ids[1], "cancel"), &json!({}))).await;
    assert_eq!(replicate.counts().cancel_calls, 2);
    assert_eq!(
        (replicate.running(), replicate.count(SimStatus::Failed)),
        (0, 1)
    );

    // Not part of the simulated API: it needs no key.
    let body = client().get(format!("{}/_sim/predictions", sim.replicate_url()));
    let wanted = json!({
        "created": 5, "running": 0, "starting": 0, "processing": 0, "succeeded": 2, "failed": 1,
        "canceled": 1, "aborted": 1, "cancel_calls": 2,
    });
    assert_eq!(json(body).await, (200, wanted));
}

#[tokio::test]
async fn discarded_requests_are_still_counted() {
    let memory = Memory::default().with_predictions(2);
    let sim = start_with(SimOptions::default().with_memory(memory)).await;
    for _ in 0..5 {
        create(&sim, LLAMA3, &ask("hi")).await;
    }
    assert_eq!(sim.replicate().predictions().len(), 2);
    let counts = sim.replicate().counts();
    assert_eq!((counts.created(), counts.succeeded), (5, 5));
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_prediction_stops() {
    let sim = slow().await;
    for number in 0..200_u64 {
        let fresh = create(&sim, LLAMA3, &ask("hi")).await;
        tokio::time::sleep(Duration::from_millis(number * 7 % 400)).await;
        json(post(url(&fresh, "cancel"), &json!({}))).await;
    }
    let counts = sim.replicate().counts();
    assert_eq!((counts.created(), counts.running()), (200, 0));
    assert_eq!(
        (counts.canceled + counts.succeeded, counts.cancel_calls),
        (200, 200)
    );
}
