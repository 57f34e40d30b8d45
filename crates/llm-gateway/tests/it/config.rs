//! Configurations: each case is a file, and its messages are a snapshot.

mod access;
mod growth;
mod messages;
mod mutations;
mod params;
mod routing;

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::support::{Scripted, acme, registry};
use llm_gateway::{Config, ConfigError};
use llm_provider::{Provider, Registry, Settings};
use serde_json::json;

#[test]
fn all_errors_are_reported_in_one_run() {
    insta::glob!("configs/bad/*.yaml", |path| {
        let error = load(path).expect_err("this file is good");
        insta::assert_snapshot!(error.to_string());
    });
}

#[test]
fn good_files_load() {
    insta::glob!("configs/good/*.yaml", |path| {
        let config = load(path).unwrap_or_else(|error| panic!("{error}"));
        let mut seen = String::new();
        for deployment in &config.deployments {
            seen += &format!(
                "{} -> {} (model {}, weight {})\n    {}\n",
                deployment.group,
                deployment.id,
                deployment.model,
                deployment.weight,
                serde_json::to_string(&deployment.defaults).unwrap(),
            );
        }
        seen += &format!(
            "master key: {}, drop_params: {}, retries: {:?}\n",
            config.master_key.is_some(),
            config.drop_params,
            config.retries,
        );
        for warning in &config.warnings {
            seen += &format!("{warning}\n");
        }
        insta::assert_snapshot!(seen);
        let debug = format!("{config:?}");
        for secret in ["a-secret", "sk-1234", "r8_"] {
            assert!(
                !seen.contains(secret) && !debug.contains(secret),
                "{secret} is shown"
            );
        }
    });
}

/// The settings of the providers of a configuration.
fn settings_of(text: &str) -> Vec<Settings> {
    let built = Arc::new(Mutex::new(Vec::new()));
    let mut registry = Registry::new();
    let seen = Arc::clone(&built);
    registry.register(acme(), move |settings| {
        seen.lock().unwrap().push(settings);
        Ok(Scripted::new([]) as Arc<dyn Provider>)
    });
    let config = Config::parse(text, &registry, &|_| None).unwrap();
    assert_eq!(config.warnings, []);
    std::mem::take(&mut built.lock().unwrap())
}

#[test]
fn timeouts_and_retries_reach_the_provider() {
    let seconds = |seconds| Some(Duration::from_secs_f64(seconds));
    let own = "
model_list:
  - model_name: a
    litellm_params:
      model: acme/a
      timeout: 60
      stream_timeout: 5.5
      connect_timeout: 1
      first_byte_timeout: 2
      idle_timeout: 3
      max_retries: 4
      retry_billed: true
      ca_file: /etc/ca.pem
router_settings: {timeout: 100, stream_timeout: 20}";
    let settings = &settings_of(own)[0];
    assert_eq!(settings.timeout, seconds(60.0));
    assert_eq!(settings.stream_timeout, seconds(5.5));
    assert_eq!(settings.connect_timeout, seconds(1.0));
    assert_eq!(settings.first_byte_timeout, seconds(2.0));
    assert_eq!(settings.idle_timeout, seconds(3.0));
    assert_eq!(
        (settings.max_retries, settings.retry_billed),
        (Some(4), true)
    );
    assert_eq!(settings.ca_file.as_deref(), Some(Path::new("/etc/ca.pem")));

    let shared = "
model_list:
  - {model_name: a, litellm_params: {model: acme/a}}
  - {model_name: a, litellm_params: {model: acme/b, max_retries: 1}}
  - {model_name: b, litellm_params: {model: acme/c}}
router_settings: {stream_timeout: 20}
litellm_settings: {request_timeout: 100}";
    let settings = settings_of(shared);
    assert_eq!(
        (settings[0].timeout, settings[0].stream_timeout),
        (seconds(100.0), seconds(20.0))
    );
    // With several deployments, another one is tried instead.
    let retries: Vec<_> = settings
        .iter()
        .map(|settings| settings.max_retries)
        .collect();
    assert_eq!(retries, [Some(0), Some(1), None]);
}

#[test]
fn a_model_with_fallbacks_falls_back_instead_of_waiting_for_a_retry() {
    let models = "
model_list:
  - {model_name: a, litellm_params: {model: acme/a}}
  - {model_name: b, litellm_params: {model: acme/b}}
";
    let (yes, no) = (Some(0), None);
    for (fallbacks, expected) in [
        ("fallbacks: [{a: [b]}]", [yes, no]),
        ("fallbacks: [{'*': [b]}]", [yes, no]),
        ("default_fallbacks: [b, a]", [yes, yes]),
        ("default_fallbacks: [b], fallbacks: [{a: []}]", [no, no]),
        ("context_window_fallbacks: [{a: [b]}]", [no, no]),
        ("content_policy_fallbacks: [{a: [b]}]", [no, no]),
    ] {
        let text = format!("{models}litellm_settings: {{{fallbacks}}}");
        let settings = settings_of(&text);
        let retries = settings.iter().map(|settings| settings.max_retries);
        assert_eq!(retries.collect::<Vec<_>>(), expected, "{fallbacks}");
    }
}

