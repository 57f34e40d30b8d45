//! What the simulation records: the times of its writes, and the outcomes of requests.

use std::time::Duration;

use llm_sim::{RequestOutcome, Sim, SimOptions, SimReply, Times, Timing};
use serde_json::{Value, json};

use crate::common::{KEY, client, json, post, start_with};

fn ask(sim: &Sim, more: Value) -> reqwest::RequestBuilder {
    let mut body = json!({
        "model": "meta-llama/Llama-3.3-70B-Instruct-Turbo",
        "stream": true,
        "messages": [{"role": "user", "content": "hi"}],
    });
    for (key, value) in more.as_object().expect("an object") {
        body[key] = value.clone();
    }
    post(format!("{}/v1/chat/completions", sim.together_url()), &body)
}

fn timing() -> Timing {
    Timing::default()
        .with_first_token(Duration::from_millis(30))
        .with_token(Duration::from_millis(5))
}

fn times(sim: &Sim, number: usize) -> Times {
    sim.together().requests()[number].times()
}

#[tokio::test(start_paused = true)]
async fn every_event_is_recorded_with_its_due_time() {
    let options = SimOptions::default()
        .with_timing(timing())
        .with_reply(SimReply::tokens(["a", "b", "c"]));
    let sim = start_with(options).await;
    let response = ask(&sim, json!({})).send().await.unwrap();
    assert_eq!(response.headers()["x-sim-request"], "0");
    response.bytes().await.unwrap();
    sim.together().idle().await;

    let times = times(&sim, 0);
    let millis = |since: Duration| (since - times.received).as_millis();
    let writes: Vec<_> = times.writes.iter().collect();
    let due: Vec<_> = writes.iter().map(|w| (millis(w.due), w.tokens)).collect();
    // Three tokens, the finish, `[DONE]`.
    assert_eq!(due, [(30, 1), (35, 1), (40, 1), (40, 0), (40, 0)]);
    assert!(
        writes.iter().all(|write| write.at >= write.due),
        "{writes:?}"
    );
    assert_eq!(times.tokens().count(), 3);
    let first = times.first_token().unwrap();
    assert!(first >= Duration::from_millis(30) && first < Duration::from_millis(32));
    assert_eq!(times.outcome, RequestOutcome::Finished);
    assert!(times.answered.unwrap() >= times.received);
    assert!(times.ended.unwrap() >= writes[4].at);
}

#[tokio::test(start_paused = true)]
async fn the_prediction_of_a_stream_is_found_by_the_start_of_its_id() {
    let options = SimOptions::default()
        .with_timing(timing())
        .with_reply(SimReply::tokens(["a", "b"]));
    let sim = start_with(options).await;
    let url = format!(
        "{}/v1/models/meta/meta-llama-3-8b-instruct/predictions",
        sim.replicate_url()
    );
    let created = post(url, &json!({"input": {"prompt": "hi"}, "stream": true}));
    let created: Value = created.send().await.unwrap().json().await.unwrap();
    let stream = client().get(created["urls"]["stream"].as_str().unwrap());
    let stream = stream.header("accept", "text/event-stream");
    stream.send().await.unwrap().bytes().await.unwrap();
    sim.replicate().idle().await;

    let requests = sim.replicate().requests();
    let start = requests[0].times().received;
    let times = requests[1].times();
    let due: Vec<_> = times
        .tokens()
        .map(|w| (w.due - start).as_millis())
        .collect();
    // The last token of this model is empty.
    assert_eq!(due, [30, 35, 40]);
    assert!(times.tokens().all(|write| write.at >= write.due));
    assert_eq!(times.outcome, RequestOutcome::Finished);
}

#[tokio::test(start_paused = true)]
async fn choices_are_generated_in_parallel() {
    let options = SimOptions::default()
        .with_timing(timing())
        .with_reply(SimReply::tokens(["a", "b", "c"]));
    let sim = start_with(options).await;
    for body in [json!({"n": 4}), json!({"n": 4, "stream": false})] {
        let began = tokio::time::Instant::now();
        let response = ask(&sim, body).send().await.unwrap();
        response.bytes().await.unwrap();
        // tokio's timers are late by a millisecond at most.
        let took = began.elapsed().as_millis();
        assert!((40..=43).contains(&took), "{took} ms");
    }
}

