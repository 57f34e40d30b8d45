//! Every example runs against the simulated upstreams.

#![allow(clippy::panic, clippy::unwrap_used, reason = "helpers of tests")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use llm_sim::{Sim, SimOptions, Timing};
use polyllm::gateway::Config;
use polyllm::registry;

/// The examples, their arguments, and texts of their output.
const EXAMPLES: &[(&str, &[&str], &[&str])] = &[
    (
        "axum_gateway",
        &["--once"],
        &["listening on", "simulated answer"],
    ),
    ("blocking", &[], &["simulated answer"]),
    ("cold_boot", &[], &["starting for", "simulated answer"]),
    ("complete", &[], &["The sky is blue because"]),
    ("completion", &[], &["simulated answer"]),
    (
        "custom_template",
        &[],
        &["LLaMA-2-7B-32K: ", "llama2-70b-oasst-sft-v10: "],
    ),
    ("embedding", &[], &["+1.000  The sky is blue.\n"]),
    ("images", &[], &["What is in this image?"]),
    ("models", &[], &["together_ai/openai/gpt-oss-20b (chat)\n"]),
    ("own_provider", &[], &["Hello!\n", "Bye!\n"]),
    (
        "replicate",
        &[],
        &["meta-llama-3-8b-instruct: ", "ishaan-mistral: "],
    ),
    (
        "rerank",
        &[],
        &["Washington, D.C. is the capital of the United States."],
    ),
    ("router", &[], &["served by", "after 1 attempts"]),
    ("stream", &[], &["simulated answer"]),
    ("structured", &[], &["inhabitants\n"]),
    (
        "templates",
        &[],
        &["of the family llama-3:\n<|start_header_id|>system"],
    ),
    (
        "tools",
        &[],
        &["the model asks for the weather in", "2 replies\n"],
    ),
];

#[test]
fn every_example_is_listed() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    let files = std::fs::read_dir(folder).unwrap();
    let names = files.map(|file| file.unwrap().file_name().into_string().unwrap());
    let names: BTreeSet<_> = names.map(|name| name.replace(".rs", "")).collect();
    let listed = EXAMPLES.iter().map(|(name, ..)| (*name).to_owned());
    assert_eq!(names, listed.collect());
}

/// The examples read keys and addresses from the environment.
#[tokio::test(flavor = "multi_thread")]
async fn the_examples_run() {
    // Long enough that a stream reports the boot.
    let timing = Timing::default().with_boot(Duration::from_millis(200));
    let options = SimOptions::default().with_timing(timing);
    let sim = Sim::start(options).await.unwrap();
    for (example, arguments, texts) in EXAMPLES {
        let mut command = Command::new(built_example(example));
        command
            .args(*arguments)
            .env("TOGETHERAI_API_KEY", "k")
            .env("TOGETHER_AI_API_BASE", format!("{}/v1", sim.together_url()))
            .env("REPLICATE_API_KEY", "k")
            .env("REPLICATE_BASE_URL", sim.replicate_url());
        let output = tokio::task::spawn_blocking(move || command.output());
        let output = output.await.unwrap().unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let failure = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{example}: {failure}");
        for text in *texts {
            assert!(said.contains(text), "{example}: {said}");
        }
    }
}

#[test]
fn the_configurations_of_the_guides_are_valid() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs");
    let mut checked = 0;
    for file in std::fs::read_dir(folder).unwrap() {
        let path = file.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        let blocks = text.split("```yaml\n").skip(1);
        for block in blocks.filter_map(|block| block.split("```").next()) {
            let environment = |_: &str| Some("a-long-value".to_owned());
            let config = Config::parse(block, &registry(), &environment);
            let config = config.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            assert_eq!(config.warnings, [], "{}", path.display());
            checked += 1;
        }
    }
    assert!(checked > 0, "the guides have no configuration");
}

fn built_example(name: &str) -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let folder = test.parent().unwrap().parent().unwrap().join("examples");
    let file = folder.join(format!("{name}{}", std::env::consts::EXE_SUFFIX));
    assert!(
        file.is_file(),
        "not built: run `cargo build -p polyllm --examples` first"
    );
    file
}
