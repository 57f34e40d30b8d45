//! External vectors, in the folder `vectors` of the folder that `POLYLLM_SHARED` names: see
//! `cargo xtask help vectors` for their format.
#![cfg(all(feature = "jinja", feature = "serde"))]
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "helpers of tests"
)]

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::time::UNIX_EPOCH;

use prompt_templates::{
    ChatTemplate, Context, ControlTokens, CustomTemplate, Error, Family, Now, Options, Strictness,
};
use serde_json::{Map, Value};

use common::messages;

#[test]
#[ignore = "needs the folder that POLYLLM_SHARED names"]
fn registered_templates_equal_litellms() {
    let vectors = read("custom_templates.jsonl");
    let misses = misses(&vectors, |vector| {
        let mut keys = vector["options"].clone();
        keys["roles"] = vector["custom_roles"].clone();
        let template: CustomTemplate = serde_json::from_value(keys).unwrap();
        Ok(template.render_like_litellm(&messages(&vector["messages"])))
    });
    assert!(misses.is_empty());
}

#[test]
#[ignore = "needs the folder that POLYLLM_SHARED names"]
fn families_equal_the_official_prompts() {
    let vectors = read("families.jsonl");
    let options = Options::new()
        .with_bos(true)
        .with_control_tokens(ControlTokens::Keep)
        .with_strictness(Strictness::Official);
    let misses = misses(&vectors, |vector| {
        let family = match vector["template"].as_str().unwrap() {
            "llama_2_chat" => Family::LLAMA_2,
            "llama3" => Family::LLAMA_3,
            "hf_known_mistral" => Family::MISTRAL_V1,
            "hf_known_deepseek_r1" => Family::DEEPSEEK_R1,
            other => panic!("no family for {other}"),
        };
        family.render(&messages(&vector["messages"]), &options)
    });
    assert!(misses.is_empty());
}

#[test]
#[ignore = "needs the folder that POLYLLM_SHARED names"]
fn chat_templates_are_rendered_like_transformers() {
    let vectors = read("chat_templates.jsonl");
    let mut templates: BTreeMap<String, ChatTemplate> = BTreeMap::new();
    let misses = misses(&vectors, |vector| {
        let file = vector["template_file"].as_str().unwrap();
        if !templates.contains_key(file) {
            let source = fs::read_to_string(folder().join(file)).unwrap();
            templates.insert(file.to_owned(), ChatTemplate::compile(file, &source)?);
        }
        let mut context = Context::default().with_now(now(vector["now"].as_str().unwrap()));
        for (name, value) in vector["context"].as_object().unwrap() {
            context = context.with_variable(name, value);
        }
        templates[file].render_context(&context)
    });
    // COMPATIBILITY.md explains this: `safe` does not return a `Markup`.
    let known = ["tools_user", "tools_call_dict"]
        .map(|case| format!("llamacpp-meetkai-functionary-medium-v3.1/{case}"));
    assert_eq!(misses, known);
}

/// Families compared with their official templates, rendered by transformers.
#[test]
#[ignore = "needs the folder that POLYLLM_SHARED names"]
fn families_equal_the_official_templates() {
    let mut vectors = read("chat_templates.jsonl");
    let families = BTreeMap::from(OFFICIAL);
    vectors.retain(|vector| {
        let context = &vector["context"];
        let file = vector["template_file"]
            .as_str()
            .unwrap()
            .trim_start_matches("chat_templates/");
        families.contains_key(file) && context["tools"].is_null() && context["documents"].is_null()
    });
    let misses = misses(&vectors, |vector| {
        let file = vector["template_file"]
            .as_str()
            .unwrap()
            .trim_start_matches("chat_templates/");
        let context = &vector["context"];
        // LiteLLM's copy of Llama 3's template always opens the assistant's turn.
        let opens = file.starts_with("litellm-meta-llama");
        let mut options = Options::new()
            .with_bos(true)
            .with_generation_prompt(opens || context["add_generation_prompt"] == true)
            .with_control_tokens(ControlTokens::Keep)
            .with_strictness(Strictness::Official);
        if let Some(thinking) = context.get("enable_thinking").and_then(Value::as_bool) {
            options = options.with_thinking(thinking);
        }
        families[file].render(&messages(&context["messages"]), &options)
    });
    assert_eq!(misses, Vec::<String>::new());
}

