//! The declared settings of the real providers: in a configuration, and as the command lists them.

#![allow(clippy::panic, clippy::unwrap_used, reason = "helpers of tests")]

#[allow(dead_code, reason = "other tests need more of it")]
mod common;

use common::polyllm;
use llm_gateway::Config;
use llm_provider::{COMMON_SETTINGS, ProviderSpec, SettingSpec, ValueKind};
use serde_json::{Map, Value, json};

/// A configuration of one model at `provider` with these `litellm_params`.
fn config(provider: &str, mut params: Map<String, Value>) -> String {
    params.insert("model".to_owned(), format!("{provider}/a/b").into());
    json!({ "model_list": [{ "model_name": "a", "litellm_params": params }] }).to_string()
}

/// The errors and warnings of a configuration.
fn problems(text: &str) -> Vec<String> {
    match Config::parse(text, &polyllm::registry(), &|_| None) {
        Ok(config) => config.warnings.iter().map(ToString::to_string).collect(),
        Err(error) => error.problems().iter().map(ToString::to_string).collect(),
    }
}

/// A valid value of a setting; `None` for a file, which would have to exist.
fn example(setting: &SettingSpec) -> Option<Value> {
    if let Some(default) = setting.default {
        return Some(default.into());
    }
    Some(match setting.kind {
        ValueKind::PositiveSeconds => json!(1.5),
        ValueKind::Headers => json!({ "x-team": "blue" }),
        ValueKind::TextMap { .. } => json!({ "user": "User: " }),
        ValueKind::Secret | ValueKind::Text => json!("text"),
        ValueKind::Path => return None,
        kind => panic!("{}: no example of {kind}", setting.name),
    })
}

fn examples(spec: &ProviderSpec) -> Map<String, Value> {
    let settings = spec.settings().iter();
    settings
        .filter_map(|setting| Some((setting.name.to_owned(), example(setting)?)))
        .collect()
}

#[test]
fn every_declared_setting_is_accepted_in_a_configuration() {
    for spec in polyllm::registry().specs() {
        let text = config(spec.name(), examples(spec));
        assert_eq!(problems(&text), Vec::<String>::new(), "{}", spec.name());
    }
}

#[test]
fn a_misspelt_setting_is_ignored_with_the_nearest_declared_name() {
    for spec in polyllm::registry().specs() {
        for setting in spec
            .settings()
            .iter()
            .filter(|setting| setting.name.len() > 4)
        {
            let name = setting.name;
            let misspelt = format!("{}{}", &name[..3], &name[4..]);
            let params = json!({ "api_key": "k", misspelt: 1 });
            let problems = problems(&config(spec.name(), params.as_object().unwrap().clone()));
            assert_eq!(problems.len(), 1, "{problems:?}");
            assert!(problems[0].contains("is ignored"), "{problems:?}");
            let hint = format!("did you mean `{name}`?");
            assert!(problems[0].ends_with(&hint), "{problems:?}");
        }
    }
}

#[test]
fn every_declared_parameter_is_sent_under_its_name() {
    let registry = polyllm::registry();
    let params: Map<String, Value> = registry
        .params()
        .map(|param| (param.name.to_owned(), example_of_param(param.kind)))
        .collect();
    for spec in registry.specs() {
        let mut all = params.clone();
        all.insert("api_key".to_owned(), "k".into());
        let config = Config::parse(&config(spec.name(), all), &registry, &|_| None);
        let config = config.unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(config.warnings, []);
        assert_eq!(config.deployments[0].defaults, params, "{}", spec.name());
    }
}

fn example_of_param(kind: ValueKind) -> Value {
    match kind {
        ValueKind::Bool => json!(true),
        ValueKind::Integer => json!(3),
        ValueKind::List => json!([1]),
        ValueKind::Map => json!({ "a": 1 }),
        ValueKind::Number => json!(0.5),
        _ => json!("text"),
    }
}