#[tokio::test]
async fn precise_times_use_a_separate_thread() {
    let timing = Timing::default()
        .with_first_token(Duration::from_micros(1_300))
        .with_token(Duration::from_micros(700))
        .with_precise(true);
    let options = SimOptions::default()
        .with_timing(timing)
        .with_reply(SimReply::tokens(["a", "b", "c"]));
    let sim = start_with(options).await;
    ask(&sim, json!({}))
        .send()
        .await
        .unwrap()
        .bytes()
        .await
        .unwrap();
    sim.together().idle().await;
    let times = times(&sim, 0);
    let due: Vec<_> = times
        .tokens()
        .map(|write| (write.due - times.received).as_micros())
        .collect();
    assert_eq!(due, [1_300, 2_000, 2_700]);
    // The delay depends on the load of the machine.
    assert!(times.tokens().all(|write| write.at >= write.due));
}

#[tokio::test]
async fn requests_are_counted_by_outcome() {
    let timing = Timing::default().with_token(Duration::from_secs(3600));
    let sim = start_with(SimOptions::default().with_timing(timing)).await;
    // One finished, one was broken by a fault, and two clients disconnected.
    let quick = ask(&sim, json!({"max_tokens": 1, "stream": false}));
    assert_eq!(quick.send().await.unwrap().status(), 200);
    let broken = ask(&sim, json!({})).header("x-sim-fault", "cut-after=20");
    assert!(broken.send().await.unwrap().bytes().await.is_err());
    let mut streaming = ask(&sim, json!({})).send().await.unwrap();
    assert!(streaming.chunk().await.unwrap().is_some());
    let waiting = tokio::spawn(ask(&sim, json!({"stream": false})).send());
    sim.together().requests_until(|seen| seen.len() == 4).await;

    let counts = sim.together().request_counts();
    assert_eq!((counts.started, counts.running()), (4, 2));
    drop(streaming);
    waiting.abort();
    sim.together().idle().await;
    let counts = sim.together().request_counts();
    assert_eq!(
        (counts.finished, counts.broken, counts.abandoned),
        (1, 1, 2)
    );
    let outcomes: Vec<_> = sim
        .together()
        .requests()
        .iter()
        .map(|seen| seen.times().outcome)
        .collect();
    use RequestOutcome::{Abandoned, Broken, Finished};
    assert_eq!(outcomes, [Finished, Broken, Abandoned, Abandoned]);
}

#[tokio::test]
async fn a_thousand_calls_that_are_dropped_leave_nothing_running() {
    let timing = Timing::default()
        .with_first_token(Duration::from_millis(2))
        .with_token(Duration::from_millis(1));
    let sim = start_with(SimOptions::default().with_timing(timing)).await;
    let client = client();
    let url = format!("{}/v1/chat/completions", sim.together_url());
    for _ in 0..10 {
        let calls = (0..100).map(|call| {
            let body = json!({
                "model": "openai/gpt-oss-20b", "stream": call % 10 != 0,
                "messages": [{"role": "user", "content": "hi"}],
            });
            let request = client.post(&url).bearer_auth(KEY).json(&body);
            async move {
                let answer = async {
                    let mut response = request.send().await?;
                    for _ in 0..call % 7 {
                        response.chunk().await?;
                    }
                    Ok::<_, reqwest::Error>(())
                };
                // A client leaves before a plain reply, and after a few events of a stream.
                let patience = Duration::from_millis(if call % 10 == 0 { call } else { 10_000 });
                let _ = tokio::time::timeout(patience, answer).await;
            }
        });
        futures_util::future::join_all(calls).await;
    }
    sim.together().idle().await;
    let counts = sim.together().request_counts();
    assert_eq!(counts.running(), 0);
    assert_eq!(
        counts.started,
        counts.finished + counts.abandoned + counts.broken
    );
    // The client of each stream left before its end.
    assert!(counts.abandoned >= 900, "{counts:?}");
}

#[tokio::test(start_paused = true)]
async fn the_usage_of_a_reply_is_recorded_unless_a_fault_replaces_it() {
    let options = SimOptions::default().with_reply(SimReply::tokens(["a", "b", "c"]));
    let sim = start_with(options).await;
    for more in [
        json!({}),
        json!({ "stream": false }),
        json!({ "messages": [{ "role": "user", "content": "[sim: status=503]" }] }),
        json!({ "messages": [{ "role": "user", "content": "[sim: error-after=1]" }] }),
    ] {
        ask(&sim, more).send().await.unwrap().bytes().await.unwrap();
    }
    sim.together().idle().await;
    let usage = |number| times(&sim, number).usage;
    let counted = usage(0).unwrap();
    assert!(counted.prompt > 0 && counted.completion == 3, "{counted:?}");
    assert_eq!(usage(1), Some(counted));
    assert_eq!([usage(2), usage(3)], [None, None]);

    let (_, seen) = json(client().get(format!("{}/_sim/requests", sim.together_url()))).await;
    assert_eq!(seen[0]["usage"]["completion_tokens"], 3);
    assert_eq!(seen[2]["usage"], Value::Null);
}
