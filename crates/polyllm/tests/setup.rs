//! The configuration of a client: settings, templates, parameters and the environment. A setting
//! without effect is an error.

#![allow(clippy::panic, clippy::unwrap_used, reason = "helpers of tests")]

use std::path::PathBuf;
use std::process::Command;

use llm_sim::{Sim, SimOptions};
use polyllm::templates::{Family, RoleMarkers};
use polyllm::{
    ApiKey, ChatTemplate, Client, CustomTemplate, ErrorKind, Settings, Template, registry,
};
use serde_json::{Value, json};

const VICUNA: &str = "replicate/replicate/vicuna-13b:6282abe6a492de4145d7bb601023762212f9ddbbe78278bd6771c8b3b2f2a13b";
const LLAMA: &str = "replicate/meta/meta-llama-3-8b-instruct";
const TURBO: &str = "together_ai/meta-llama/Llama-3.3-70B-Instruct-Turbo";

fn client(sim: &Sim) -> Client {
    let settings = |base: &str| {
        let settings = Settings::new().with_api_base(base);
        settings.with_api_key(ApiKey::new("a-key"))
    };
    Client::new(registry())
        .with_settings("together_ai", settings(sim.together_url()))
        .unwrap()
        .with_settings("replicate", settings(sim.replicate_url()))
        .unwrap()
}

/// A template whose prompt contains its name.
fn marked(mark: &str) -> CustomTemplate {
    CustomTemplate::new().with_role("user", RoleMarkers::new(format!("{mark}:"), ""))
}

/// The prompt that the upstream receives for `Hi`; `None` if it receives a chat.
async fn prompt(sim: &Sim, client: &Client, model: &str) -> Option<String> {
    client.chat(model).with_user("Hi").send().await.unwrap();
    let prompt = match model.starts_with("replicate/") {
        true => sim.replicate().predictions().last()?.input["prompt"].clone(),
        false => sim.together().requests().last()?.json()["prompt"].clone(),
    };
    prompt.as_str().map(str::to_owned)
}

#[tokio::test]
async fn a_template_is_used_for_the_models_that_its_name_matches() {
    let sim = Sim::start(SimOptions::default()).await.unwrap();
    let is_used = async |pattern: &str, model: &str| {
        let client = client(&sim).with_template(pattern, marked("MINE")).unwrap();
        prompt(&sim, &client, model).await.as_deref() == Some("MINE:Hi")
    };
    for (pattern, model) in [
        // With and without the provider, and the version.
        ("replicate/replicate/vicuna-13b", VICUNA),
        ("replicate/vicuna-13b", VICUNA),
        (VICUNA, VICUNA),
        ("meta/meta-llama-3-8b-instruct", LLAMA),
        (LLAMA, LLAMA),
        (TURBO, TURBO),
        // Wildcards.
        ("together_ai/meta-llama/*", TURBO),
        ("together_ai/*", TURBO),
        ("meta-llama/*-Turbo", TURBO),
        ("replicate/*vicuna*", VICUNA),
        ("*", LLAMA),
        ("*", TURBO),
    ] {
        assert!(is_used(pattern, model).await, "{pattern} {model}");
    }
    for (pattern, model) in [
        ("together_ai/*", LLAMA),
        ("replicate/*", TURBO),
        ("replicate/meta-llama/*", TURBO),
        ("together_ai/meta/meta-llama-3-8b-instruct", LLAMA),
        ("meta-llama/Llama-3.3-70B-Instruct", TURBO),
    ] {
        assert!(!is_used(pattern, model).await, "{pattern} {model}");
    }
}

#[tokio::test]
async fn any_kind_of_template_can_be_registered() {
    let sim = Sim::start(SimOptions::default()).await.unwrap();
    let chatml = "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n";
    let jinja = "{% for message in messages %}MINE:{{ message.content }}{% endfor %}";
    let jinja = ChatTemplate::compile("mine", jinja).unwrap();
    for template in [
        Template::from(Family::CHATML),
        marked("MINE").into(),
        jinja.into(),
    ] {
        let expected = match template {
            Template::Family(_) => chatml,
            _ => "MINE:Hi",
        };
        let client = client(&sim).with_template("*", template).unwrap();
        for model in [LLAMA, TURBO] {
            let prompt = prompt(&sim, &client, model).await;
            assert_eq!(prompt.as_deref(), Some(expected), "{model}");
        }
    }
}

#[tokio::test]
async fn the_most_specific_name_wins_then_the_last_registered() {
    let sim = Sim::start(SimOptions::default()).await.unwrap();
    let model = LLAMA.strip_prefix("replicate/").unwrap();
    for (first, second, expected) in [
        ("*", LLAMA, "B:Hi"),
        (LLAMA, "*", "A:Hi"),
        (model, LLAMA, "B:Hi"),
        (LLAMA, LLAMA, "B:Hi"),
        ("meta/*", "meta/*", "B:Hi"),
        ("meta/*", "*", "A:Hi"),
        // It is still used on Together AI.
        (LLAMA, model, "A:Hi"),
        ("replicate/*", "meta/*", "A:Hi"),
    ] {
        let client = client(&sim)
            .with_template(first, marked("A"))
            .and_then(|client| client.with_template(second, marked("B")))
            .unwrap();
        let prompt = prompt(&sim, &client, LLAMA).await;
        assert_eq!(prompt.as_deref(), Some(expected), "{first} {second}");
    }
}

