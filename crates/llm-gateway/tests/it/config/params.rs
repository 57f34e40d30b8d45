//! `litellm_params`: settings, default parameters, and keys without effect.

use llm_gateway::{Config, ConfigError, Severity};
use serde_json::{Value, json};

use crate::support::registry;

fn config(params: &str) -> Result<Config, ConfigError> {
    let text = format!(
        "model_list:\n  - model_name: a\n    litellm_params:\n      model: acme/a/b\n      api_key: k\n{params}"
    );
    Config::parse(&text, &registry(), &|name| {
        (name == "TOP_K").then(|| "20".to_owned())
    })
}

/// The default parameters in `params`, and the warnings.
fn sent(params: &str) -> (Value, Vec<String>) {
    let config = config(params).unwrap_or_else(|error| panic!("{error}"));
    let warnings = config.warnings.iter().map(ToString::to_string).collect();
    (config.deployments[0].defaults.clone().into(), warnings)
}

#[test]
fn a_parameter_is_sent_under_a_known_name_or_in_extra_body() {
    // Parameters of OpenAI's and Cohere's APIs, and those that the providers declare.
    let known = "
      temperature: 0.5
      prompt_cache_key: red
      chat_template_kwargs: {enable_thinking: false}
      context_length_exceeded_behavior: truncate
      max_chunks_per_doc: 3
      min_tokens: 2
      top_k: os.environ/TOP_K
      length_penalty: 1
      num_beams: 4
      extra_body:
        watermark: true
        top_k: 30
        deep: {list: [1, os.environ/TOP_K]}
";
    let expected = json!({
        "temperature": 0.5, "prompt_cache_key": "red",
        "chat_template_kwargs": { "enable_thinking": false },
        "context_length_exceeded_behavior": "truncate",
        "max_chunks_per_doc": 3, "min_tokens": 2, "top_k": 30, "length_penalty": 1, "num_beams": 4,
        "watermark": true, "deep": { "list": [1, "20"] },
    });
    assert_eq!(sent(known), (expected, Vec::new()));
}

#[test]
fn an_unknown_key_is_ignored_with_a_warning() {
    for (key, help) in [
        ("watermark: true", "extra_body"),
        ("temprature: 0.5", "`temperature`"),
        (
            "max_token: 5",
            "`max_token` is not a known key and is ignored\n    help: did you mean `max_tokens`?",
        ),
        ("api_bse: http://127.0.0.1:1", "`api_base`"),
        ("camelCase: 1", "extra_body"),
        ("api_key:k", "space"),
        ("mode: fast", "`model`"),
    ] {
        let (sent, warnings) = sent(&format!("      {}", block(key)));
        assert_eq!(sent, json!({}), "{key}");
        assert_eq!(warnings.len(), 1, "{key}: {warnings:?}");
        assert!(warnings[0].contains("is ignored"), "{warnings:?}");
        assert!(warnings[0].contains(help), "{warnings:?}");
    }
    for key in [
        "cache_control_injection_points: [{location: message}]",
        "custom_prompt_dict: {a: {}}",
        "aws_secret_access_key: os.environ/UNSET",
        "mock_response: hello",
    ] {
        let (sent, warnings) = sent(&format!("      {key}"));
        assert_eq!((sent, warnings.len()), (json!({}), 1), "{key}");
    }
}

/// The key as one of a block mapping, also without a value.
fn block(key: &str) -> String {
    if key.contains(": ") {
        key.to_owned()
    } else {
        format!("? {key}")
    }
}

