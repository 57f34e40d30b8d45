//! Counts of tokens by a model's own tokenizer.

#[cfg(not(feature = "tokenizer"))]
use llm_gateway::Tokenizers;

/// A tokenizer whose tokens are words.
const WORDS: &str = r#"{"version":"1.0","truncation":null,"padding":null,"added_tokens":[],"normalizer":null,
    "pre_tokenizer":{"type":"WhitespaceSplit"},"post_processor":null,"decoder":null,
    "model":{"type":"WordLevel","vocab":{"[UNK]":0,"one":1,"two":2},"unk_token":"[UNK]"}}"#;

#[cfg(not(feature = "tokenizer"))]
#[test]
fn a_build_without_tokenizers_names_the_command_that_adds_them() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), WORDS).unwrap();
    let error = Tokenizers::default().add("llama", file.path()).unwrap_err();
    let error = error.to_string();
    let command = "`cargo install --path crates/polyllm-cli --features tokenizer` adds it";
    assert!(error.contains(command), "{error}");
}

#[cfg(feature = "tokenizer")]
mod counted {
    use std::fs;

    use llm_gateway::{Config, DatabaseUrl, Gateway, GatewayOptions, Tokenizers, VirtualKeys};
    use serde_json::{Value, json};

    use super::WORDS;
    use crate::support::{Scripted, Step, deployment, post, registry, send, text};

    fn gateway() -> Gateway {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), WORDS).unwrap();
        let mut config = Config::new(vec![deployment(Scripted::new([Step::Json("{}")]))]);
        config.tokenizers.add("llama", file.path()).unwrap();
        Gateway::new(config, GatewayOptions::new())
    }

    async fn count(gateway: &Gateway, path: &str, body: Value) -> u64 {
        let response = send(gateway.clone(), post(path, body.to_string())).await;
        let text = text(response).await;
        let count: Value = serde_json::from_str(&text).unwrap();
        count["input_tokens"]
            .as_u64()
            .unwrap_or_else(|| panic!("{text}"))
    }

    #[tokio::test]
    async fn each_word_of_the_tokenizer_is_a_token() {
        let gateway = gateway();
        for (path, member) in [
            ("/v1/messages/count_tokens", "messages"),
            ("/v1/responses/input_tokens", "input"),
        ] {
            let of = |content: String| json!({ "model": "llama", member: [{ "role": "user", "content": content }] });
            let one = count(&gateway, path, of("one".to_owned())).await;
            // The estimate has one token and a quarter for each letter.
            let long = count(&gateway, path, of("two".repeat(100))).await;
            assert_eq!(long, one, "{path}: one unknown word");
            for words in [2, 100, 20_000] {
                let text = vec!["one"; words].join(" ");
                // Once counted, and once remembered.
                for _ in 0..2 {
                    let count = count(&gateway, path, of(text.clone())).await;
                    assert_eq!(count, one - 1 + words as u64, "{path}: {words} words");
                }
            }
            // Beyond 256 KiB, the count is extrapolated.
            let words = 100_000;
            let count = count(&gateway, path, of(vec!["one"; words].join(" "))).await;
            assert!(count.abs_diff(words as u64) < 20, "{path}: {count}");
        }
    }

    #[tokio::test]
    async fn a_model_is_found_by_every_name_that_a_call_may_use() {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), WORDS).unwrap();
        let yaml = format!(
            "model_list:\n  - model_name: llama\n    litellm_params: {{model: acme/x, api_key: k}}\n    \
             model_info: {{tokenizer: {file}}}\n  - model_name: wild/*\n    \
             litellm_params: {{model: acme/*, api_key: k}}\n    model_info: {{tokenizer: {file}}}\n\
             router_settings: {{model_group_alias: {{gpt-4: llama}}}}\n\
             general_settings: {{master_key: sk-master}}\n",
            file = file.path().display()
        );
        let config = Config::parse(&yaml, &registry(), &|_| None).unwrap();
        let keys = VirtualKeys::open(&DatabaseUrl::memory()).await.unwrap();
        let gateway = Gateway::new(config, GatewayOptions::new().with_virtual_keys(keys));
        let post = async |key: &str, path: &str, body: Value| {
            let mut request = post(path, body.to_string());
            let key = format!("Bearer {key}").parse().unwrap();
            request.headers_mut().insert("authorization", key);
            let text = text(send(gateway.clone(), request).await).await;
            serde_json::from_str::<Value>(&text).unwrap()
        };
        let made = json!({ "aliases": { "mine": "gpt-4" } });
        let made = post("sk-master", "/key/generate", made).await;
        let key = made["key"].as_str().unwrap();
        for model in ["llama", "gpt-4", "wild/some", "mine"] {
            for (path, member) in [
                ("/v1/messages/count_tokens", "messages"),
                ("/v1/responses/input_tokens", "input"),
            ] {
                let of = |content: &str| json!({ "model": model, member: [{ "role": "user", "content": content }] });
                let one = post(key, path, of("one")).await["input_tokens"].clone();
                assert!(one.is_u64(), "{one}");
                let long = post(key, path, of(&"two".repeat(100))).await;
                assert_eq!(long["input_tokens"], one, "{model}: one unknown word");
            }
        }
    }

    #[test]
    fn a_file_that_is_no_tokenizer_is_an_error_with_its_place() {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), "{}").unwrap();
        let invalid = Tokenizers::default().add("llama", file.path()).unwrap_err();
        assert!(
            invalid.to_string().contains("not a tokenizer.json"),
            "{invalid}"
        );
        let yaml = "model_list:\n  - model_name: llama\n    litellm_params: {model: acme/x, api_key: k}\n    \
                    model_info:\n      tokenizer: /no/such/tokenizer.json\n";
        let error = Config::parse(yaml, &registry(), &|_| None).unwrap_err();
        let problem = &error.problems()[0];
        assert_eq!(problem.at.unwrap().line, 5, "{error}");
        assert!(
            error
                .to_string()
                .contains("`tokenizer`: the tokenizer cannot be read"),
            "{error}"
        );
    }
}
