//! The commands `chat`, `complete` and `models`, and the options of all commands that send requests.

#![allow(clippy::panic, clippy::unwrap_used, reason = "helpers of tests")]

mod common;
#[path = "common/piped.rs"]
mod piped;

use serde_json::Value;
use tokio::net::TcpSocket;

use common::{polyllm, run};
use piped::run_piped;

#[test]
fn chat_prints_the_reply_of_the_simulation() {
    let question = "Write me a poem about the blue sky";
    for model in [
        "together_ai/openai/gpt-oss-20b",
        "replicate/meta/meta-llama-3-8b-instruct",
    ] {
        for extra in [&[][..], &["--no-stream"]] {
            let mut arguments = vec!["chat", "--simulate", "--model", model, question];
            arguments.extend(extra);
            let (said, errors, status) = run(&mut polyllm(&arguments));
            assert_eq!((errors.as_str(), status), ("", 0));
            assert!(
                said.contains("simulated") && said.contains(question),
                "{said}"
            );
            assert!(said.ends_with('\n') && !said.ends_with("\n\n"));
        }
    }
}

#[test]
fn an_interrupted_reply_is_reported_on_its_own_line() {
    let arguments = [
        "chat",
        "--simulate",
        "-m",
        "together_ai/meta-llama/Llama-3.3-70B-Instruct-Turbo",
    ];
    let with = |text| run(&mut polyllm(&[&arguments[..], &[text]].concat()));
    let (said, error, status) = with("[sim: error-after=3]");
    assert_eq!(status, 1);
    assert!(said.len() > 1 && said.ends_with('\n'), "{said}");
    assert!(error.starts_with("error: together_ai: "), "{error}");
    let (said, error, status) = with("[sim: status=402]");
    assert_eq!((said.as_str(), status), ("", 1), "{error}");
}

#[test]
fn chat_reads_standard_input() {
    let model = "together_ai/openai/gpt-oss-20b";
    for (words, expected) in [(&[][..], "piped text"), (&["Review:", "-"], "Review:")] {
        let mut arguments = vec!["chat", "--simulate", "-m", model];
        arguments.extend(words);
        let (said, _, _) = run_piped(&arguments, "piped text\n");
        assert!(
            said.contains(expected) && said.contains("piped text"),
            "{said}"
        );
    }
    let (_, error, status) = run(&mut polyllm(&["chat", "--simulate", "-m", model]));
    assert_eq!(status, 2);
    assert!(error.contains("no text: "), "{error}");
}

#[test]
fn chat_prints_json() {
    let arguments = [
        "chat",
        "--simulate",
        "--json",
        "-m",
        "replicate/meta/meta-llama-3-8b-instruct",
        "Hi",
    ];
    let (lines, _, status) = run(&mut polyllm(&arguments));
    assert_eq!(status, 0);
    let chunks: Vec<Value> = lines
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert!(
        chunks
            .iter()
            .all(|chunk| chunk["object"] == "chat.completion.chunk")
    );
    assert!(chunks.last().unwrap()["usage"]["total_tokens"].is_u64());
}

#[test]
fn a_missing_key_is_an_error_with_hints() {
    for (model, variable) in [
        ("together_ai/openai/gpt-oss-20b", "TOGETHERAI_API_KEY"),
        (
            "replicate/meta/meta-llama-3-8b-instruct",
            "REPLICATE_API_KEY",
        ),
    ] {
        let (said, error, status) = run(&mut polyllm(&["chat", "-m", model, "Hi"]));
        assert_eq!((said.as_str(), status), ("", 1));
        assert!(
            error.contains(variable) && error.contains("--simulate"),
            "{error}"
        );
    }
    let (_, error, status) = run(&mut polyllm(&["chat", "-m", "gpt-4", "Hi"]));
    assert_eq!(status, 2);
    assert!(
        error.contains("openai/…, replicate/…, together_ai/…"),
        "{error}"
    );
}

#[test]
fn an_unreachable_upstream_is_named_without_the_key() {
    // A bound socket keeps its port and refuses connections until it listens.
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let closed = socket.local_addr().unwrap();
    let mut command = polyllm(&["chat", "-m", "together_ai/a/b", "Hi", "--api-base"]);
    command
        .arg(format!("http://{closed}"))
        .env("TOGETHERAI_API_KEY", "very-secret");
    let (_, error, status) = run(&mut command);
    assert_eq!(status, 1);
    assert!(
        error.contains(&format!("cannot connect to {closed}")),
        "{error}"
    );
    assert!(!error.contains("very-secret"), "{error}");
}