#[tokio::test]
async fn a_template_also_applies_to_an_account_already_in_use() {
    let sim = Sim::start(SimOptions::default()).await.unwrap();
    let client = client(&sim);
    assert_eq!(prompt(&sim, &client, TURBO).await, None);
    let client = client.with_template("*", marked("MINE")).unwrap();
    let prompt = prompt(&sim, &client, TURBO).await;
    assert_eq!(prompt.as_deref(), Some("MINE:Hi"));
}

#[test]
fn a_template_that_would_never_be_used_is_an_error() {
    for (before, pattern, why) in [
        (None, "", "it names no model"),
        (None, " ", "it names no model"),
        (None, "together_ai", "`together_ai/*` is for all models"),
        (None, "replicate/", "`replicate/*` is for all models"),
        (
            None,
            "together/acme/*",
            "did you mean `together_ai/acme/*`?",
        ),
        (
            None,
            "replciate/acme/one",
            "did you mean `replicate/acme/one`?",
        ),
        (Some("*"), "acme/*", "`*`, registered before"),
        (Some("acme/*"), "acme/on*", "`acme/*`, registered before"),
        (
            Some("together_ai/acme/*"),
            "together_ai/acme/on*",
            "`acme/*`, registered before",
        ),
    ] {
        let mut client = Client::new(registry());
        if let Some(before) = before {
            client = client.with_template(before, Family::CHATML).unwrap();
        }
        let error = client.with_template(pattern, Family::CHATML).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidRequest, "{pattern}");
        assert!(error.message().contains(why), "{error}");
    }
}

#[test]
fn settings_for_an_unknown_provider_are_an_error() {
    for provider in ["together", "togetherai", "Replicate", ""] {
        let client = Client::new(registry());
        let error = client.with_settings(provider, Settings::new()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound, "{provider}");
        assert!(
            error
                .message()
                .contains("known: openai, replicate, together_ai")
        );
        let hint = error.message().contains("did you mean");
        assert_eq!(hint, !provider.is_empty(), "{error}");
    }
}

#[tokio::test]
async fn an_unknown_setting_of_a_provider_is_an_error_and_nothing_is_sent() {
    let sim = Sim::start(SimOptions::default()).await.unwrap();
    for (model, name, similar) in [
        (TURBO, "text_completions", Some("text_completion")),
        (TURBO, "boot_timeout", None),
        (LLAMA, "boot_timeuot", Some("boot_timeout")),
        (LLAMA, "api_kye", Some("api_key")),
        (LLAMA, "control_token", Some("control_tokens")),
    ] {
        let provider = model.split('/').next().unwrap();
        let settings = Settings::new()
            .with_api_key(ApiKey::new("a-key"))
            .with_extra(name, "x");
        let client = client(&sim).with_settings(provider, settings).unwrap();
        let error = client.chat(model).send().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidRequest, "{name}");
        assert_eq!(
            (error.provider(), error.param()),
            (Some(provider), Some(name))
        );
        if let Some(similar) = similar {
            let hint = format!("did you mean `{similar}`?");
            assert!(error.message().ends_with(&hint), "{error}");
        }
    }
    assert!(sim.together().requests().is_empty() && sim.replicate().requests().is_empty());
}

#[tokio::test]
async fn an_invalid_parameter_name_is_an_error_and_nothing_is_sent() {
    let sim = Sim::start(SimOptions::default()).await.unwrap();
    let client = client(&sim);
    let values: [(&str, Value); 7] = [
        ("api_key", json!("a-secret-key")),
        ("timeout", json!(5)),
        ("model", json!("other")),
        ("messages", json!([])),
        ("max_tokens", json!(7)),
        ("stream", json!(true)),
        ("extra_headers", json!({})),
    ];
    for (name, value) in values {
        let chat = client.chat(TURBO).with_user("Hi").with_max_tokens(5);
        let error = chat.with_param(name, value).send().await.unwrap_err();
        assert_eq!(
            (error.kind(), error.param()),
            (ErrorKind::InvalidRequest, Some(name))
        );
        assert!(!format!("{error} {error:?}").contains("a-secret-key"));
    }
    assert!(sim.together().requests().is_empty());
}

#[test]
fn an_invalid_variable_is_named() {
    for (name, value) in [
        ("TOGETHER_BASE_URL", "api.together.ai"),
        ("REPLICATE_BASE_URL", "ftp://user:a-secret@example.com"),
        ("TOGETHER_API_KEY", "a-secret\nkey"),
    ] {
        let output = example("models")
            .args(["replicate"])
            .env(name, value)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success(), "{name}");
        assert!(
            said.contains(&format!("the environment variable {name} cannot be used")),
            "{said}"
        );
        assert!(
            said.contains("invalid_environment") && !said.contains("a-secret"),
            "{said}"
        );
    }
}

#[test]
fn a_missing_key_is_named_when_a_model_is_called() {
    let output = example("completion").output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success());
    assert!(said.contains("TOGETHERAI_API_KEY"), "{said}");
    assert!(!said.contains("REPLICATE"), "{said}");
}

/// An example in an environment without keys and addresses.
fn example(name: &str) -> Command {
    let test = std::env::current_exe().unwrap();
    let folder = test.parent().unwrap().parent().unwrap().join("examples");
    let path: PathBuf = folder.join(format!("{name}{}", std::env::consts::EXE_SUFFIX));
    let mut command = Command::new(path);
    command.env_clear();
    command
}
