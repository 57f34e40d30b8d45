//! The life of predictions: boots, waits, streams, cancellation, failures.

use std::time::Duration;

use llm_sim::{Fault, FaultRule, Pace, PredictionFailure, SimOptions, SimReply, SimStatus, Timing};
use serde_json::{Value, json};

use super::{LLAMA3, VICUNA, ask, create, said, slow, url};
use crate::common::{client, events, get, json, post, start, start_with};

#[tokio::test]
async fn a_prediction_is_created_read_and_streamed() {
    let sim = start().await;
    let base = format!("{}/v1", sim.replicate_url());
    let (status, fresh) = json(post(format!("{base}/{LLAMA3}"), &ask("hi"))).await;
    assert_eq!((status, fresh["status"].as_str()), (201, Some("starting")));
    for unknown in [
        "output",
        "started_at",
        "completed_at",
        "metrics",
        "data_removed",
        "source",
    ] {
        assert!(fresh.get(unknown).is_none(), "{unknown}");
    }
    assert_eq!(fresh["version"], "hidden");
    assert_eq!(fresh["logs"], "");

    let (status, done) = json(get(url(&fresh, "get"))).await;
    assert_eq!((status, done["status"].as_str()), (200, Some("succeeded")));
    let text = said(&done["output"]);
    assert!(text.starts_with("This is a simulated answer from meta/meta-llama-3-8b-instruct."));
    assert_eq!(done["output"].as_array().unwrap().last(), Some(&json!("")));
    // The empty text at the end is no token.
    assert_eq!(
        done["metrics"]["output_token_count"],
        done["output"].as_array().unwrap().len() - 1
    );
    assert!(done["metrics"]["input_token_count"].as_u64().unwrap() > 5);
    assert!(done["logs"].as_str().unwrap().contains("<|begin_of_text|>"));

    // The stream needs no key: its URL is secret.
    let response = client().get(url(&done, "stream")).send().await.unwrap();
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    let all = events(response).await;
    let (last, outputs) = all.split_last().unwrap();
    assert_eq!((last.0.as_str(), last.2.as_str()), ("done", "{}"));
    assert!(
        outputs
            .iter()
            .all(|(name, id, _)| name == "output" && !id.is_empty())
    );
    assert_eq!(
        outputs
            .iter()
            .map(|(_, _, data)| data.as_str())
            .collect::<String>(),
        text
    );

    // Resumed after an event.
    let resumed = client()
        .get(url(&done, "stream"))
        .header("last-event-id", &outputs[3].1);
    let rest = events(resumed.send().await.unwrap()).await;
    assert_eq!(rest, all[4..]);
}

#[tokio::test]
async fn a_waited_response_is_complete_but_processing() {
    let sim = start().await;
    let base = format!("{}/v1", sim.replicate_url());
    let request = post(format!("{base}/{LLAMA3}"), &ask("hi")).header("prefer", "wait=10");
    let response = request.send().await.unwrap();
    assert_eq!(response.status(), 201);
    assert_eq!(response.headers()["preference-applied"], "wait=10");
    assert!(response.headers().contains_key("location"));
    let body: Value = response.json().await.unwrap();
    assert_eq!(body["status"], "processing");
    assert!(said(&body["output"]).starts_with("This is a simulated answer"));
    assert!(body.get("metrics").is_none());
    assert!(body.get("completed_at").is_none());
    let (_, body) = json(get(url(&body, "get"))).await;
    assert_eq!(body["status"], "succeeded");
}

#[tokio::test(start_paused = true)]
async fn a_boot_takes_minutes_and_happens_once() {
    let sim = slow().await;
    let began = tokio::time::Instant::now();
    let first = create(&sim, LLAMA3, &ask("hi")).await;
    let second = create(&sim, LLAMA3, &ask("hi again")).await;
    tokio::time::sleep(Duration::from_secs(239)).await;
    let (_, body) = json(get(url(&first, "get"))).await;
    assert_eq!(body["status"], "starting");
    assert!(body.get("started_at").is_none() && body.get("output").is_none());

    sim.replicate()
        .predictions_until(|all| all[1].status == SimStatus::Processing)
        .await;
    assert_eq!(began.elapsed().as_secs(), 240);
    tokio::time::sleep(Duration::from_secs(4)).await;
    let (_, body) = json(get(url(&first, "get"))).await;
    assert_eq!(body["status"], "processing");
    assert!(body["started_at"].is_string() && body.get("completed_at").is_none());
    assert_eq!(body["output"], json!(["This", " is", " a"]));

    sim.replicate()
        .predictions_until(|all| all.iter().all(|one| one.status.is_terminal()))
        .await;
    let (_, body) = json(get(url(&second, "get"))).await;
    let metrics = &body["metrics"];
    let (predict, total) = (
        metrics["predict_time"].as_f64(),
        metrics["total_time"].as_f64(),
    );
    assert!(total.unwrap() - predict.unwrap() >= 240.0, "{metrics}");
    assert_eq!(metrics["time_to_first_token"], 2.0);
    assert!(metrics["tokens_per_second"].as_f64().unwrap() < 1.0);

    // The model is warm now.
    let third = create(&sim, LLAMA3, &ask("hi")).await;
    tokio::time::sleep(Duration::from_millis(1100)).await;
    let (_, body) = json(get(url(&third, "get"))).await;
    assert_eq!(body["status"], "processing");
}

