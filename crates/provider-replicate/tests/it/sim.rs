//! The provider against the simulation: LiteLLM's page, cold boots, and calls dropped anywhere.

use std::time::Duration;

use futures_util::{StreamExt, stream};
use llm_provider::{ApiKey, ErrorKind};
use llm_sim::{Fault, FaultRule, Pace, Sim, SimOptions, SimReply, SimStatus, Timing};
use llm_types::{ChatRequest, ChatResponse, Message, Stop};
use provider_replicate::Replicate;
use serde_json::json;
use tokio::time::timeout;

use crate::support::{
    self, StreamOutcome, advance_in_small_steps, chat, chat_request, cleaned_up, settings,
};

const TEXT: &str = "Earth — 🌍 — is the third planet.\n\n It is  blue.\n";

async fn start(options: SimOptions) -> (Sim, Replicate) {
    let sim = Sim::start(options.with_reply(SimReply::Text(TEXT.to_owned())))
        .await
        .unwrap();
    let replicate = Replicate::new(settings(sim.replicate_url())).unwrap();
    (sim, replicate)
}

/// The models of LiteLLM's page, without the provider's prefix, and the paths of their predictions.
const PAGE: &[(&str, &str)] = &[
    (
        "meta/meta-llama-3-8b-instruct",
        "/v1/models/meta/meta-llama-3-8b-instruct/predictions",
    ),
    (
        "llama-2-70b-chat:2796ee9483c3fd7aa2e171d38f4ca12251a30609463dcfd4cd76703f22e96cdf",
        "/v1/predictions",
    ),
    (
        "a16z-infra/llama-2-13b-chat:2a7f981751ec7fdf87b5b91ad4db53683a98082e9ff7bfd12c8cd5ea85980a52",
        "/v1/predictions",
    ),
    (
        "vicuna-13b:6282abe6a492de4145d7bb601023762212f9ddbbe78278bd6771c8b3b2f2a13b",
        "/v1/predictions",
    ),
    (
        "daanelson/flan-t5-large:ce962b3f6792a57074a601d3979db5839697add2e4e02696b3ced4c022d4767f",
        "/v1/predictions",
    ),
    ("custom-llm-version-id", "/v1/predictions"),
    (
        "deployments/ishaan-jaff/ishaan-mistral",
        "/v1/deployments/ishaan-jaff/ishaan-mistral/predictions",
    ),
    ("mistralai/Mistral-7B-Instruct-v0.1", "/v1/predictions"),
];

#[tokio::test]
async fn every_model_of_litellms_page_returns_the_complete_text() {
    let (sim, replicate) = start(SimOptions::default()).await;
    for (model, path) in PAGE {
        sim.replicate().forget_requests();
        let reply = chat(&replicate, chat_request(model)).await.unwrap();
        let answer = reply.read::<ChatResponse>().unwrap();
        assert_eq!(answer.text().unwrap(), TEXT, "{model}");
        let outcome = StreamOutcome::all(
            support::stream(&replicate, chat_request(model))
                .await
                .unwrap(),
        )
        .await;
        outcome.assert_whole();
        assert_eq!(outcome.text, TEXT, "{model}");
        let requests = sim.replicate().requests();
        let mut created = requests.iter().filter(|seen| seen.method == "POST");
        assert!(created.all(|seen| seen.path == *path), "{model}");
    }
    assert_eq!(sim.replicate().count(SimStatus::Succeeded), 2 * PAGE.len());
}

#[tokio::test]
async fn every_model_of_litellms_page_takes_a_conversation() {
    let (sim, replicate) = start(SimOptions::default()).await;
    for (model, _) in PAGE {
        let messages = vec![
            Message::system("Be a good human!"),
            Message::user("One."),
            Message::assistant("Two."),
            Message::user("Three?"),
        ];
        chat(&replicate, ChatRequest::new(*model, messages))
            .await
            .unwrap();
    }
    let inputs = sim
        .replicate()
        .predictions()
        .into_iter()
        .map(|seen| (seen.model, seen.input));
    insta::assert_json_snapshot!("page_conversations", inputs.collect::<Vec<_>>());
}

