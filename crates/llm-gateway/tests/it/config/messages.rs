//! The positions and messages of problems.

use std::sync::Arc;

use llm_gateway::Config;
use llm_provider::{Error, ErrorKind, Provider, ProviderSpec, Registry, SettingSpec, ValueKind};
use serde::Deserialize;

use crate::support::{Scripted, registry};

/// The problems of a text, one a line.
fn problems(text: &str) -> String {
    let error = Config::parse(text, &registry(), &|_| None).expect_err("this file is good");
    error.to_string()
}

/// The problems of one model with these `litellm_params`.
fn problems_of(params: &str) -> String {
    problems(&format!(
        "model_list: [{{model_name: a, litellm_params: {{{params}}}}}]"
    ))
}

#[test]
fn a_number_of_the_wrong_form_is_described() {
    let model = "model: acme/a/b, api_key: k";
    for (param, words) in [
        (
            "max_tokens: 99999999999999999999",
            "a number that is too large",
        ),
        (
            "max_tokens: -99999999999999999999",
            "a number that is too large",
        ),
        (
            "max_tokens: 1e3",
            "a number with a decimal point or an exponent",
        ),
        (
            "max_tokens: 20.0",
            "a number with a decimal point or an exponent",
        ),
        ("max_tokens: 2.5", "a fraction"),
        ("max_tokens: 017", "begins with 0"),
        ("max_tokens: -017", "begins with 0"),
        ("temperature: 007.5", "begins with 0"),
        ("api_key: 0123", "begins with 0"),
        ("extra_body: {a: [017]}", "begins with 0"),
        ("timeout: -1", "a negative number"),
    ] {
        let model = model.replace(
            ", api_key: k",
            if param.contains("api_key") {
                ""
            } else {
                ", api_key: k"
            },
        );
        let report = problems_of(&format!("{model}, {param}"));
        assert!(report.contains(words), "{param}: {report}");
        assert!(
            !report.contains("a fraction") || words == "a fraction",
            "{report}"
        );
    }
    for fine in [
        "seed: 0",
        "temperature: 0.5",
        "temperature: -0.5",
        "seed: 0x1F",
        "user: \"017\"",
    ] {
        let text = format!("model_list: [{{model_name: a, litellm_params: {{{model}, {fine}}}}}]");
        Config::parse(&text, &registry(), &|_| None).unwrap_or_else(|error| panic!("{error}"));
    }
}

#[test]
fn an_error_of_the_yaml_library_is_described_without_its_terms() {
    let bomb = |levels: usize, width: usize| {
        (1..levels).fold(format!("a0: &a0 [{}]\n", "x, ".repeat(width)), |text, n| {
            let alias = format!("*a{}, ", n - 1).repeat(width);
            format!("{text}a{n}: &a{n} [{alias}]\n")
        })
    };
    for text in [
        bomb(9, 9),
        bomb(3, 60),
        bomb(2, 2000),
        "[".repeat(1000),
        "- ".repeat(1000),
        "a: &a\n  b: *a\n".to_owned(),
        "? [a]\n: b\n".to_owned(),
        "? \n: b\n".to_owned(),
        "a: !!binary x\n".to_owned(),
        "a: !!int x\n".to_owned(),
        "a: !!float x\n".to_owned(),
        "<<: 1\n".to_owned(),
        "a: 1e999\n".to_owned(),
        "a: b: c\n".to_owned(),
    ] {
        let report = problems(&text);
        for word in [
            "replay",
            "budget",
            "breach",
            "policy",
            "Policy",
            "Option",
            "serde",
            "weak",
            "deserialize",
            "_",
            "internal",
            "YAML merge",
            "no YAML",
        ] {
            assert!(!report.contains(word), "{word}: {report}");
        }
    }
}

#[test]
fn a_key_that_is_not_valid_in_a_header_is_reported_at_its_position() {
    let text = "model_list:\n  - model_name: a\n    litellm_params:\n      model: acme/a/b\n      \
                temperature: 1\n      api_key: \"s3cret\\nx\"\n";
    let report = problems(text);
    assert!(report.starts_with("6:16: error: "), "{report}");
    assert!(!report.contains("s3cret"), "{report}");
}

#[test]
fn an_empty_list_of_models_is_not_reported_as_missing() {
    for text in ["model_list:\n", "model_list: null\n", "model_list: []\n"] {
        let report = problems(text);
        assert!(
            report.starts_with("1:1: error: `model_list` is empty\n"),
            "{report}"
        );
    }
    assert!(problems("a: b\n").contains("there is no `model_list`"));
}

/// The provider reads its settings like the real ones.
#[test]
fn a_setting_that_a_provider_rejects_is_reported_at_its_position() {
    #[derive(Deserialize)]
    struct Settings {
        #[serde(flatten)]
        _more: More,
    }
    #[derive(Deserialize)]
    struct More {
        #[serde(default)]
        #[serde(rename = "control_tokens")]
        _control_tokens: Option<Policy>,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "lowercase")]
    enum Policy {
        Keep,
    }
    let mut registry = Registry::new();
    let text = |name| SettingSpec::new(name, ValueKind::Text, "A text");
    let spec = ProviderSpec::new("acme").with_settings(["bos_token", "control_tokens"].map(text));
    registry.register(spec, |settings| {
        let _: Settings = settings.extra_as("acme")?;
        if settings
            .api_key
            .is_some_and(|key| key.expose() == "refused")
        {
            return Err(Error::new(ErrorKind::Auth, "this key is too old"));
        }
        Ok(Scripted::new([]) as Arc<dyn Provider>)
    });
    let text = |params: &str| {
        format!(
            "model_list:\n  - model_name: a\n    litellm_params:\n      model: acme/a\n      bos_token: x\n{params}"
        )
    };
    for (params, place) in [
        ("      control_tokens: all\n", "6:23: "),
        (
            "      api_base: http://a\n      control_tokens: all\n",
            "7:23: ",
        ),
        ("      timeout: 1\n      api_key: refused\n", "7:16: "),
        ("      control_tokens: \"\\e[2J\"\n", "6:23: "),
        (
            &format!("      control_tokens: {}\n", "x".repeat(100_000)),
            "6:23: ",
        ),
    ] {
        let report = Config::parse(&text(params), &registry, &|_| None)
            .unwrap_err()
            .to_string();
        assert!(
            report.starts_with(place) && report.len() < 1_000,
            "{report}"
        );
        assert!(!report.contains('\u{1b}'), "{report:?}");
        assert!(
            !report.contains("line 1") && !report.contains("column"),
            "{report}"
        );
    }
}

