//! Configurations: a case is a file, what a person sees of it is its snapshot.

use std::path::Path;

use crate::support::registry;
use llm_gateway::{Config, ConfigError};

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
        for secret in ["a-secret", "sk-1234", "r8_"] {
            assert!(
                !seen.contains(secret) && !debug.contains(secret),
                "{secret} is shown"
            );
        }
    });
}

#[test]
fn secrets_are_not_told() {
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
fn a_file_is_named_in_what_is_told_of_it() {
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
fn windows_line_ends_and_a_byte_order_mark_are_no_trouble() {
    let text = "\u{feff}model_list:\r\n  - model_name: a\r\n    litellm_params: \
        {model: replicate/a/b, api_key: k}\r\n";
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
        "REPLICATE_API_KEY" | "TOGETHERAI_API_KEY" => Some(format!("secret of {name}")),
        "TOP_P" => Some("0.9".to_owned()),
        _ => None,
    })
}