#[tokio::test]
async fn the_parameters_of_litellms_page_reach_the_model() {
    let (sim, replicate) = start(SimOptions::default()).await;
    let llama_2 = PAGE[1].0;
    let first = chat_request(llama_2)
        .with_max_tokens(20)
        .with_temperature(0.5);
    chat(&replicate, first).await.unwrap();
    let second = chat_request(llama_2)
        .with_seed(-1)
        .with_extra("min_tokens", 2)
        .with_extra("top_k", 20);
    chat(&replicate, second).await.unwrap();
    let third = chat_request(PAGE[0].0).with_stop(Stop::Many(vec!["a".into(), "b".into()]));
    chat(&replicate, third).await.unwrap();
    let inputs: Vec<_> = sim
        .replicate()
        .predictions()
        .into_iter()
        .map(|seen| seen.input)
        .collect();
    insta::assert_json_snapshot!("page_params", inputs);
}

#[tokio::test]
async fn the_prompt_of_litellms_page_is_received_exactly() {
    let (sim, replicate) = start(SimOptions::default()).await;
    let messages = vec![
        Message::system("Be a good human!"),
        Message::user("What do you know about earth?"),
    ];
    chat(&replicate, ChatRequest::new(PAGE[0].0, messages))
        .await
        .unwrap();
    let input = &sim.replicate().predictions()[0].input;
    assert_eq!(
        input["prompt"],
        "<|start_header_id|>system<|end_header_id|>\n\nBe a good human!<|eot_id|>\
         <|start_header_id|>user<|end_header_id|>\n\nWhat do you know about earth?<|eot_id|>\
         <|start_header_id|>assistant<|end_header_id|>\n\n"
    );
    assert_eq!(input["prompt_template"], "{prompt}");
}

#[tokio::test]
async fn the_text_is_exact_for_every_write_size() {
    for bytes in [1, 2, 3, 7, 64] {
        let options = SimOptions::default().with_pace(Pace::default().with_bytes_per_write(bytes));
        let (_sim, replicate) = start(options).await;
        let outcome = StreamOutcome::all(
            support::stream(&replicate, chat_request(PAGE[0].0))
                .await
                .unwrap(),
        )
        .await;
        outcome.assert_whole();
        assert_eq!(outcome.text, TEXT);
    }
}