#[test]
fn complete_sends_the_text_unchanged() {
    let base = [
        "complete",
        "--simulate",
        "-m",
        "together_ai/meta-llama/Llama-3.3-70B-Instruct-Turbo",
    ];
    let with = |extra: &[&str]| run(&mut polyllm(&[&base[..], extra].concat()));
    let (said, errors, status) = with(&["The sky is"]);
    assert_eq!((errors.as_str(), status), ("", 0));
    assert!(said.len() > 10 && said.ends_with('\n'), "{said}");
    assert_eq!(with(&["--no-stream", "The sky is"]).0, said);

    let (line, _, _) = with(&["--no-stream", "--json", "--max-tokens", "2", "The sky is"]);
    let answer: Value = serde_json::from_str(&line).unwrap();
    assert_eq!(answer["object"], "text_completion");
    assert_eq!(answer["choices"][0]["finish_reason"], "length");
    let short = answer["choices"][0]["text"].as_str().unwrap();
    assert!(said.starts_with(short), "{short}: {said}");

    // Trailing white space counts: three characters are more tokens than one.
    let tokens = |text: &str| {
        let arguments = [&base[..], &["--no-stream", "--json"]].concat();
        let (line, _, _) = run_piped(&arguments, text);
        let answer: Value = serde_json::from_str(&line).unwrap();
        answer["usage"]["prompt_tokens"].as_u64().unwrap()
    };
    assert!(tokens("a\n\n\n\n\n\n\n\n\n\n\n\n") > tokens("a"));
    let (_, error, status) = run(&mut polyllm(&base));
    assert!(status == 2 && error.contains("no text: "), "{error}");
}

#[test]
fn complete_works_on_replicate() {
    let base = [
        "complete",
        "--simulate",
        "-m",
        "replicate/meta/meta-llama-3-8b-instruct",
    ];
    let with = |extra: &[&str]| run(&mut polyllm(&[&base[..], extra].concat()));
    let (said, _, status) = with(&["The sky is"]);
    assert_eq!(status, 0);
    assert!(said.len() > 10 && said.ends_with('\n'), "{said}");
    assert_eq!(with(&["--no-stream", "The sky is"]).0, said);
    let (line, _, _) = with(&["--no-stream", "--json", "The sky is"]);
    let answer: Value = serde_json::from_str(&line).unwrap();
    assert_eq!(answer["object"], "text_completion");
    assert!(answer["id"].as_str().unwrap().starts_with("cmpl-"));
}

#[test]
fn models_are_listed_under_their_request_names() {
    let (table, errors, status) = run(&mut polyllm(&["models", "--simulate"]));
    assert_eq!((errors.as_str(), status), ("", 0));
    let mut lines = table.lines();
    let head: Vec<&str> = lines.next().unwrap().split_whitespace().collect();
    assert_eq!(head, ["MODEL", "TYPE", "CONTEXT", "IN", "OUT"]);
    let row = |name: &str| -> Vec<&str> {
        let mut lines = table.lines();
        let row = lines.find(|line| line.starts_with(&format!("{name} ")));
        row.unwrap_or_else(|| panic!("{name}: {table}"))
            .split_whitespace()
            .collect()
    };
    let official = "replicate/meta/meta-llama-3-8b-instruct";
    assert!(table.lines().any(|line| line == official), "{table}");
    let turbo = "together_ai/meta-llama/Llama-3.3-70B-Instruct-Turbo";
    assert_eq!(row(turbo), [turbo, "chat", "131072", "$0.88", "$0.88"]);
    let names: Vec<String> = lines
        .map(|line| line.split(' ').next().unwrap().to_lowercase())
        .collect();
    assert!(names.is_sorted(), "{table}");

    let arguments = [
        "models",
        "--simulate",
        "--json",
        "-p",
        "together_ai",
        "-t",
        "embedding",
        "BAAI",
    ];
    let (json, _, _) = run(&mut polyllm(&arguments));
    let models: Vec<Value> = json
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(models.len(), 1, "{json}");
    assert_eq!(models[0]["id"], "together_ai/BAAI/bge-large-en-v1.5");
    assert_eq!(models[0]["context_length"], 512);

    let (_, error, status) = run(&mut polyllm(&["models"]));
    assert!(
        status == 1 && error.contains("API_KEY") && error.contains("--simulate"),
        "{error}"
    );
    let (_, error, status) = run(&mut polyllm(&["models", "-p", "acme"]));
    assert!(
        status == 2 && error.contains("openai, replicate, together_ai"),
        "{error}"
    );
    // The provider of the address is unknown.
    assert_eq!(
        run(&mut polyllm(&["models", "--api-base", "http://x"])).2,
        2
    );
}

