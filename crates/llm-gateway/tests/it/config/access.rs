//! Restricted access: a file is applied completely or rejected.

use llm_gateway::{Config, ConfigError};

use crate::support::registry;

/// A config of one model, with `more` sections.
fn config(more: &str) -> Result<Config, ConfigError> {
    config_with(more, &[])
}

fn config_with(more: &str, variables: &[(&str, &str)]) -> Result<Config, ConfigError> {
    let text = format!(
        "model_list: [{{model_name: a, litellm_params: {{model: acme/a/b, api_key: k}}}}]\n{more}\n"
    );
    Config::parse(&text, &registry(), &|name| {
        let variable = variables.iter().find(|(known, _)| *known == name);
        variable.map(|(_, value)| (*value).to_owned())
    })
}

#[test]
fn a_master_key_without_a_value_is_an_error() {
    for key in [
        "master_key:",
        "master_key: null",
        "master_key: ~",
        "master_key: \"\"",
        "master_key: \" \\n\"",
        "master_key: os.environ/EMPTY",
        "master_key: os.environ/BLANK",
        "master_key: os.environ/UNSET",
        "master_key: \"a\\nb\"",
        "master_key: 1234",
        "master_key: [a]",
    ] {
        let text = format!("general_settings:\n  {key}");
        let error = config_with(&text, &[("EMPTY", ""), ("BLANK", " ")]).expect_err(key);
        let problem = &error.problems()[0];
        assert_eq!(problem.at.unwrap().line, 3, "{error}");
        assert!(problem.help.is_some() || key.ends_with(']'), "{error}");
    }
}

#[test]
fn a_master_key_that_is_misspelt_or_misplaced_is_an_error() {
    for more in [
        "general_settings: {masterkey: sk-1}",
        "general_settings: {master-key: sk-1}",
        "general_settings: {MASTER_KEY: sk-1}",
        "general_settings: {master_key:sk-1}",
        "general_settings: {master_key=sk-1: }",
        "general_setings: {master_key: sk-1}",
        "general-settings: {master_key: sk-1}",
        "master_key: sk-1",
        "litellm_settings: {master_key: sk-1}",
        "router_settings: {master_key: sk-1}",
    ] {
        let error = config(more).expect_err(more);
        assert!(error.to_string().contains("error: "), "{error}");
        assert!(!error.to_string().contains("sk-1"), "{error}");
    }
}

#[test]
fn an_unsupported_setting_that_restricts_access_is_an_error() {
    for setting in [
        "admin_only_routes: [/v1/models]",
        "allowed_ips: [10.0.0.1]",
        "allowed_ips: []",
        "allowed_routes: [/v1/chat/completions]",
        "custom_auth: my_auth.user_api_key_auth",
        "custom_auth:",
        "enable_jwt_auth: true",
        "enable_jwt_auth: os.environ/JWT",
        "enable_oauth2_auth: true",
        "enable_oauth2_proxy_auth: true",
        "enforce_user_param: true",
        "enforced_params: [user]",
        "key_management_system: aws_secret_manager",
        "litellm_jwtauth: {}",
        "max_response_size_mb: 1",
        "oauth2_config_mappings: {}",
        "reject_clientside_metadata_tags: true",
        "use_azure_key_vault: true",
        "use_google_kms: true",
        "custom_auht: my_auth.user_api_key_auth",
    ] {
        // A master key does not replace the setting.
        for key in ["", "\n  master_key: sk-1"] {
            let more = format!("general_settings:\n  {setting}{key}");
            let error = config(&more).expect_err(&more);
            assert_eq!(error.problems().len(), 1, "{error}");
            assert!(error.problems()[0].help.is_some(), "{error}");
            assert_eq!(error.problems()[0].at.unwrap().line, 3, "{error}");
        }
    }
    for more in [
        "guardrails: [{guardrail_name: no-secrets}]",
        "include: [auth.yaml]",
        "litellm_settings: {banned_keywords_list: [a]}",
        "litellm_settings: {blocked_user_list: [a]}",
        "litellm_settings: {callbacks: [langfuse, hide_secrets]}",
        "litellm_settings: {callbacks: detect_prompt_injection}",
    ] {
        let error = config(more).expect_err(more);
        assert!(error.problems()[0].help.is_some(), "{error}");
    }
}

