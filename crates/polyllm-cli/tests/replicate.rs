//! Replicate through the binary, against a simulation in the test.

#![allow(clippy::panic, clippy::unwrap_used, reason = "helpers of tests")]

mod common;

use llm_sim::{Reply, Sim, SimOptions};

use crate::common::{polyllm, run};

/// The models of LiteLLM's page on Replicate, as its examples name them.
const ROWS: [&str; 8] = [
    "replicate/meta/meta-llama-3-8b-instruct",
    "replicate/mistralai/Mistral-7B-Instruct-v0.1",
    "replicate/llama-2-70b-chat:2796ee9483c3fd7aa2e171d38f4ca12251a30609463dcfd4cd76703f22e96cdf",
    "replicate/a16z-infra/llama-2-13b-chat:2a7f981751ec7fdf87b5b91ad4db53683a98082e9ff7bfd12c8cd5ea85980a52",
    "replicate/vicuna-13b:6282abe6a492de4145d7bb601023762212f9ddbbe78278bd6771c8b3b2f2a13b",
    "replicate/daanelson/flan-t5-large:ce962b3f6792a57074a601d3979db5839697add2e4e02696b3ced4c022d4767f",
    "replicate/custom-llm-version-id",
    "replicate/deployments/ishaan-jaff/ishaan-mistral",
];

/// Standard output, standard error and status of the binary with `sim` for Replicate.
fn with(sim: &Sim, arguments: &[&str]) -> (String, String, i32) {
    let mut command = polyllm(arguments);
    command
        .env("REPLICATE_API_TOKEN", "r8_secret")
        .env("REPLICATE_BASE_URL", sim.replicate_url());
    let (said, error, status) = run(&mut command);
    assert!(!format!("{said}{error}").contains("r8_secret"));
    (said, error, status)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_model_of_litellms_page_answers_whole() {
    let text = "Earth is  the third planet — 🌍.";
    let options = SimOptions::default().with_reply(Reply::Text(text.to_owned()));
    let sim = Sim::start(options).await.unwrap();
    for model in ROWS {
        for more in [&[][..], &["--no-stream"]] {
            let arguments = [&["chat", "-m", model, "What is earth?"], more].concat();
            let (said, error, status) = with(&sim, &arguments);
            assert_eq!((said.trim_end(), status), (text, 0), "{model}: {error}");
        }
    }
}

/// SIGTERM is Unix's.
#[cfg(unix)]
mod stopping {
    use std::fs;
    use std::io::{BufRead, BufReader};
    use std::process::{Command, Stdio};
    use std::time::Duration;

    use futures_util::{StreamExt, stream};
    use llm_sim::{Sim, SimOptions, Timing};
    use serde_json::{Value, json};
    use tokio::time::timeout;

    use crate::common::polyllm;

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_thousand_clients_who_leave_and_a_sigterm_leave_nothing_running() {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let timing = Timing::default()
            .with_queue(Duration::from_millis(5))
            .with_first_token(Duration::from_millis(5))
            .with_token(Duration::from_secs(600));
        let sim = Sim::start(SimOptions::default().with_timing(timing))
            .await
            .unwrap();
        let config = std::env::temp_dir().join(format!("polyllm-term-{}.yaml", std::process::id()));
        let text = format!(
            "model_list:\n  - model_name: llama\n    litellm_params:\n      \
             model: replicate/meta/meta-llama-3-8b-instruct\n      api_key: any\n      \
             api_base: {}\n      prefer_wait: 1\n",
            sim.replicate_url()
        );
        fs::write(&config, text).unwrap();
        let arguments = ["serve", "--port", "0", "--json", "--config"];
        let mut gateway = polyllm(&[&arguments[..], &[config.to_str().unwrap()]].concat())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(gateway.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        let address: Value = serde_json::from_str(&line).unwrap();
        let url = format!("{}/v1/chat/completions", address["url"].as_str().unwrap());

        let client = reqwest::Client::new();
        let ask = |number: usize| {
            let body = json!({
                "model": "llama", "messages": [{"role": "user", "content": "Hi"}],
                "stream": number % 2 == 0,
            });
            let request = client.post(&url).json(&body);
            async move {
                let mut response = request.send().await.unwrap();
                while let Ok(Some(_)) = response.chunk().await {}
            }
        };
        let mut random = 7_u64;
        let leaving = (0..1000).map(|number| {
            // A linear congruential generator: the same moments in every run.
            random = random
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            timeout(Duration::from_millis((random >> 33) % 80), ask(number))
        });
        let leaving = stream::iter(leaving).buffer_unordered(100);
        assert_eq!(
            leaving
                .filter(|done| std::future::ready(done.is_ok()))
                .count()
                .await,
            0
        );

        // These are in the middle of their answers when the gateway is stopped, and leave then.
        let before = sim.replicate().counts().created();
        let staying: Vec<_> = (0..50).map(|number| tokio::spawn(ask(number))).collect();
        let all_there = sim
            .replicate()
            .counts_until(|counts| counts.created() >= before + 50);
        timeout(Duration::from_secs(60), all_there).await.unwrap();
        let id = gateway.id().to_string();
        assert!(
            Command::new("kill")
                .args(["-TERM", &id])
                .status()
                .unwrap()
                .success()
        );
        staying.iter().for_each(tokio::task::JoinHandle::abort);
        let status = tokio::task::spawn_blocking(move || gateway.wait());
        assert!(status.await.unwrap().unwrap().success());
        fs::remove_file(config).unwrap();

        let counts = sim.replicate().counts();
        assert_eq!(counts.running(), 0, "{counts:?}");
        assert!(counts.canceled + counts.aborted >= 100, "{counts:?}");
    }
}