#[test]
fn a_deployment_excludes_parameters_by_name() {
    let read = |names: &str| config(&format!("      additional_drop_params: {names}\n"));
    let excluded = read("[seed, logit_bias]").unwrap();
    assert_eq!(
        excluded.deployments[0].excluded_params,
        ["seed", "logit_bias"]
    );
    assert!(excluded.warnings.is_empty());
    let nested = read(r#"[seed, "tools[*].strict"]"#).unwrap();
    assert_eq!(nested.deployments[0].excluded_params, ["seed"]);
    let warning = nested.warnings[0].to_string();
    assert!(
        warning.contains("inside of a parameter") && warning.contains("whole"),
        "{warning}"
    );
    let error = read("[messages]").unwrap_err().to_string();
    assert!(error.contains("`messages` cannot be left out"), "{error}");
}

#[test]
fn members_that_each_request_sets_are_not_defaults() {
    for key in [
        "messages: []",
        "prompt: hello",
        "input: hello",
        "stream: true",
        "stream_options: {include_usage: true}",
        "extra_body: {model: other}",
        "extra_body: {stream: true}",
    ] {
        let (sent, warnings) = sent(&format!("      {key}"));
        assert_eq!((sent, warnings.len()), (json!({}), 1), "{key}");
    }
}

#[test]
fn a_key_that_looks_like_a_secret_is_never_sent() {
    for key in [
        "api_kye",
        "token",
        "password",
        "access_token",
        "client-secret",
        "apiKey",
        "openai_api_key",
        "Authorization",
        "aws_session_token",
        "db_passwd",
        "credentials",
        "private_key",
    ] {
        for params in [
            format!("      {key}: s3cret"),
            format!("      extra_body: {{{key}: s3cret, kept: 1}}"),
        ] {
            let (sent, warnings) = sent(&params);
            assert!(!sent.to_string().contains("s3cret"), "{params}");
            assert_eq!(warnings.len(), 1, "{params}: {warnings:?}");
            assert!(!warnings[0].contains("s3cret"), "{warnings:?}");
        }
    }
    // Names of parameters that only resemble a secret.
    let (sent, warnings) = sent("      max_tokens: 1\n      prompt_cache_key: red\n");
    assert_eq!(sent, json!({ "max_tokens": 1, "prompt_cache_key": "red" }));
    assert_eq!(warnings, Vec::<String>::new());
}

#[test]
fn too_many_retries_are_an_error() {
    let text = |section: &str, retries: &str| {
        format!(
            "model_list: [{{model_name: a, litellm_params: {{model: acme/a/b, api_key: k, max_retries: {retries}}}}}]\n\
             {section}: {{num_retries: {retries}}}\n"
        )
    };
    for section in ["litellm_settings", "router_settings"] {
        let parse = |retries| Config::parse(&text(section, retries), &registry(), &|_| None);
        assert_eq!(parse("100").unwrap().retries, Some(100));
        for retries in [
            "101",
            "4294967296",
            "18446744073709551615",
            "99999999999999999999",
        ] {
            let error = parse(retries).unwrap_err();
            let places: Vec<_> = error
                .problems()
                .iter()
                .map(|p| p.at.unwrap().line)
                .collect();
            assert_eq!(places, [1, 2], "{error}");
            assert!(error.to_string().contains("from 0 to 100"), "{error}");
        }
    }
}

#[test]
fn a_time_above_a_year_counts_as_a_year() {
    // This is not an error, since existing files use large numbers for "no limit".
    for timeout in ["1e9", "1e300", "18446744073709551616"] {
        config(&format!("      timeout: {timeout}\n")).unwrap_or_else(|error| panic!("{error}"));
    }
    let error = config("      timeout: 0\n").unwrap_err();
    assert!(error.to_string().contains("above 0"), "{error}");
}

#[test]
fn a_setting_of_another_provider_is_ignored_with_a_warning_that_names_both() {
    let text = |model: &str, params: &str| {
        let params = format!("model: {model}, api_key: k, {params}");
        format!("model_list: [{{model_name: a, litellm_params: {{{params}}}}}]")
    };
    let parse = |model, params| Config::parse(&text(model, params), &registry(), &|_| None);
    for setting in [
        "boot_timeout: 1",
        "boot_timeout: [wrong]",
        "text_completion: true",
        "roles: {user: {pre_message: x}}",
        "bos_token: os.environ/UNSET",
    ] {
        let config = parse("other_ai/a", setting).unwrap_or_else(|error| panic!("{error}"));
        let (name, _) = setting.split_once(':').unwrap();
        let message = format!("`{name}` is a setting of acme; other_ai ignores it");
        let messages: Vec<_> = config
            .warnings
            .iter()
            .map(|it| it.message.as_str())
            .collect();
        assert_eq!(messages, [message], "{setting}");
        assert!(config.deployments[0].defaults.is_empty());
    }
    let config = parse("acme/a", "boot_timeout: 1, text_completion: true").unwrap();
    assert_eq!(config.warnings, []);
}

#[test]
fn similar_names_are_those_of_the_models_provider() {
    let warning = |model: &str, key: &str| {
        let params = format!("model: {model}, api_key: k, {key}: 1");
        let text = format!("model_list: [{{model_name: a, litellm_params: {{{params}}}}}]");
        let config = Config::parse(&text, &registry(), &|_| None);
        config.unwrap_or_else(|error| panic!("{error}")).warnings[0].to_string()
    };
    let suggestion = "did you mean `boot_timeout`?";
    assert!(warning("acme/a", "boot_timeuot").ends_with(suggestion));
    assert!(!warning("other_ai/a", "boot_timeuot").contains("boot_timeout"));
    assert!(warning("other_ai/a", "idle_timeot").ends_with("did you mean `idle_timeout`?"));
}

#[test]
fn a_setting_is_checked_against_its_declared_type() {
    for (params, message) in [
        (
            "prefer_wait: soon",
            "`prefer_wait` has to be a number from 0, but here is text",
        ),
        (
            "control_tokens: neutralize",
            "`control_tokens` has to be one of: neutralise, reject, keep\n    help: did you mean \
             `neutralise`?",
        ),
        (
            "roles: [user]",
            "`roles` has to be a mapping (`key: value`), but here is a list",
        ),
        (
            "text_completion: 1",
            "`text_completion` has to be true or false, but here is a number",
        ),
        (
            "max_retries: 101",
            "`max_retries` has to be a whole number from 0 to 100",
        ),
        (
            "idle_timeout: 0",
            "`idle_timeout` has to be a number of seconds above 0",
        ),
    ] {
        let error = config(&format!("      {params}\n"))
            .unwrap_err()
            .to_string();
        assert!(error.ends_with(message), "{error}");
    }
}

#[test]
fn a_mode_without_effect_at_a_provider_is_not_an_error() {
    let text = "model_list: [{model_name: a, model_info: {mode: completion}, \
        litellm_params: {model: other_ai/a, api_key: k}}]";
    let config = Config::parse(text, &registry(), &|_| None);
    assert_eq!(
        config.unwrap_or_else(|error| panic!("{error}")).warnings,
        []
    );
}

#[test]
fn a_gateway_with_warnings_starts() {
    let config = config("      watermark: true\n").unwrap();
    assert_eq!(config.warnings[0].severity, Severity::Warning);
    assert_eq!(config.deployments.len(), 1);
}

#[test]
fn the_info_of_a_model_is_kept_and_typos_are_warnings() {
    let text = "
model_list:
  - model_name: a
    litellm_params: {model: acme/x, api_key: k}
    model_info:
      id: one
      base_model: together_ai/meta-llama/Llama-3.3-70B-Instruct-Turbo
      access_groups: [beta]
      max_input_tokes: 5
      description: For tests.
      secret: os.environ/NOBODY
  - model_name: b
    litellm_params: {model: acme/y, api_key: k}
    model_info: {base_model: gpt-4o, supports_vision: true, max_tokens: 5}
";
    let config = Config::parse(text, &registry(), &|_| None).unwrap();
    let warnings: Vec<_> = config.warnings.iter().map(ToString::to_string).collect();
    let [typo, price] = &warnings[..] else {
        panic!("{warnings:?}");
    };
    assert!(
        typo.contains("9:7") && typo.contains("did you mean `max_input_tokens`?"),
        "{typo}"
    );
    assert!(
        price.contains("14:30") && price.contains("no prices of this model"),
        "{price}"
    );
    assert!(config.deployments[0].prices.unwrap().input_token.is_some());
    let info = &config.model_info["one"];
    assert_eq!(info.access_groups, ["beta"]);
    assert_eq!(info.members["description"], "For tests.");
    assert!(!info.members.contains_key("secret"));

    let text = text.replace("id: one", "team_id: t");
    let error = Config::parse(&text, &registry(), &|_| None).unwrap_err();
    assert!(
        error.to_string().contains("access would not be restricted"),
        "{error}"
    );
}

#[test]
fn an_entry_for_every_model_stands_for_the_models_of_each_provider() {
    let text = |params: &str| {
        format!("model_list: [{{model_name: '*', litellm_params: {{model: '*'{params}}}}}]")
    };
    let config = Config::parse(&text(", api_key: k"), &registry(), &|_| None).unwrap();
    let groups: Vec<_> = config
        .deployments
        .iter()
        .map(|one| one.group.as_str())
        .collect();
    assert_eq!(groups, ["acme/*", "other_ai/*"]);
    assert!(config.warnings.is_empty());
    let error = Config::parse(&text(""), &registry(), &|_| None).unwrap_err();
    let error = error.to_string();
    assert!(
        error.contains("error: no provider of `*` has a key"),
        "{error}"
    );
    assert!(error.contains("warning: `acme/*` is left out"), "{error}");
}