#[tokio::test(start_paused = true)]
async fn a_boot_of_four_minutes_is_awaited_and_reported() {
    advance_in_small_steps();
    let timing = Timing::default().with_boot(Duration::from_secs(240));
    let (sim, replicate) = start(SimOptions::default().with_timing(timing.clone())).await;
    let outcome = StreamOutcome::all(
        support::stream(&replicate, chat_request(PAGE[0].0))
            .await
            .unwrap(),
    )
    .await;
    outcome.assert_whole();
    assert_eq!(outcome.text, TEXT);
    assert!(
        outcome.progress.len() > 40,
        "{} progress events",
        outcome.progress.len()
    );
    assert!(outcome.progress.iter().all(|status| status == "starting"));

    let reply = chat(&replicate, chat_request("meta/meta-llama-3-70b-instruct"))
        .await
        .unwrap();
    assert_eq!(reply.read::<ChatResponse>().unwrap().text().unwrap(), TEXT);
    assert!(reply.metadata.extra["wait_time"].as_f64().unwrap() >= 240.0);
    assert_eq!(sim.replicate().predictions().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_reply_that_outlasts_the_wait_is_polled() {
    advance_in_small_steps();
    let timing = Timing::default().with_token(Duration::from_secs(2));
    let (sim, replicate) = start(SimOptions::default().with_timing(timing)).await;
    let reply = chat(&replicate, chat_request(PAGE[0].0)).await.unwrap();
    assert_eq!(reply.read::<ChatResponse>().unwrap().text().unwrap(), TEXT);
    let requests = sim.replicate().requests();
    let asked = requests
        .iter()
        .filter(|seen| seen.path.starts_with("/v1/predictions/"))
        .count();
    assert!((10..100).contains(&asked), "asked {asked} times");
}

#[tokio::test(start_paused = true)]
async fn an_endless_boot_times_out_and_is_cancelled() {
    advance_in_small_steps();
    let timing = Timing::default().with_boot(Duration::from_secs(3600));
    let (sim, _) = start(SimOptions::default().with_timing(timing)).await;
    let settings = settings(sim.replicate_url()).with_extra("boot_timeout", 60);
    let replicate = Replicate::new(settings).unwrap();
    let error = chat(&replicate, chat_request(PAGE[0].0)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout);
    assert!(
        error.message().ends_with("did not start within 60 s"),
        "{error}"
    );
    let outcome = StreamOutcome::all(
        support::stream(&replicate, chat_request(PAGE[0].0))
            .await
            .unwrap(),
    )
    .await;
    assert_eq!(outcome.error.unwrap().kind(), ErrorKind::Timeout);
    sim.replicate()
        .requests_until(|seen| {
            seen.iter()
                .filter(|seen| seen.path.ends_with("/cancel"))
                .count()
                == 2
        })
        .await;
    assert_eq!(sim.replicate().running(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_thousand_calls_dropped_at_any_moment_leave_nothing_running() {
    advance_in_small_steps();
    let timing = Timing::default()
        .with_queue(Duration::from_secs(2))
        .with_boot(Duration::from_secs(20))
        .with_token(Duration::from_millis(500));
    let (sim, replicate) = start(SimOptions::default().with_timing(timing)).await;
    // The same moments in every run.
    let mut random = fastrand::Rng::with_seed(7);
    let calls = (0..1000).map(|number| {
        let moment = Duration::from_millis(random.u64(..30_000));
        let replicate = &replicate;
        async move {
            let (model, _) = PAGE[number % PAGE.len()];
            let _ = timeout(moment, async {
                if number % 2 == 0 {
                    drop(chat(replicate, chat_request(model)).await);
                } else if let Ok(stream) = support::stream(replicate, chat_request(model)).await {
                    drop(StreamOutcome::all(stream).await);
                }
            })
            .await;
        }
    });
    stream::iter(calls)
        .buffer_unordered(200)
        .collect::<()>()
        .await;
    cleaned_up().await;
    assert_eq!(sim.replicate().running(), 0);
    let cancelled = sim
        .replicate()
        .predictions()
        .iter()
        .filter(|p| p.cancel_calls > 0)
        .count();
    assert!(
        cancelled > 300,
        "only {cancelled} were dropped before their end"
    );
}

#[tokio::test(start_paused = true)]
async fn a_rejected_creation_is_retried() {
    advance_in_small_steps();
    let (sim, _) = start(SimOptions::default()).await;
    let created = |sim: &Sim| {
        let requests = sim.replicate().requests();
        requests.iter().filter(|seen| seen.method == "POST").count()
    };
    for (status, tries) in [(429, 3), (503, 3), (500, 1)] {
        sim.replicate().forget_requests();
        sim.replicate().clear_faults();
        sim.replicate().inject(
            FaultRule::new(Fault::Status(status))
                .on_method("POST")
                .times(2),
        );
        let replicate = Replicate::new(settings(sim.replicate_url()).with_max_retries(2)).unwrap();
        let answered = chat(&replicate, chat_request(PAGE[0].0)).await.is_ok();
        assert_eq!((created(&sim), answered), (tries, tries == 3), "{status}");
    }
}

#[tokio::test]
async fn a_wrong_key_and_a_missing_model_are_typed_errors() {
    let (sim, replicate) = start(SimOptions::default()).await;
    let error = chat(&replicate, chat_request("acme/no-such-model"))
        .await
        .unwrap_err();
    assert_eq!(error.code(), Some("model_not_found"));
    let settings = settings(sim.replicate_url()).with_api_key(ApiKey::new("invalid"));
    let error = chat(&Replicate::new(settings).unwrap(), chat_request(PAGE[0].0))
        .await
        .unwrap_err();
    assert_eq!(
        (error.kind(), error.status().unwrap().as_u16()),
        (ErrorKind::Auth, 401)
    );
    let wrong = chat_request(PAGE[0].0).with_extra("top_k", json!("many"));
    let error = chat(&replicate, wrong).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.param()),
        (ErrorKind::InvalidRequest, Some("top_k"))
    );
}
