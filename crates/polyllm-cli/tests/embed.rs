//! The commands `embed` and `rerank`.

#![allow(clippy::panic, clippy::unwrap_used, reason = "helpers of tests")]

mod common;
#[path = "common/piped.rs"]
mod piped;
#[path = "common/upstream.rs"]
mod upstream;

use serde_json::Value;

use common::{polyllm, run};
use piped::run_piped;
use upstream::upstream;

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
    assert!(status == 2 && error.contains("no texts: "), "{error}");
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
    assert!(status == 2 && error.contains("no texts: "), "{error}");
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