#[test]
fn extra_headers_reach_the_provider_and_invalid_ones_are_errors() {
    let own = "
environment_variables: {PROXY_KEY: pk-secret}
model_list:
  - model_name: a
    litellm_params:
      model: acme/a
      headers: {X-Team: red, X-Tries: 3}
      extra_headers: {x-team: blue, X-Proxy-Key: os.environ/PROXY_KEY}";
    let settings = &settings_of(own)[0];
    let mut expected = llm_provider::ExtraHeaders::default();
    for (name, value) in [
        ("x-team", "blue"),
        ("x-tries", "3"),
        ("x-proxy-key", "pk-secret"),
    ] {
        expected.insert(name, value).unwrap();
    }
    assert_eq!(settings.extra_headers, expected);
    assert!(!format!("{settings:?}").contains("pk-secret"));

    let mut registry = Registry::new();
    registry.register("acme", |_| Ok(Scripted::new([]) as Arc<dyn Provider>));
    for (headers, why) in [
        (
            "{Host: example.com}",
            "the header host cannot be overridden",
        ),
        ("{\"a b\": c}", "invalid header name"),
        ("{a: \"s3cret\\n\"}", "invalid header value"),
    ] {
        let text = format!(
            "model_list: [{{model_name: a, litellm_params: {{model: acme/a, extra_headers: {headers}}}}}]"
        );
        let error = Config::parse(&text, &registry, &|_| None).unwrap_err();
        let report = error.to_string();
        assert!(
            report.contains(why) && !report.contains("s3cret"),
            "{report}"
        );
    }
}

#[test]
fn templates_reach_the_provider_in_both_forms() {
    let older = r#"
model_list:
  - model_name: a
    litellm_params:
      model: acme/a
      roles: {"user": "<|im_start|>user"}
      pre_message_sep: "\n"
      post_message_sep: "\n"
    model_info: {mode: completion}
  - model_name: b
    litellm_params:
      model: acme/b
      roles: {"user": {"pre_message": "U: ", "post_message": "\n"}}
      text_completion: false
    model_info: {mode: completion}"#;
    let extra: Vec<_> = settings_of(older)
        .into_iter()
        .map(|settings| serde_json::Value::Object(settings.extra))
        .collect();
    assert_eq!(
        extra,
        [
            json!({
                "roles": { "user": "<|im_start|>user" },
                "pre_message_sep": "\n", "post_message_sep": "\n", "text_completion": true,
            }),
            json!({
                "roles": { "user": { "pre_message": "U: ", "post_message": "\n" } },
                "text_completion": false,
            }),
        ]
    );
}

#[test]
fn secrets_are_not_shown() {
    insta::glob!("configs/bad/secrets.yaml", |path| {
        let error = load(path).expect_err("this file is good");
        for text in [error.to_string(), format!("{error:?}")] {
            assert!(
                !text.contains("secret") && !text.contains("77777"),
                "{text}"
            );
        }
    });
}

#[test]
fn problems_of_a_file_name_the_file() {
    let folder = std::env::temp_dir().join(format!("llm-gateway-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let file = folder.join("config.yaml");
    let shown = |error: ConfigError| error.to_string().replace(folder.to_str().unwrap(), "");

    let error = Config::load(&file, &registry()).unwrap_err();
    assert!(std::error::Error::source(&error).is_some());
    assert!(shown(error).starts_with("/config.yaml: error: the file cannot be read: "));

    std::fs::write(&file, b"model_list:\n  - \xff\n").unwrap();
    let error = Config::load(&file, &registry()).unwrap_err();
    assert_eq!(
        shown(error),
        "/config.yaml:2:5: error: the file is not UTF-8 text"
    );

    std::fs::write(&file, "model_list: {}\n").unwrap();
    let error = Config::load(&file, &registry()).unwrap_err();
    assert_eq!(
        shown(error),
        "/config.yaml:1:13: error: `model_list` has to be a list (`- …`), but here is a mapping"
    );
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn windows_line_ends_and_a_byte_order_mark_are_accepted() {
    let text = "\u{feff}model_list:\r\n  - model_name: a\r\n    litellm_params: \
        {model: acme/a/b, api_key: k}\r\n";
    let config = Config::parse(text, &registry(), &|_| None).unwrap();
    assert_eq!(config.deployments[0].group, "a");
}

#[test]
fn hostile_files_end_in_an_error() {
    let bomb = (1..9).fold(
        "a0: &a0 [x, x, x, x, x, x, x, x, x]\n".to_owned(),
        |text, n| {
            let alias = format!("*a{}, ", n - 1).repeat(9);
            format!("{text}a{n}: &a{n} [{}]\n", alias.trim_end_matches(", "))
        },
    );
    for text in [
        "[".repeat(100_000),
        "{a: ".repeat(100_000),
        "- ".repeat(100_000),
        bomb,
    ] {
        let error = Config::parse(&text, &registry(), &|_| None).unwrap_err();
        assert_eq!(error.problems().len(), 1);
    }
}

fn load(path: &Path) -> Result<Config, ConfigError> {
    let text = std::fs::read_to_string(path).unwrap();
    Config::parse(&text, &registry(), &|name| match name {
        "ACME_API_KEY" | "OTHER_API_KEY" => Some(format!("secret of {name}")),
        "TOP_P" => Some("0.9".to_owned()),
        _ => None,
    })
}
