//! Webhooks: events, times, signatures and retries.

use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use llm_sim::{Pace, Sim, SimOptions, SimReply, Timing, WebhookEvent};
use serde_json::{Value, json};
use sha2::Sha256;

use super::receiver::{Received, Receiver};
use super::{LLAMA3, ask, create, refused, slow, url};
use crate::common::{get, json, post, start, start_with};

fn ask_for(receiver: &Receiver, events: &[&str]) -> Value {
    let mut body = ask("hi");
    body["webhook"] = json!(receiver.url);
    body["webhook_events_filter"] = json!(events);
    body
}

fn statuses(received: &[Received]) -> Vec<String> {
    received.iter().map(Received::status).collect()
}

/// Ten tokens, one every 200 ms, the first after one second.
async fn ten_tokens() -> Sim {
    let timing = Timing::default()
        .with_boot(Duration::from_secs(60))
        .with_first_token(Duration::from_secs(1))
        .with_token(Duration::from_millis(200));
    let options = SimOptions::default()
        .with_reply(SimReply::tokens((0..9).map(|token| token.to_string())))
        .with_timing(timing)
        .with_pace(Pace::default());
    start_with(options).await
}

#[tokio::test(start_paused = true)]
async fn every_event_is_sent_when_it_is_due() {
    let sim = ten_tokens().await;
    let mut receiver = Receiver::start(&[]).await;
    let began = tokio::time::Instant::now();
    let every = ["start", "output", "logs", "completed"];
    let fresh = create(&sim, LLAMA3, &ask_for(&receiver, &every)).await;
    let all = receiver.until_the_end().await;

    let course: Vec<_> = all
        .iter()
        .map(|one| {
            let body = one.json();
            let tokens = body["output"].as_array().map_or(0, Vec::len);
            let logs = body["logs"].as_str().is_some_and(|logs| !logs.is_empty());
            let millis = (one.at - began).as_millis() as usize / 100 * 100;
            (millis, one.status(), tokens, logs)
        })
        .collect();
    let running = |at, tokens| (at, "processing".to_owned(), tokens, true);
    assert_eq!(
        course,
        [
            running(60_000, 0),
            running(60_000, 0),
            running(61_000, 1),
            // 500 ms, not 200, after the previous one.
            running(61_500, 3),
            running(62_000, 6),
            running(62_500, 8),
            (62_800, "succeeded".to_owned(), 10, true),
        ]
    );
    let sent = sim.replicate().webhooks_until(|all| all.len() == 7).await;
    let events: Vec<_> = sent.iter().map(|one| one.event).collect();
    use WebhookEvent::{Completed, Logs, Output, Start};
    assert_eq!(
        events,
        [Start, Logs, Output, Output, Output, Output, Completed]
    );
    assert!(all.iter().all(|one| one.path == "/hook?x=1"));
    // The body is that of a GET.
    let (_, got) = json(get(url(&fresh, "get"))).await;
    assert_eq!(all.last().unwrap().json(), got);
}

#[tokio::test(start_paused = true)]
async fn only_the_requested_events_are_sent() {
    let sim = slow().await;
    let mut receiver = Receiver::start(&[]).await;
    create(&sim, LLAMA3, &ask_for(&receiver, &["start", "completed"])).await;
    assert_eq!(
        statuses(&receiver.until_the_end().await),
        ["processing", "succeeded"]
    );

    // By default, outputs and the end.
    let mut body = ask("hi");
    body["webhook"] = json!(receiver.url);
    create(&sim, LLAMA3, &body).await;
    let all = receiver.until_the_end().await;
    assert!(all.len() > 5 && all[0].json()["output"] == json!(["This"]));

    // The older option for the completed event alone.
    let body = json!({"input": {"prompt": "hi"}, "webhook_completed": receiver.url});
    create(&sim, LLAMA3, &body).await;
    assert_eq!(statuses(&receiver.until_the_end().await), ["succeeded"]);

    // No requested event occurs, so none is sent.
    let fresh = create(&sim, LLAMA3, &ask_for(&receiver, &["output"])).await;
    json(post(url(&fresh, "cancel"), &json!({}))).await;
    tokio::time::sleep(Duration::from_secs(600)).await;
    assert!(receiver.is_empty());
}

#[tokio::test]
async fn an_immediate_reply_has_all_events() {
    let sim = start().await;
    let mut receiver = Receiver::start(&[]).await;
    let every = ["start", "output", "logs", "completed"];
    create(&sim, LLAMA3, &ask_for(&receiver, &every)).await;
    let all = receiver.until_the_end().await;
    let wanted = ["processing", "processing", "processing", "succeeded"];
    assert_eq!(statuses(&all), wanted);
    assert!(all[0].json().get("output").is_none() && all[2].json()["output"].is_array());
}

#[tokio::test(start_paused = true)]
async fn every_end_of_a_prediction_is_reported() {
    let sim = slow().await;
    let mut receiver = Receiver::start(&[]).await;
    let fresh = create(&sim, LLAMA3, &ask_for(&receiver, &["start", "completed"])).await;
    json(post(url(&fresh, "cancel"), &json!({}))).await;
    let body = receiver.next().await.json();
    assert_eq!(
        (body["status"].as_str(), &body["id"]),
        (Some("canceled"), &fresh["id"])
    );

    let mut failing = ask_for(&receiver, &["completed"]);
    failing["input"]["prompt"] = json!("[sim: fail=oom]");
    create(&sim, LLAMA3, &failing).await;
    let body = receiver.next().await.json();
    assert_eq!(body["error"], "CUDA out of memory (E1001)");

    let request = post(
        format!("{}/v1/predictions", sim.replicate_url()),
        &json!({"version": super::VICUNA, "input": {"prompt": "x"}, "webhook": receiver.url}),
    );
    json(request.header("cancel-after", "10s")).await;
    assert_eq!(receiver.next().await.status(), "aborted");
}