const OFFICIAL: [(&str, Family); 16] = [
    (
        "inline-CohereForAI-c4ai-command-r-plus.jinja",
        Family::COMMAND_R,
    ),
    (
        "inline-Mistral-Large-Instruct-2407.jinja",
        Family::MISTRAL_V3,
    ),
    (
        "inline-Mistral-Nemo-Instruct-2407.jinja",
        Family::MISTRAL_NEMO,
    ),
    (
        "inline-ibm-granite-granite-3.0-8b-instruct.jinja",
        Family::GRANITE,
    ),
    (
        "inline-mistralai-Mistral-7B-Instruct-v0.2-v1sys.jinja",
        Family::MIXTRAL,
    ),
    (
        "inline-teknium-OpenHermes-2.5-Mistral-7B.jinja",
        Family::CHATML,
    ),
    (
        "litellm-deepseek-r1-deepseek-r1-7b-instruct.jinja",
        Family::DEEPSEEK_R1,
    ),
    (
        "litellm-meta-llama-Meta-Llama-3-8B-Instruct.jinja",
        Family::LLAMA_3,
    ),
    (
        "litellm-mistralai-Mistral-7B-Instruct-v0.1.jinja",
        Family::MISTRAL_V1,
    ),
    ("llamacpp-Qwen-Qwen2.5-7B-Instruct.jinja", Family::QWEN_2_5),
    ("llamacpp-Qwen-Qwen3-0.6B.jinja", Family::QWEN_3),
    (
        "llamacpp-meta-llama-Llama-3.1-8B-Instruct.jinja",
        Family::LLAMA_3_1,
    ),
    (
        "llamacpp-microsoft-Phi-3.5-mini-instruct.jinja",
        Family::PHI_3,
    ),
    (
        "llamacpp-mistralai-Mistral-Nemo-Instruct-2407.jinja",
        Family::MISTRAL_NEMO,
    ),
    ("official-Gemma-2-it.jinja", Family::GEMMA),
    ("official-Llama-2-chat.jinja", Family::LLAMA_2),
];

/// Prints and returns the vectors that do not render, or do not fail, as they should.
fn misses(
    vectors: &[Map<String, Value>],
    mut render: impl FnMut(&Map<String, Value>) -> Result<String, Error>,
) -> Vec<String> {
    let mut misses = Vec::new();
    for vector in vectors {
        let wanted = ["expected", "official_expected"]
            .iter()
            .find_map(|key| vector.get(*key));
        let wanted = wanted.and_then(Value::as_str);
        let got = render(vector);
        match (&got, wanted) {
            (Ok(got), Some(wanted)) if got == wanted => continue,
            (Err(_), None) => continue,
            _ => {}
        }
        let got = got.map_err(|error| error.to_string());
        println!("{}\n  wanted {wanted:?}\n  got {got:?}", vector["id"]);
        misses.push(vector["id"].as_str().unwrap().to_owned());
    }
    println!("{} vectors, {} misses", vectors.len(), misses.len());
    misses
}

fn now(text: &str) -> Now {
    let time = humantime::parse_rfc3339_weak(text).unwrap();
    Now::from_unix(time.duration_since(UNIX_EPOCH).unwrap().as_secs() as i64)
}

fn read(name: &str) -> Vec<Map<String, Value>> {
    let text = fs::read_to_string(folder().join(name)).unwrap();
    let lines = text.lines();
    lines
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn folder() -> PathBuf {
    let shared = std::env::var_os("POLYLLM_SHARED").expect("POLYLLM_SHARED names a folder");
    PathBuf::from(shared).join("vectors")
}
