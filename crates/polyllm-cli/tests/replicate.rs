//! `polyllm replicate`, and Replicate through other commands, against a simulation.

#![allow(clippy::panic, clippy::unwrap_used, reason = "helpers of tests")]

mod common;
#[path = "common/page.rs"]
mod page;

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::Duration;

use llm_sim::{Sim, SimOptions, SimReply, Timing};
use serde_json::{Value, json};

use crate::common::{polyllm, run};
use crate::page::ROWS;

/// Runs the binary with `sim` as Replicate. Returns standard output, standard error and status.
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
async fn every_model_of_litellms_page_replies() {
    let text = "Earth is  the third planet — 🌍.";
    let options = SimOptions::default().with_reply(SimReply::Text(text.to_owned()));
    let sim = Sim::start(options).await.unwrap();
    for model in ROWS {
        for more in [&[][..], &["--no-stream"]] {
            let arguments = [&["chat", "-m", model, "What is earth?"], more].concat();
            let (said, error, status) = with(&sim, &arguments);
            assert_eq!((said.trim_end(), status), (text, 0), "{model}: {error}");
        }
    }
}

/// Creates a prediction and returns its id.
async fn create(sim: &Sim) -> String {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let model = "v1/models/meta/meta-llama-3-8b-instruct/predictions";
    let request = reqwest::Client::new()
        .post(format!("{}/{model}", sim.replicate_url()))
        .bearer_auth("r8_secret")
        .json(&json!({"input": {"prompt": "Hello"}}));
    let prediction: Value = request.send().await.unwrap().json().await.unwrap();
    prediction["id"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn predictions_can_be_listed_shown_and_awaited() {
    let timing = Timing::default().with_boot(Duration::from_millis(150));
    let options = SimOptions::default().with_reply(SimReply::Text("Hi there".to_owned()));
    let sim = Sim::start(options.with_timing(timing)).await.unwrap();
    let ids = [create(&sim).await, create(&sim).await, create(&sim).await];
    let wait = ["replicate", "predictions", "wait", &ids[0]];
    let (said, told, status) = with(&sim, &wait);
    assert_eq!((said.as_str(), status), ("Hi there\n", 0), "{told}");
    assert!(told.starts_with("starting, 0 s\n"), "{told}");

    let list = ["replicate", "predictions", "list"];
    let (table, _, _) = with(&sim, &list);
    let lines: Vec<&str> = table.lines().collect();
    assert!(lines[0].starts_with("ID"), "{table}");
    assert!(lines[1].starts_with(&ids[2]) && lines[3].starts_with(&ids[0]));
    assert!(lines[3].contains("succeeded") && lines[3].ends_with("meta/meta-llama-3-8b-instruct"));
    let (lines, _, _) = with(&sim, &[&list[..], &["-n", "2", "--json"]].concat());
    let documents: Vec<Value> = lines
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(documents.len(), 2);
    assert_eq!(documents[0]["id"], ids[2]);
    assert!(documents[0]["urls"]["get"].is_string());

    let (shown, _, _) = with(&sim, &["replicate", "predictions", "get", &ids[0]]);
    for expected in [
        &ids[0],
        "status      succeeded",
        "tokens out",
        "\n\nHi there\n",
    ] {
        assert!(shown.contains(expected), "{expected}: {shown}");
    }
    let path = "/v1/predictions/none";
    for (command, before) in [("get", 0), ("wait", 1)] {
        let (_, error, status) = with(&sim, &["replicate", "predictions", command, "none"]);
        assert_eq!(status, 1);
        assert!(error.contains("could not be found"), "{error}");
        let requests = sim.replicate().requests();
        let asked = requests.iter().filter(|request| request.path == path);
        assert_eq!(asked.count(), before + 1, "{command}");
    }
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_interrupted_wait_keeps_the_prediction_running_by_default() {
    let timing = Timing::default().with_boot(Duration::from_secs(3600));
    let sim = Sim::start(SimOptions::default().with_timing(timing))
        .await
        .unwrap();
    let id = create(&sim).await;
    for (more, says, running) in [
        (&[][..], format!("predictions cancel {id}"), 1),
        (&["--cancel-on-interrupt"], "canceled".to_owned(), 0),
    ] {
        let arguments = [&["replicate", "predictions", "wait", &id], more].concat();
        let mut waiting = polyllm(&arguments)
            .env("REPLICATE_API_TOKEN", "r8_secret")
            .env("REPLICATE_BASE_URL", sim.replicate_url())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut told = BufReader::new(waiting.stderr.take().unwrap()).lines();
        assert_eq!(told.next().unwrap().unwrap(), "starting, 0 s");
        let kill = Command::new("kill")
            .args(["-INT", &waiting.id().to_string()])
            .status();
        assert!(kill.unwrap().success());
        let note = told.next().unwrap().unwrap();
        assert!(note.contains(&says), "{note}");
        assert_eq!(waiting.wait().unwrap().code(), Some(130));
        assert_eq!(sim.replicate().running(), running);
    }
    let (said, error, status) = with(&sim, &["replicate", "predictions", "wait", &id]);
    assert_eq!((said.as_str(), status), ("", 1));
    assert!(error.contains(" failed: "), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deployments_are_created_changed_and_deleted() {
    let sim = Sim::start(SimOptions::default()).await.unwrap();
    let replicate = |words: &str| {
        let words: Vec<&str> = words.split(' ').collect();
        with(&sim, &[&["replicate"], &words[..]].concat())
    };
    let model = "meta/meta-llama-3-8b-instruct";
    let (versions, _, _) = replicate(&format!("versions {model} --json"));
    let version: Value = serde_json::from_str(versions.lines().next().unwrap()).unwrap();
    let version = version["id"].as_str().unwrap();
    let (made, error, status) = replicate(&format!(
        "deployments create chat --model {model} --version {version} --hardware gpu-t4"
    ));
    assert_eq!(status, 0, "{error}");
    assert!(
        made.contains("acme/chat") && made.contains("0 to 1"),
        "{made}"
    );
    let (changed, _, _) = replicate("deployments update acme/chat --max-instances 3 --json");
    let changed: Value = serde_json::from_str(&changed).unwrap();
    let release = &changed["current_release"];
    assert_eq!(
        (
            &release["number"],
            &release["configuration"]["max_instances"]
        ),
        (&json!(2), &json!(3))
    );
    let (list, _, _) = replicate("deployments list");
    assert!(list.contains("acme/chat"), "{list}");
    assert_eq!(replicate("deployments delete acme/chat").2, 0);
    assert_eq!(replicate("deployments get acme/chat").2, 1);
    assert_eq!(
        replicate("deployments update acme/chat").2,
        2,
        "nothing to change"
    );
    let (_, error, _) = replicate("deployments get chat");
    assert!(error.contains("owner/name"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_inputs_of_a_model_are_shown() {
    let sim = Sim::start(SimOptions::default()).await.unwrap();
    let model = "meta/meta-llama-3-8b-instruct";
    let (shown, _, status) = with(&sim, &["replicate", "models", "get", model]);
    assert_eq!(status, 0);
    let line = |name: &str| {
        let line = shown.lines().find(|line| line.starts_with(name)).unwrap();
        line.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    assert_eq!(
        line("temperature"),
        "temperature number 0.7 0.0 to 5.0 Randomness of outputs."
    );
    assert_eq!(
        line("max_tokens"),
        "max_tokens integer 512 1 or more Most tokens to generate."
    );
    let (secret, _, _) = with(&sim, &["replicate", "webhook-secret"]);
    assert_eq!(secret.trim_end(), sim.replicate().webhook_secret());
    let (line, _, _) = with(&sim, &["replicate", "webhook-secret", "--json"]);
    let answer: Value = serde_json::from_str(&line).unwrap();
    assert_eq!(answer["key"], sim.replicate().webhook_secret());
    let (list, _, status) = with(&sim, &["replicate", "models", "list", "-n", "3"]);
    assert_eq!((list.lines().count(), status), (4, 0));
    let (found, _, status) = with(&sim, &["replicate", "models", "search", "llama", "70b"]);
    assert_eq!(status, 0);
    let models: Vec<_> = found.lines().skip(1).collect();
    assert!(!models.is_empty(), "{found}");
    assert!(
        models
            .iter()
            .all(|line| line.to_lowercase().contains("70b")),
        "{found}"
    );
    let (account, _, status) = with(&sim, &["replicate", "account"]);
    assert_eq!(status, 0);
    assert!(
        account.starts_with("account") && account.contains("acme"),
        "{account}"
    );
    let (line, _, _) = with(&sim, &["replicate", "account", "--json"]);
    let account: Value = serde_json::from_str(&line).unwrap();
    assert_eq!(account["username"], "acme");
    let (_, error, status) = run(&mut polyllm(&["replicate", "models", "list"]));
    assert_eq!(status, 1);
    assert!(
        error.contains("REPLICATE_API_KEY") && error.contains("--simulate"),
        "{error}"
    );
    let (list, _, status) = run(&mut polyllm(&["replicate", "models", "list", "--simulate"]));
    assert!(status == 0 && list.contains(model), "{list}");
    let (help, _, _) = run(&mut polyllm(&[
        "replicate",
        "predictions",
        "wait",
        "--help",
    ]));
    assert!(
        help.contains("--cancel-on-interrupt") && help.contains("Ctrl-C"),
        "{help}"
    );
}

/// SIGTERM exists on Unix only.
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
    async fn nothing_runs_after_a_thousand_disconnects_and_a_sigterm() {
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
                "stream": number.is_multiple_of(2),
            });
            let request = client.post(&url).json(&body);
            async move {
                let mut response = request.send().await.unwrap();
                while let Ok(Some(_)) = response.chunk().await {}
            }
        };
        // The same moments in every run.
        let mut random = fastrand::Rng::with_seed(7);
        let leaving =
            (0..1000).map(|number| timeout(Duration::from_millis(random.u64(..80)), ask(number)));
        let leaving = stream::iter(leaving).buffer_unordered(100);
        assert_eq!(
            leaving
                .filter(|done| std::future::ready(done.is_ok()))
                .count()
                .await,
            0
        );

        // These clients disconnect when the gateway stops, while they receive replies.
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
        // How many of the first thousand created a prediction depends on the machine.
        assert!(counts.created() >= 50, "{counts:?}");
        assert_eq!(counts.canceled + counts.aborted, counts.created());
    }
}