#[test]
fn a_restriction_that_is_off_is_a_warning() {
    for more in [
        "general_settings: {enable_jwt_auth: false}",
        "general_settings: {enforce_user_param: false}",
        "guardrails: []",
        "guardrails:",
        "litellm_settings: {callbacks: [langfuse]}",
        "general_settings: {public_routes: [/v1/models]}",
        "general_settings: {max_parallel_requests: 10}",
    ] {
        let config = config(more).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(config.warnings.len(), 1, "{more}");
    }
}

#[test]
fn otel_among_the_callbacks_asks_for_traces_and_metrics() {
    for (callbacks, otel, warnings) in [
        ("otel", true, 0),
        ("[otel]", true, 0),
        ("[langfuse, otel]", true, 1),
        ("[langfuse]", false, 1),
    ] {
        let more = format!("litellm_settings: {{callbacks: {callbacks}}}");
        let config = config(&more).unwrap_or_else(|error| panic!("{error}"));
        let found = (config.otel, config.warnings.len());
        assert_eq!(found, (otel, warnings), "{callbacks}");
        assert!(config.warnings.iter().all(|warning| warning.at.is_some()));
    }
}

#[test]
fn the_master_key_may_come_from_the_environment() {
    let key = |more: &str, variables: &[(&str, &str)]| {
        let config = config_with(more, variables).unwrap_or_else(|error| panic!("{error}"));
        config.master_key.map(|key| key.expose().to_owned())
    };
    let set = [("LITELLM_MASTER_KEY", "sk-env")];
    assert_eq!(key("", &[]), None);
    assert_eq!(key("", &set).as_deref(), Some("sk-env"));
    assert_eq!(key("general_settings: {}", &set).as_deref(), Some("sk-env"));
    let own = "environment_variables: {LITELLM_MASTER_KEY: sk-own}";
    assert_eq!(key(own, &set).as_deref(), Some("sk-own"));
    let given = "general_settings: {master_key: sk-file}";
    assert_eq!(key(given, &set).as_deref(), Some("sk-file"));
    let error = config_with("", &[("LITELLM_MASTER_KEY", " ")]).unwrap_err();
    assert!(error.to_string().contains("LITELLM_MASTER_KEY"), "{error}");
}

#[test]
fn the_database_is_that_of_the_file_and_never_that_of_another_program() {
    let variables = [("DATABASE_URL", "sqlite:b.db")];
    for (general, expected) in [
        ("{master_key: sk-1}", None),
        (
            "{master_key: sk-1, database_url: \"sqlite:a.db\"}",
            Some("sqlite:a.db"),
        ),
        (
            "{master_key: sk-1, database_url: os.environ/DATABASE_URL}",
            Some("sqlite:b.db"),
        ),
    ] {
        let config = config_with(&format!("general_settings: {general}"), &variables).unwrap();
        let url = config.database_url.map(|url| url.redacted());
        assert_eq!(url.as_deref(), expected, "{general}");
        assert_eq!(config.warnings, []);
    }
    let wrong = "general_settings: {database_url: \"mysql://root:s3cret@localhost/db\"}";
    let error = config(wrong).unwrap_err().to_string();
    assert!(
        error.contains("unknown scheme") && !error.contains("s3cret"),
        "{error}"
    );
}

#[cfg(not(feature = "postgres"))]
#[test]
fn postgresql_without_its_feature_is_an_error_with_the_command_to_build_it() {
    let text = "general_settings: {database_url: \"postgres://me:s3cret@localhost/db\"}";
    let error = config(text).unwrap_err().to_string();
    assert!(
        error.contains("--features postgres") && !error.contains("s3cret"),
        "{error}"
    );
}

#[test]
fn responses_are_kept_for_the_time_in_the_file() {
    let hours = |text: &str| {
        let config = config(&format!("general_settings: {{{text}}}"))?;
        assert!(config.warnings.is_empty(), "{:?}", config.warnings);
        Ok(config.store_responses.map(|time| time.as_secs() / 3600))
    };
    for (text, expected) in [
        ("", None),
        ("store_responses: 1h", Some(1)),
        ("store_responses: \"30d\"", Some(720)),
    ] {
        let found: Result<_, ConfigError> = hours(text);
        assert_eq!(found.unwrap(), expected, "{text}");
    }
    for text in ["store_responses: forever", "store_responses: 0d"] {
        let error = hours(text).expect_err(text);
        let problem = &error.problems()[0];
        let expected = "`store_responses` is not a duration: give a number and a unit";
        assert!(problem.message.starts_with(expected), "{error}");
        assert_eq!(problem.at.unwrap().line, 2, "{error}");
    }
}
