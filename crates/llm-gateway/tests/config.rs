//! Configurations: a case is a file, what a person sees of it is its snapshot.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

mod support;

use std::path::Path;

use llm_gateway::Config;
use support::registry;

#[test]
fn mistakes_are_told_all_at_once() {
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
        for secret in ["secret", "sk-1234", "r8_"] {
            assert!(
                !seen.contains(secret) && !debug.contains(secret),
                "{secret} is shown"
            );
        }
    });
}

fn load(path: &Path) -> Result<Config, llm_gateway::ConfigError> {
    let text = std::fs::read_to_string(path).unwrap();
    Config::parse(&text, &registry(), &|name| match name {
        "REPLICATE_API_KEY" | "TOGETHERAI_API_KEY" => Some(format!("secret of {name}")),
        "TOP_P" => Some("0.9".to_owned()),
        _ => None,
    })
}
