//! What of `litellm_params` reaches the bodies of requests, and what does not.

use llm_gateway::{Config, ConfigError, Severity};
use serde_json::{Value, json};

use crate::support::registry;

fn config(params: &str) -> Result<Config, ConfigError> {
    let text = format!(
        "model_list:\n  - model_name: a\n    litellm_params:\n      model: replicate/a/b\n      api_key: k\n{params}"
    );
    Config::parse(&text, &registry(), &|name| {
        (name == "TOP_K").then(|| "20".to_owned())
    })
}

/// What requests get from `params`, and the warnings.
fn sent(params: &str) -> (Value, Vec<String>) {
    let config = config(params).unwrap_or_else(|error| panic!("{error}"));
    let warnings = config.warnings.iter().map(ToString::to_string).collect();
    (config.deployments[0].defaults.clone().into(), warnings)
}

#[test]
fn a_parameter_is_sent_under_a_known_name_or_in_extra_body() {
    // OpenAI's, Together's, Cohere's and those that Replicate documents for its models.
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
fn an_unknown_key_is_ignored_with_a_warning_that_says_so() {
    for (key, help) in [
        ("watermark: true", "extra_body"),
        ("temprature: 0.5", "`temperature`"),
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

/// The key as one of a block, even if it has no value.
fn block(key: &str) -> String {
    if key.contains(": ") {
        key.to_owned()
    } else {
        format!("? {key}")
    }
}

#[test]
fn what_each_request_says_itself_is_not_sent_by_default() {
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
fn what_looks_like_a_secret_is_never_sent() {
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
    // Names of parameters that only sound like one.
    let (sent, warnings) = sent("      max_tokens: 1\n      prompt_cache_key: red\n");
    assert_eq!(sent, json!({ "max_tokens": 1, "prompt_cache_key": "red" }));
    assert_eq!(warnings, Vec::<String>::new());
}

#[test]
fn an_absurd_number_of_retries_is_an_error() {
    let text = |section: &str, retries: &str| {
        format!(
            "model_list: [{{model_name: a, litellm_params: {{model: replicate/a/b, api_key: k, max_retries: {retries}}}}}]\n\
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
fn a_time_that_nobody_waits_for_is_limited_to_a_year() {
    // Not by an error: files are known that mean "for ever" by such a number.
    for timeout in ["1e9", "1e300", "18446744073709551616"] {
        config(&format!("      timeout: {timeout}\n")).unwrap_or_else(|error| panic!("{error}"));
    }
    let error = config("      timeout: 0\n").unwrap_err();
    assert!(error.to_string().contains("above 0"), "{error}");
}

#[test]
fn the_configs_of_litellms_pages_load_without_a_warning() {
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
    let config = Config::parse(page, &registry(), &|_| Some("key".to_owned()));
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

#[test]
fn warnings_do_not_keep_a_gateway_from_starting() {
    let config = config("      watermark: true\n").unwrap();
    assert_eq!(config.warnings[0].severity, Severity::Warning);
    assert_eq!(config.deployments.len(), 1);
}