#[tokio::test(start_paused = true)]
async fn an_expired_wait_returns_202_and_starting() {
    let sim = slow().await;
    let began = tokio::time::Instant::now();
    let request = post(format!("{}/v1/{LLAMA3}", sim.replicate_url()), &ask("hi"));
    let response = request.header("prefer", "wait").send().await.unwrap();
    assert_eq!(response.status(), 202);
    assert_eq!(began.elapsed().as_secs(), 60);
    assert_eq!(response.headers()["preference-applied"], "wait");
    let body: Value = response.json().await.unwrap();
    assert_eq!(
        (body["status"].as_str(), &body["output"]),
        (Some("starting"), &Value::Null)
    );

    // It runs, but its status is still `starting`.
    tokio::time::sleep(Duration::from_secs(200)).await;
    let request = post(format!("{}/v1/{LLAMA3}", sim.replicate_url()), &ask("hi"));
    let response = request.header("prefer", "wait=5").send().await.unwrap();
    let body: Value = response.json().await.unwrap();
    assert_eq!(body["status"], "starting");

    // An invalid duration is ignored.
    for strange in [
        "wait=0",
        "wait=x",
        "respond-async",
        "wait=61",
        "wait=010",
        "wait=+5",
    ] {
        let request = post(format!("{}/v1/{LLAMA3}", sim.replicate_url()), &ask("hi"));
        let response = request.header("prefer", strange).send().await.unwrap();
        assert_eq!(response.status(), 201);
        assert!(!response.headers().contains_key("preference-applied"));
    }
}

