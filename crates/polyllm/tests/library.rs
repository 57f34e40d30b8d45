//! The library against the simulated upstreams, as a program would use it.

#![allow(clippy::panic, clippy::unwrap_used, reason = "helpers of tests")]

use std::path::PathBuf;
use std::process::Command;

use llm_sim::{Sim, SimOptions};
use polyllm::types::Message;
use polyllm::{ApiKey, Client, CustomTemplate, ErrorKind, Settings, registry};
use serde_json::json;

async fn house() -> (Sim, Client) {
    let sim = Sim::start(SimOptions::default()).await.unwrap();
    let settings = |base: &str| {
        Settings::new()
            .with_api_key(ApiKey::new("k"))
            .with_api_base(base)
    };
    let client = Client::new(registry())
        .with_settings("together_ai", settings(sim.together_url()))
        .with_settings("replicate", settings(sim.replicate_url()));
    (sim, client)
}

#[test]
fn the_registry_knows_both_providers() {
    assert_eq!(
        registry().names().collect::<Vec<_>>(),
        ["replicate", "together_ai"]
    );
}

#[tokio::test]
async fn every_form_of_a_model_name_is_answered_plain_and_streamed() {
    let (_sim, client) = house().await;
    for model in [
        "together_ai/togethercomputer/Llama-2-7B-32K-Instruct",
        "replicate/meta/meta-llama-3-8b-instruct",
        "replicate/llama-2-70b-chat:2796ee9483c3fd7aa2e171d38f4ca12251a30609463dcfd4cd76703f22e96cdf",
        "replicate/deployments/ishaan-jaff/ishaan-mistral",
    ] {
        let chat = || {
            client
                .chat(model)
                .with_user("Write me a poem about the blue sky")
        };
        let response = chat().send().await.unwrap();
        let said = response.text().unwrap();
        assert!(said.contains("blue sky"), "{model}: {said}");
        let mut stream = chat().stream().await.unwrap();
        let mut streamed = String::new();
        while let Some(text) = stream.next_text().await.unwrap() {
            streamed.push_str(&text);
        }
        assert_eq!(streamed, said, "{model}");
    }
}

#[tokio::test]
async fn a_registered_template_writes_the_prompt() {
    let (sim, client) = house().await;
    let template: CustomTemplate = serde_json::from_value(json!({
        "initial_prompt_value": "You are a good assistant",
        "roles": {
            "system": { "pre_message": "[INST] <<SYS>>\n", "post_message": "\n<</SYS>>\n [/INST]\n" },
            "user": { "pre_message": "[INST] ", "post_message": " [/INST]" },
            "assistant": { "pre_message": "\n", "post_message": "\n" },
        },
        "final_prompt_value": "Now answer as best you can:",
    }))
    .unwrap();
    let client = client.with_template("togethercomputer/LLaMA-2-7B-32K", template);
    let messages = [Message::system("Be kind."), Message::user("Hi")];
    let chat = client
        .chat("replicate/togethercomputer/LLaMA-2-7B-32K")
        .with_messages(messages);
    chat.send().await.unwrap();
    assert_eq!(
        sim.replicate().predictions()[0].input["prompt"],
        "You are a good assistant[INST] <<SYS>>\nBe kind.\n<</SYS>>\n [/INST]\n\
         [INST] Hi [/INST]Now answer as best you can:"
    );
}

#[tokio::test]
async fn parameters_of_the_provider_pass() {
    let (sim, client) = house().await;
    let chat = client
        .chat("replicate/meta/meta-llama-3-8b-instruct")
        .with_user("Hi");
    let chat = chat.with_max_tokens(20).with_temperature(0.5);
    chat.with_param("min_tokens", 2)
        .with_param("top_k", 20)
        .send()
        .await
        .unwrap();
    let input = &sim.replicate().predictions()[0].input;
    assert_eq!(
        (
            &input["max_tokens"],
            &input["temperature"],
            &input["min_tokens"],
            &input["top_k"]
        ),
        (&json!(20), &json!(0.5), &json!(2), &json!(20)),
    );
}

#[tokio::test]
async fn a_model_without_a_provider_is_told_which_there_are() {
    let (_sim, client) = house().await;
    let error = client
        .chat("gpt-4")
        .with_user("Hi")
        .send()
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(
        error.message().contains("replicate/…, together_ai/…"),
        "{error}"
    );
}

/// The examples take their keys and addresses from the environment, as `completion` does.
#[tokio::test(flavor = "multi_thread")]
async fn the_examples_run() {
    let (sim, _client) = house().await;
    for (example, model) in [
        (
            "completion",
            "together_ai/togethercomputer/Llama-2-7B-32K-Instruct",
        ),
        ("stream", "replicate/meta/meta-llama-3-8b-instruct"),
    ] {
        let mut command = Command::new(built_example(example));
        command
            .arg(model)
            .env("TOGETHERAI_API_KEY", "k")
            .env("TOGETHER_AI_API_BASE", format!("{}/v1", sim.together_url()))
            .env("REPLICATE_API_KEY", "k")
            .env("REPLICATE_BASE_URL", sim.replicate_url());
        let output = tokio::task::spawn_blocking(move || command.output())
            .await
            .unwrap()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        assert!(said.contains("simulated answer"), "{example}: {said}");
    }
}

fn built_example(name: &str) -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let folder = test.parent().unwrap().parent().unwrap().join("examples");
    folder.join(format!("{name}{}", std::env::consts::EXE_SUFFIX))
}
