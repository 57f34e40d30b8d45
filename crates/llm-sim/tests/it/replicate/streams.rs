//! Streams on a separate host, and removal of data.

use std::time::Duration;

use llm_sim::{SimOptions, Timing};
use serde_json::{Value, json};

use super::{LLAMA3, ask, create, said, slow, url};
use crate::common::{client, events, get, json, post, start_with};

#[tokio::test]
async fn streams_can_have_a_separate_host() {
    let sim = start_with(SimOptions::default().with_replicate_stream_port(0)).await;
    let host = sim.replicate_stream_url().unwrap().to_owned();
    assert_ne!(host, sim.replicate_url());
    let fresh = create(&sim, LLAMA3, &ask("hi")).await;
    let stream = url(&fresh, "stream");
    assert!(stream.starts_with(&host) && url(&fresh, "get").starts_with(sim.replicate_url()));

    let all = events(client().get(&stream).send().await.unwrap()).await;
    assert_eq!(all.last().unwrap().0, "done");
    let (_, done) = json(get(url(&fresh, "get"))).await;
    let text: String = all
        .iter()
        .filter(|event| event.0 == "output")
        .map(|event| &*event.2)
        .collect();
    assert_eq!(text, said(&done["output"]));

    // That host serves nothing else.
    let (status, _) = json(get(format!("{host}/v1/account"))).await;
    assert_eq!(status, 404);
    // Its requests are in the same log, with their host.
    let seen = sim.replicate().requests();
    let hosts = seen.iter().filter_map(|one| one.header("host"));
    assert_eq!(hosts.filter(|at| host.ends_with(at)).count(), 2);
    sim.shutdown().await;
    assert!(client().get(&stream).send().await.is_err());
}

#[tokio::test(start_paused = true)]
async fn data_is_removed_after_an_hour() {
    let sim = slow().await;
    let fresh = create(&sim, LLAMA3, &ask("a secret")).await;
    tokio::time::sleep(Duration::from_secs(3590)).await;
    let (_, kept) = json(get(url(&fresh, "get"))).await;
    assert_eq!(kept["data_removed"], false);
    sim.replicate()
        .predictions_until(|all| all[0].data_removed)
        .await;

    let (_, body) = json(get(url(&fresh, "get"))).await;
    assert_eq!(
        (
            &body["input"],
            &body["output"],
            &body["logs"],
            &body["data_removed"]
        ),
        (&json!({}), &Value::Null, &Value::Null, &json!(true))
    );
    // All other members stay.
    for name in [
        "id",
        "status",
        "metrics",
        "created_at",
        "started_at",
        "completed_at",
    ] {
        assert_eq!(body[name], kept[name], "{name}");
    }
    let (_, list) = json(get(format!("{}/v1/predictions", sim.replicate_url()))).await;
    assert!(!list.to_string().contains("secret") && !body.to_string().contains("secret"));
    let stream = client().get(url(&fresh, "stream")).send().await.unwrap();
    assert_eq!(stream.status(), 404);
    // Cancellation is too late and returns no data either.
    let (_, body) = json(post(url(&fresh, "cancel"), &json!({}))).await;
    assert_eq!(
        (&body["input"], body["status"].as_str()),
        (&json!({}), Some("succeeded"))
    );
}

#[tokio::test(start_paused = true)]
async fn running_predictions_are_not_removed() {
    let timing = Timing::default()
        .with_boot(Duration::from_secs(7200))
        .with_retention(Some(Duration::from_secs(60)));
    let sim = start_with(SimOptions::default().with_timing(timing.clone())).await;
    let fresh = create(&sim, LLAMA3, &ask("hi")).await;
    tokio::time::sleep(Duration::from_secs(120)).await;
    let (_, body) = json(get(url(&fresh, "get"))).await;
    assert_eq!(body["input"]["prompt"], "hi");

    let kept = SimOptions::default().with_timing(timing.with_retention(None));
    let sim = start_with(kept).await;
    let fresh = create(&sim, LLAMA3, &ask("hi")).await;
    tokio::time::sleep(Duration::from_secs(1_000_000)).await;
    let (_, body) = json(get(url(&fresh, "get"))).await;
    assert_eq!(body["data_removed"], false);
}