#[test]
fn the_command_lists_the_settings_of_each_provider() {
    let run = |args: &[&str]| {
        let output = polyllm(args).output().unwrap();
        let code = output.status.code();
        (String::from_utf8(output.stdout).unwrap(), code.unwrap())
    };
    let registry = polyllm::registry();
    let (text, status) = run(&["providers"]);
    assert_eq!(status, 0);
    for spec in registry.specs() {
        assert!(text.contains(&format!("\n{}:\n", spec.name())), "{text}");
        let settings = spec.specific_settings().chain(COMMON_SETTINGS);
        for setting in settings {
            let line = text.lines().find(|line| line.contains(setting.doc));
            assert!(
                line.is_some_and(|line| line.starts_with(setting.name)),
                "{text}"
            );
            let mut variables = setting.variables.iter();
            assert!(
                variables.all(|name| text.contains(&format!("${name}"))),
                "{text}"
            );
        }
    }
    let (lines, status) = run(&["providers", "--json"]);
    assert_eq!(status, 0);
    let lines: Vec<Value> = lines
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    for (line, spec) in lines.iter().zip(registry.specs()) {
        assert_eq!(line["provider"], spec.name());
        let count = |name| line[name].as_array().unwrap().len();
        assert_eq!(count("settings"), spec.settings().len());
        assert_eq!(count("params"), spec.params().len());
    }
    assert_eq!(lines.len(), registry.specs().count());
    let (one, status) = run(&["providers", "replicate"]);
    assert!(
        status == 0 && one.contains("boot_timeout") && one.contains("ca_file"),
        "{one}"
    );
    assert_eq!(run(&["providers", "replicat"]).1, 2);
}

#[test]
fn the_configs_in_litellms_documentation_load_without_a_warning() {
    // The pages on Together AI and Replicate, one after the other.
    let page = r#"
model_list:
  - model_name: Salesforce/Llama-Rank-V1
    litellm_params:
      model: together_ai/Salesforce/Llama-Rank-V1
      api_key: os.environ/TOGETHERAI_API_KEY
  - model_name: llama-3
    litellm_params:
      model: replicate/meta/meta-llama-3-8b-instruct
      api_key: os.environ/REPLICATE_API_KEY
  - model_name: mistral-7b # model alias
    litellm_params: # actual params for litellm.completion()
      model: "replicate/mistralai/Mistral-7B-Instruct-v0.1"
      api_key: os.environ/REPLICATE_API_KEY
      initial_prompt_value: "\n"
      roles: {"system":{"pre_message":"<|im_start|>system\n", "post_message":"<|im_end|>"}, "assistant":{"pre_message":"<|im_start|>assistant\n","post_message":"<|im_end|>"}, "user":{"pre_message":"<|im_start|>user\n","post_message":"<|im_end|>"}}
      final_prompt_value: "\n"
      bos_token: "<s>"
      eos_token: "</s>"
      max_tokens: 4096
  - model_name: llama-3-short
    litellm_params:
      model: replicate/meta/meta-llama-3-8b-instruct
      api_key: os.environ/REPLICATE_API_KEY
      max_tokens: 20
      temperature: 0.5
  - model_name: llama-3-own
    litellm_params:
      model: replicate/meta/meta-llama-3-8b-instruct
      api_key: os.environ/REPLICATE_API_KEY
      min_tokens: 2
      top_k: 20
      seed: -1
"#;
    let config = Config::parse(page, &polyllm::registry(), &|_| Some("key".to_owned()));
    let config = config.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(config.warnings, []);
    let sent: Vec<Value> = config
        .deployments
        .into_iter()
        .map(|deployment| deployment.defaults.into())
        .collect();
    assert_eq!(
        sent,
        [
            json!({}),
            json!({}),
            json!({ "max_tokens": 4096 }),
            json!({ "max_tokens": 20, "temperature": 0.5 }),
            json!({ "min_tokens": 2, "top_k": 20, "seed": -1 }),
        ]
    );
}
