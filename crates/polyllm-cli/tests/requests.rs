//! The commands that send requests: chat, complete, embed, rerank and models.

#![allow(clippy::panic, clippy::unwrap_used, reason = "helpers of tests")]

mod common;
#[path = "common/upstream.rs"]
mod upstream;

use std::io::Write;
use std::process::Stdio;

use serde_json::Value;
use tokio::net::TcpSocket;

use common::{polyllm, run};
use upstream::upstream;

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
    assert_eq!(status, 1);
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
    assert_eq!(status, 1);
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
    assert!(status == 1 && error.contains("no text: "), "{error}");
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
fn each_text_is_embedded_as_a_line_of_numbers() {
    let base = [
        "embed",
        "--simulate",
        "-m",
        "together_ai/BAAI/bge-large-en-v1.5",
    ];
    let with = |extra: &[&str]| run(&mut polyllm(&[&base[..], extra].concat()));
    let (said, errors, status) = with(&["good morning", "good night"]);
    assert_eq!((errors.as_str(), status), ("", 0));
    let vectors: Vec<Vec<f64>> = said
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(vectors.len(), 2);
    assert!(vectors.iter().all(|vector| vector.len() == 1024));

    let (piped, _, status) = run_piped(&base, "good morning\ngood night\n");
    assert_eq!((piped, status), (said, 0));
    let (base64, _, _) = with(&["--param", "encoding_format=base64", "good morning"]);
    let base64: Vec<f64> = serde_json::from_str(&base64).unwrap();
    let apart = |(a, b): (&f64, &f64)| (a - b).abs();
    assert!(
        base64
            .iter()
            .zip(&vectors[0])
            .map(apart)
            .all(|apart| apart < 1e-7)
    );

    let (line, _, _) = with(&["--json", "good morning"]);
    let answer: Value = serde_json::from_str(&line).unwrap();
    assert_eq!(answer["data"].as_array().unwrap().len(), 1);
    assert!(answer["usage"]["total_tokens"].is_u64());
    let (_, error, status) = run(&mut polyllm(&base));
    assert!(status == 1 && error.contains("no texts: "), "{error}");
}

#[test]
fn documents_are_sorted_by_relevance() {
    let documents = [
        "Carson City is the capital city of the American state of Nevada.",
        "Washington, D.C. is the capital of the United States.",
        "Capital punishment has existed in the United States since before it was a country.",
    ];
    let base = [
        "rerank",
        "--simulate",
        "-m",
        "together_ai/Salesforce/Llama-Rank-V1",
        "--query",
        "What is the capital of the United States?",
    ];
    let arguments = [&base[..], &documents].concat();
    let (said, errors, status) = run(&mut polyllm(&arguments));
    assert_eq!((errors.as_str(), status), ("", 0));
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(lines.len(), 3);
    assert!(
        lines[0].ends_with(&format!("    1  {}", documents[1])),
        "{said}"
    );
    let scores: Vec<f64> = lines
        .iter()
        .map(|line| line.split(' ').next().unwrap().parse().unwrap())
        .collect();
    assert!(scores.is_sorted_by(|a, b| a >= b), "{said}");

    let best = [&base[..], &["-n", "1"]].concat();
    let (piped, _, status) = run_piped(&best, &documents.join("\n"));
    assert_eq!(
        (piped.lines().collect::<Vec<_>>(), status),
        (vec![lines[0]], 0)
    );
    let (line, _, _) = run(&mut polyllm(&[&arguments[..], &["--json"]].concat()));
    let answer: Value = serde_json::from_str(&line).unwrap();
    assert_eq!(answer["results"][0]["index"], 1);
    // The query is required.
    assert_eq!(run(&mut polyllm(&base[..4])).2, 2);
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
        status == 1 && error.contains("openai, replicate, together_ai"),
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
fn line_i_of_the_output_belongs_to_line_i_of_the_input() {
    let base = [
        "embed",
        "--simulate",
        "-m",
        "together_ai/BAAI/bge-large-en-v1.5",
    ];
    let (said, error, status) = run_piped(&base, "good morning\n\n  \ngood night\n\n");
    assert_eq!((error.as_str(), status), ("", 0));
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(lines.len(), 5);
    let alone = |text| run(&mut polyllm(&[&base[..], &[text]].concat())).0;
    assert_eq!(lines[0], alone("good morning").trim_end());
    assert_eq!(lines[3], alone("good night").trim_end());

    let base = [
        "rerank",
        "--simulate",
        "-m",
        "together_ai/Salesforce/Llama-Rank-V1",
        "--query",
        "leak",
        "-n",
        "1",
    ];
    let (said, _, status) = run_piped(&base, "\nall is well\n\na leak\n");
    assert_eq!(status, 0);
    assert!(said.ends_with("    3  a leak\n"), "{said}");
    let (_, error, status) = run_piped(&base, "\n\n");
    assert!(status == 1 && error.contains("no texts: "), "{error}");
}

#[test]
fn vectors_are_printed_in_the_order_of_the_texts() {
    let vector = |index: u64| serde_json::json!({ "object": "embedding", "index": index, "embedding": [index] });
    let answer = |data: &[Value]| {
        let body = serde_json::json!({ "object": "list", "model": "m", "data": data });
        let url = upstream(200, "application/json", &body.to_string());
        let mut command = polyllm(&["embed", "-m", "together_ai/m", "a", "b", "c"]);
        command
            .env("TOGETHERAI_API_KEY", "key-of-the-test")
            .env("TOGETHER_BASE_URL", url);
        run(&mut command)
    };
    let (said, error, status) = answer(&[vector(2), vector(0), vector(1)]);
    assert_eq!((error.as_str(), status), ("", 0));
    assert_eq!(said, "[0]\n[1]\n[2]\n");
    let (said, error, status) = answer(&[vector(0), vector(2)]);
    assert_eq!((said.as_str(), status), ("", 1));
    assert!(error.contains("2 vectors for 3 texts"), "{error}");
}

#[test]
fn a_blank_text_that_may_have_caused_an_error_is_named() {
    let body = r#"{"error": {"message": "input is too short", "type": "invalid_request_error"}}"#;
    let url = upstream(400, "application/json", body);
    for (texts, named) in [(["a", " "], true), (["a", "b"], false)] {
        let mut command = polyllm(&[&["embed", "-m", "together_ai/m"][..], &texts].concat());
        command
            .env("TOGETHERAI_API_KEY", "key-of-the-test")
            .env("TOGETHER_BASE_URL", &url);
        let (_, error, status) = run(&mut command);
        assert_eq!(status, 1);
        assert!(error.contains("input is too short (HTTP 400)"), "{error}");
        assert_eq!(error.contains("Text 2 is blank"), named, "{error}");
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

/// Runs with `text` on standard input.
fn run_piped(arguments: &[&str], text: &str) -> (String, String, i32) {
    let mut command = polyllm(arguments);
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    input.write_all(text.as_bytes()).unwrap();
    drop(input);
    let output = child.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    let (stdout, stderr) = (text(output.stdout), text(output.stderr));
    (stdout, stderr, output.status.code().unwrap())
}