#[tokio::test(start_paused = true)]
async fn cancelling_stops_a_prediction_and_its_stream() {
    let sim = slow().await;
    let fresh = create(&sim, LLAMA3, &ask("hi")).await;
    let streamed = tokio::spawn(get(url(&fresh, "stream")).send());
    let response = streamed.await.unwrap().unwrap();
    let all = tokio::spawn(events(response));
    sim.replicate()
        .predictions_until(|all| all[0].output.is_array())
        .await;
    assert_eq!(sim.replicate().running(), 1);

    let (status, body) = json(post(url(&fresh, "cancel"), &json!({}))).await;
    assert_eq!((status, body["status"].as_str()), (200, Some("canceled")));
    assert_eq!(body["logs"], Value::Null);
    assert_eq!(body["output"], json!(["This"]));
    assert!(body["completed_at"].is_string() && body["metrics"]["predict_time"].is_f64());
    let seen = &sim.replicate().predictions()[0];
    assert_eq!((seen.status, seen.cancel_calls), (SimStatus::Canceled, 1));
    assert!(seen.cancelled.is_some());
    assert_eq!(
        (
            sim.replicate().running(),
            sim.replicate().count(SimStatus::Canceled)
        ),
        (0, 1)
    );

    let (_, again) = json(post(url(&fresh, "cancel"), &json!({}))).await;
    assert_eq!(again["completed_at"], body["completed_at"]);
    // The stream ended during the boot, as at Replicate.
    assert_eq!(all.await.unwrap(), []);
    let end = events(get(url(&fresh, "stream")).send().await.unwrap()).await;
    let data: Vec<_> = end.iter().map(|(_, _, data)| data.as_str()).collect();
    assert_eq!(data, ["This", r#"{"reason": "canceled"}"#]);
}

#[tokio::test(start_paused = true)]
async fn an_open_stream_ends_when_its_prediction_is_cancelled() {
    let timing = Timing::default()
        .with_boot(Duration::from_secs(240))
        .with_stream_idle(None);
    let sim = start_with(SimOptions::default().with_timing(timing)).await;
    let fresh = create(&sim, LLAMA3, &ask("hi")).await;
    let response = get(url(&fresh, "stream")).send().await.unwrap();
    json(post(url(&fresh, "cancel"), &json!({}))).await;
    let data: Vec<_> = events(response)
        .await
        .into_iter()
        .map(|(_, _, data)| data)
        .collect();
    assert_eq!(data, [r#"{"reason": "canceled"}"#]);
}

#[tokio::test(start_paused = true)]
async fn an_idle_stream_is_closed_without_done() {
    let sim = slow().await;
    let fresh = create(&sim, LLAMA3, &ask("hi")).await;
    let began = tokio::time::Instant::now();
    let response = get(url(&fresh, "stream")).send().await.unwrap();
    assert_eq!(
        response.text().await.unwrap(),
        ": hi\n\n:408: 408 Request Timeout\n\n"
    );
    assert_eq!(began.elapsed().as_secs(), 30);
}

#[tokio::test(start_paused = true)]
async fn deadlines_abort_or_cancel() {
    let sim = slow().await;
    let create = async |cancel_after: &str| {
        let request = post(format!("{}/v1/{LLAMA3}", sim.replicate_url()), &ask("hi"));
        json(request.header("cancel-after", cancel_after)).await
    };
    let (_, early) = create("30s").await;
    let (_, late) = create("4m5s").await;
    assert!(early["deadline"].is_string());
    let (status, body) = create("4s").await;
    assert_eq!((status, body["status"].as_u64()), (422, Some(422)));
    assert_eq!(create("soon").await.0, 422);

    tokio::time::sleep(Duration::from_secs(300)).await;
    let (_, early) = json(get(url(&early, "get"))).await;
    assert_eq!(
        (early["status"].as_str(), &early["output"]),
        (Some("aborted"), &Value::Null)
    );
    assert_eq!(early["started_at"], Value::Null);
    assert!(early["metrics"].get("predict_time").is_none());
    let (_, late) = json(get(url(&late, "get"))).await;
    assert_eq!(late["status"], "canceled");
    assert_eq!(late["output"].as_array().unwrap().len(), 4);
}

#[tokio::test]
async fn predictions_fail_on_demand() {
    let sim = start().await;
    sim.replicate()
        .inject(FaultRule::new(Fault::Fail(PredictionFailure::Interrupted)).times(1));
    let fresh = create(&sim, LLAMA3, &ask("hi")).await;
    let (_, body) = json(get(url(&fresh, "get"))).await;
    assert_eq!(body["status"], "failed");
    assert_eq!(
        body["error"],
        "Prediction interrupted; please retry (code: PA)"
    );
    assert_eq!(
        (&body["output"], &body["started_at"]),
        (&Value::Null, &Value::Null)
    );

    let fresh = create(&sim, LLAMA3, &ask("hi [sim: fail=timeout]")).await;
    let all = events(client().get(url(&fresh, "stream")).send().await.unwrap()).await;
    let [outputs @ .., error, done] = all.as_slice() else {
        panic!("too few events")
    };
    assert!(!outputs.is_empty());
    assert_eq!((error.0.as_str(), done.0.as_str()), ("error", "done"));
    assert_eq!(
        error.2,
        r#"{"detail":"E6716: Timeout starting prediction"}"#
    );
    assert_eq!(done.2, r#"{"reason": "error"}"#);
    let resumed = client()
        .get(url(&fresh, "stream"))
        .header("last-event-id", &error.1);
    assert_eq!(
        events(resumed.send().await.unwrap()).await,
        std::slice::from_ref(done)
    );

    let request = post(
        format!("{}/v1/{LLAMA3}", sim.replicate_url()),
        &ask("x [sim: fail=oom]"),
    );
    let (status, body) = json(request.header("prefer", "wait")).await;
    assert_eq!((status, body["status"].as_str()), (201, Some("failed")));
    assert_eq!(body["error"], "CUDA out of memory (E1001)");
}

#[tokio::test]
async fn streams_keep_every_character() {
    let tokens = [
        "\n\n",
        "Here is",
        "  a ha",
        "iku\nabout",
        "",
        " llamas:",
        "data: x",
        " 空🙂",
    ];
    let sim = start_with(SimOptions::default().with_reply(SimReply::tokens(tokens))).await;
    let fresh = create(&sim, LLAMA3, &ask("hi")).await;
    let all = events(client().get(url(&fresh, "stream")).send().await.unwrap()).await;
    let data: Vec<_> = all.iter().map(|(_, _, data)| data.as_str()).collect();
    assert_eq!(data, [&tokens[..], &["", "{}"]].concat());
}

#[tokio::test]
async fn tokens_can_be_grouped() {
    let options = SimOptions::default()
        .with_reply(SimReply::tokens(["a", "b", "c", "d", "e"]))
        .with_pace(Pace::default().with_tokens_per_event(2));
    let sim = start_with(options).await;
    let body = json!({"version": VICUNA, "input": {"prompt": "x"}, "stream": true});
    let fresh = create(&sim, "predictions", &body).await;
    let all = events(client().get(url(&fresh, "stream")).send().await.unwrap()).await;
    let data: Vec<_> = all.iter().map(|(_, _, data)| data.as_str()).collect();
    assert_eq!(data, ["ab", "cd", "e", "{}"]);
}