#[test]
fn positions_are_those_of_an_editor() {
    // A byte order mark has no column; a carriage return alone ends a line, as in YAML.
    assert!(problems("\u{feff}model_list: {}\n").starts_with("1:13: "));
    assert!(problems("# é🙂\r\nmodel_list: {}\r\n").starts_with("2:13: "));
    assert!(problems("# a\rmodel_list: {}\r").starts_with("2:13: "));
    assert!(problems("{é🙂: 1, model_list: {}}").contains("1:21: error"));
    // An error in shared parameters is reported once, at the anchor.
    let shared = "shared: &shared\n  api_key: \"\"\nmodel_list:\n  \
        - {model_name: a, litellm_params: {<<: *shared, model: acme/a/b}}\n  \
        - {model_name: b, litellm_params: {<<: *shared, model: acme/a/c}}\n";
    let report = problems(shared);
    assert!(
        report.contains("2:12: error: `api_key` is empty"),
        "{report}"
    );
    assert_eq!(report.matches("`api_key` is empty").count(), 1, "{report}");
    // An empty file has a first line.
    assert!(problems("# nothing\n\n").starts_with("1:1: error: the file is empty"));
}

#[test]
fn every_duplicate_key_is_reported() {
    let report = problems(
        "model_list: []\nguardrails: {a: 1, a: 2}\nlitellm_settings:\n  metadata: {b: 1, b: 2}\n  metadata: 1\n",
    );
    for place in ["2:20: ", "4:20: ", "5:3: "] {
        assert!(report.contains(&format!("{place}error: ")), "{report}");
    }
}

#[test]
fn keys_and_values_that_may_be_secrets_are_not_quoted() {
    for text in [
        "general_settings: {master_key:Sk-CANARY-1}\nmodel_list: []",
        "{Sk-CANARY-1: 1, model_list: []}",
        "{Sk-CANARY-1: 1, Sk-CANARY-1: 2}",
        "model_list: [{model_name: a, Sk-CANARY-1: 1}]",
        "model_list: [{model_name: a, litellm_params: Sk-CANARY-1}]",
        "model_list: [{model_name: a, litellm_params: {model: Sk-CANARY-1}}]",
        "model_list: [{model_name: a, litellm_params: {model: acme/a/b, api_key: os.environ/Sk-CANARY-1}}]",
        "model_list: [{model_name: a, litellm_params: {model: acme/a/b, extra_headers: {X-Key:Sk-CANARY-1}}}]",
        "model_list: [{model_name: a, litellm_params: {model: acme/a/b, extra_headers: {Sk-CANARY-1: }}}]",
        "model_list: [{model_name: a, litellm_params: {model: acme/a/b, roles: {Sk-CANARY-1: }}}]",
        "model_list: [{model_name: a, litellm_params: {model: acme/a/b, api_base: \"http://u:Sk-CANARY-1@h\"}}]",
        "router_settings: {routing_strategy: Sk-CANARY-1}\nmodel_list: []",
        "environment_variables: {Sk-CANARY-1: []}\nmodel_list: []",
        "a: !Sk-CANARY-1 b",
        "a: *Sk-CANARY-1",
        "a: !!int Sk-CANARY-1",
        "a: 1e999999",
    ] {
        let error = Config::parse(text, &registry(), &|_| None).expect_err(text);
        for report in [error.to_string(), format!("{error:?}")] {
            assert!(!report.to_lowercase().contains("canary"), "{report}");
            assert!(!report.contains("1e999999"), "{report}");
        }
    }
}

#[test]
fn quotes_are_short_and_have_no_control_characters() {
    for text in [
        format!("{}: 1\nmodel_list: []", "k".repeat(100_000)),
        "\"a\\e[2J\\nb\": 1\nmodel_list: []".to_owned(),
        format!(
            "model_list: [{{model_name: {}, litellm_params: {{model: acme/a/b, api_key: k}}}}]",
            "n".repeat(257)
        ),
        format!(
            "model_list: [{{model_name: a, litellm_params: {{model: {}}}}}]",
            "m".repeat(100_000)
        ),
        format!(
            "model_list: [{{model_name: a, litellm_params: {{model: acme/a, api_key: os.environ/{}}}}}]",
            "N".repeat(100_000)
        ),
        format!(
            "router_settings: {{routing_strategy: {}}}",
            "s".repeat(100_000)
        ),
    ] {
        let report = problems(&text);
        assert!(report.len() < 1_000, "{}", report.len());
        assert!(
            !report.chars().any(|c| c.is_control() && c != '\n'),
            "{report:?}"
        );
    }
}