#[test]
fn an_unsupported_endpoint_is_an_error_that_names_the_supported_ones() {
    let model = "replicate/meta/meta-llama-3-8b-instruct";
    for command in [
        &["embed", "--simulate", "-m", model, "a"][..],
        &["rerank", "--simulate", "-m", model, "-q", "q", "a"],
    ] {
        let (said, error, status) = run(&mut polyllm(command));
        assert_eq!((said.as_str(), status), ("", 1));
        assert!(error.contains("(supported: chat"), "{error}");
    }
}

#[test]
fn a_param_without_effect_is_a_usage_error() {
    let cases: &[(&str, &[&str], &[&str])] = &[
        (
            "chat",
            &["model", "messages", "prompt", "stream", "stream_options"],
            &[],
        ),
        ("chat", &["max_tokens"], &["--max-tokens", "5"]),
        ("chat", &["temperature"], &["--temperature", "0.5"]),
        ("complete", &["model", "prompt", "stream"], &[]),
        ("complete", &["stop"], &["--stop", "a"]),
        ("embed", &["model", "input"], &[]),
        ("embed", &["dimensions"], &["--dimensions", "5"]),
        ("rerank", &["model", "documents", "query"], &["-q", "q"]),
        ("rerank", &["top_n"], &["-q", "q", "-n", "1"]),
    ];
    for (command, names, options) in cases {
        for name in *names {
            let param = format!("{name}=1");
            let base = [
                command,
                "--simulate",
                "-m",
                "together_ai/m",
                "--param",
                &param,
                "Hi",
            ];
            let (said, error, status) = run(&mut polyllm(&[&base[..], options].concat()));
            assert_eq!((said.as_str(), status), ("", 2), "{command} {name}");
            let expected = format!("error: --param cannot set '{name}': ");
            assert!(error.starts_with(&expected), "{error}");
            assert!(
                error.contains(&format!("Usage: polyllm {command} ")),
                "{error}"
            );
        }
    }
    let chat = [
        "chat",
        "--simulate",
        "-m",
        "together_ai/openai/gpt-oss-20b",
        "Hi",
    ];
    let with = |extra: &[&str]| run(&mut polyllm(&[&chat[..], extra].concat()));
    let (_, error, status) = with(&["--param", "top_k=1", "--param", "top_k=2"]);
    assert!(
        status == 2 && error.contains("'top_k' more than once"),
        "{error}"
    );
    assert_eq!(with(&["--param", "=x"]).2, 2);
    // Without the option, the parameter is used.
    assert_eq!(
        with(&["--param", "max_tokens=5", "--param", "top_k=2"]).2,
        0
    );
}

#[test]
fn a_non_finite_number_is_a_usage_error() {
    for number in ["nan", "inf", "-inf", "1e999"] {
        let option = format!("--temperature={number}");
        for command in ["chat", "complete"] {
            let (said, error, status) = run(&mut polyllm(&[
                command,
                "--simulate",
                "-m",
                "together_ai/m",
                &option,
                "Hi",
            ]));
            assert_eq!((said.as_str(), status), ("", 2), "{number}");
            assert!(error.contains("finite number"), "{error}");
        }
    }
}

#[test]
fn a_non_finite_limit_of_bench_is_a_usage_error() {
    let base = [
        "bench",
        "--api-model-name",
        "m",
        "--api-base",
        "http://127.0.0.1:9",
    ];
    for (options, name) in [
        (&["--spawn-rate", "nan"][..], "--spawn-rate"),
        (&["--max-cost", "nan", "--price", "1,1"], "--max-cost"),
        (&["--price", "1,inf"], "--price"),
        (
            &[
                "--find-max-load",
                "rate",
                "--goodput",
                "ttft:1s",
                "--attainment",
                "nan",
            ],
            "--attainment",
        ),
        (
            &[
                "--find-max-load",
                "rate",
                "--goodput",
                "ttft:1s",
                "--search-limit",
                "inf",
            ],
            "--search-limit",
        ),
    ] {
        let (said, error, status) = run(&mut polyllm(&[&base[..], options].concat()));
        assert_eq!((said.as_str(), status), ("", 2), "{name}");
        assert!(error.contains(name) && error.contains("finite") || error.contains("at most 1"));
    }
}