#[tokio::test(start_paused = true)]
async fn the_completed_event_is_retried_until_it_is_accepted() {
    let sim = start().await;
    let mut receiver = Receiver::start(&[500, 404, 429]).await;
    create(&sim, LLAMA3, &ask_for(&receiver, &["completed"])).await;
    let mut all = Vec::new();
    for _ in 0..4 {
        all.push(receiver.next().await);
    }
    let seconds: Vec<_> = all
        .iter()
        .map(|one| (one.at - all[0].at).as_secs())
        .collect();
    assert_eq!(seconds, [0, 2, 6, 14]);
    let same = |of: fn(&Received) -> String| all.iter().all(|one| of(one) == of(&all[0]));
    assert!(same(|one| one.header("webhook-id").to_owned()));
    assert!(same(|one| String::from_utf8_lossy(&one.body).into_owned()));
    let stamp = |one: &Received| one.header("webhook-timestamp").parse::<u64>().unwrap();
    assert_eq!(stamp(&all[3]) - stamp(&all[0]), 14);
    let sent = sim.replicate().webhooks_until(|all| all.len() == 4).await;
    let sent: Vec<_> = sent.iter().map(|one| (one.attempt, one.status)).collect();
    let wanted = [500, 404, 429, 200].map(Some);
    assert_eq!(sent, (1..).zip(wanted).collect::<Vec<_>>());

    // Retries for one minute; intermediate events are sent once; redirects are not followed.
    let began = tokio::time::Instant::now();
    let mut gone = ask("hi");
    gone["webhook"] = json!("http://127.0.0.1:1/nobody");
    create(&sim, LLAMA3, &gone).await;
    let sent = sim
        .replicate()
        .webhooks_until(|all| all.len() == 4 + 7)
        .await;
    assert_eq!(began.elapsed().as_secs(), 60);
    let attempts: Vec<_> = sent[4..]
        .iter()
        .map(|one| (one.event.as_str(), one.attempt))
        .collect();
    assert_eq!(attempts[0], ("output", 1));
    assert_eq!(
        attempts[1..],
        [1, 2, 3, 4, 5, 6].map(|attempt| ("completed", attempt))
    );
    let mut moved = Receiver::start(&[302]).await;
    create(&sim, LLAMA3, &ask_for(&moved, &["completed"])).await;
    moved.next().await;
    tokio::time::sleep(Duration::from_secs(600)).await;
    assert!(moved.is_empty());
}

#[tokio::test]
async fn webhooks_are_signed() {
    let sim = start().await;
    let mut receiver = Receiver::start(&[]).await;
    create(&sim, LLAMA3, &ask_for(&receiver, &["completed"])).await;
    let received = receiver.next().await;
    assert_eq!(received.header("content-type"), "application/json");

    let (status, told) = json(get(format!(
        "{}/v1/webhooks/default/secret",
        sim.replicate_url()
    )))
    .await;
    assert_eq!(
        (status, told["key"].as_str().unwrap()),
        (200, &*sim.replicate().webhook_secret())
    );
    let key = told["key"]
        .as_str()
        .unwrap()
        .strip_prefix("whsec_")
        .unwrap();
    let mut mac = Hmac::<Sha256>::new_from_slice(&BASE64_STANDARD.decode(key).unwrap()).unwrap();
    let [id, timestamp] = ["webhook-id", "webhook-timestamp"].map(|name| received.header(name));
    mac.update(format!("{id}.{timestamp}.").as_bytes());
    mac.update(&received.body);
    let signature = received
        .header("webhook-signature")
        .strip_prefix("v1,")
        .unwrap();
    mac.verify_slice(&BASE64_STANDARD.decode(signature).unwrap())
        .unwrap();
}

#[tokio::test(start_paused = true)]
async fn no_request_leaves_the_machine() {
    let sim = start().await;
    let mut body = ask("hi");
    body["webhook"] = json!("https://example.com/my-webhook");
    body["webhook_events_filter"] = json!(["completed"]);
    create(&sim, LLAMA3, &body).await;
    let sent = sim.replicate().webhooks_until(|all| !all.is_empty()).await;
    assert_eq!((sent[0].attempt, sent[0].status), (1, None));
    let told = get(format!("{}/_sim/webhooks", sim.replicate_url()));
    let wanted = json!({
        "prediction": sent[0].prediction, "event": "completed", "id": sent[0].id, "attempt": 1,
        "status": null,
    });
    assert_eq!(json(told).await, (200, json!([wanted])));
    tokio::time::sleep(Duration::from_secs(600)).await;
    assert_eq!(sim.replicate().webhooks().len(), 1);
    for wrong in ["nonsense", "/path", "ftp://127.0.0.1/"] {
        body["webhook"] = json!(wrong);
        let problem = refused(&sim, LLAMA3, &body, 422).await;
        assert_eq!(problem["invalid_fields"][0]["field"], "webhook");
    }
}

#[tokio::test(start_paused = true)]
async fn a_simulation_that_ends_sends_no_more() {
    let sim = slow().await;
    let mut receiver = Receiver::start(&[]).await;
    create(&sim, LLAMA3, &ask_for(&receiver, &["completed"])).await;
    let replicate = sim.replicate().clone();
    sim.shutdown().await;
    tokio::time::sleep(Duration::from_secs(3600)).await;
    assert!(receiver.is_empty() && replicate.webhooks().is_empty());
}
