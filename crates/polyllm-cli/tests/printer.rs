//! Output on terminals and in pipes: untrusted text, JSON lines, closed pipes.

#![allow(clippy::panic, clippy::unwrap_used, reason = "helpers of tests")]

mod common;
#[cfg(target_os = "linux")]
#[path = "common/terminal.rs"]
mod terminal;
#[path = "common/upstream.rs"]
mod upstream;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::common::{polyllm, run};
use crate::upstream::upstream;

const MODEL: &str = "together_ai/openai/gpt-oss-20b";

/// A hostile text: it sets the terminal's title and clears the screen.
const HOSTILE: &str = "nice\u{1b}]0;title\u{7}\u{9b}2J forged";

const ESCAPED: &str = "nice\\u{1b}]0;title\\u{7}\\u{9b}2J forged";

/// The binary, with both providers at `url`.
fn with_upstream(url: &str, arguments: &[&str]) -> Command {
    let mut command = polyllm(arguments);
    command
        .env("TOGETHERAI_API_KEY", "key-of-the-test")
        .env("TOGETHER_BASE_URL", url)
        .env("REPLICATE_API_TOKEN", "key-of-the-test")
        .env("REPLICATE_BASE_URL", url);
    command
}

fn answer(text: &str) -> Value {
    json!({
        "id": "1", "object": "chat.completion", "created": 1, "model": "m",
        "choices": [{
            "index": 0, "finish_reason": "stop",
            "message": { "role": "assistant", "content": text },
        }],
        "usage": { "prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2 },
    })
}

fn streamed(text: &str) -> String {
    let chunk = |delta: Value, finish_reason: Value| {
        json!({
            "id": "1", "object": "chat.completion.chunk", "created": 1, "model": "m",
            "choices": [{ "index": 0, "delta": delta, "finish_reason": finish_reason }],
        })
    };
    let content = chunk(json!({ "role": "assistant", "content": text }), Value::Null);
    let end = chunk(json!({}), "stop".into());
    format!("data: {content}\n\ndata: {end}\n\ndata: [DONE]\n\n")
}

#[cfg(target_os = "linux")]
/// The output on a terminal, standard output and standard error together.
fn shown(command: &Command) -> String {
    let output = terminal::on_terminal(command).output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn only_the_module_output_accesses_standard_streams() {
    let sources = sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"));
    assert!(sources.len() > 20);
    for path in sources {
        if path.ends_with("src/output.rs") {
            continue;
        }
        let text = fs::read_to_string(&path).unwrap();
        let raw = raw_prints(&text);
        assert_eq!(
            raw,
            [0_usize; 0],
            "{}: print through output.rs",
            path.display()
        );
    }
    let bad = "fn f() {\n    eprintln!(\"{x}\");\n    write!(io::stdout(), \"a\");\n}\n// stderr\n";
    assert_eq!(raw_prints(bad), [2, 3]);
}

/// Lines that print without the module `output`.
fn raw_prints(text: &str) -> Vec<usize> {
    let raw = ["stdout", "stderr", "print!", "println!", "dbg!", "/dev/tty"];
    let lines = text.lines().zip(1..);
    let lines = lines.filter(|(line, _)| {
        !line.trim_start().starts_with("//") && raw.iter().any(|raw| line.contains(raw))
    });
    lines.map(|(_, number)| number).collect()
}

fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else {
            found.push(path);
        }
    }
    found
}

#[cfg(target_os = "linux")]
#[test]
fn a_public_description_cannot_control_the_terminal() {
    let models = json!({ "next": null, "previous": null, "results": [{
        "url": "https://replicate.com/acme/x", "owner": "acme", "name": "x",
        "description": HOSTILE, "visibility": "public", "run_count": 5,
        "default_example": null, "latest_version": null,
    }]});
    let url = upstream(200, "application/json", &models.to_string());
    let search = with_upstream(&url, &["replicate", "models", "search", "llama"]);
    let shown = shown(&search);
    assert!(
        shown.contains("acme/x") && shown.contains(ESCAPED),
        "{shown:?}"
    );
    assert!(
        !shown.contains('\u{1b}') && !shown.contains('\u{9b}'),
        "{shown:?}"
    );
    // A table in a pipe may also reach a terminal, through `grep` or `head`.
    let (piped, _, _) = run(&mut with_upstream(
        &url,
        &["replicate", "models", "search", "llama"],
    ));
    assert!(piped.contains(ESCAPED), "{piped:?}");
    // JSON is unchanged.
    let json = ["replicate", "models", "search", "llama", "--json"];
    let (line, _, _) = run(&mut with_upstream(&url, &json));
    let model: Value = serde_json::from_str(&line).unwrap();
    assert_eq!(model["description"], HOSTILE);
}

#[cfg(target_os = "linux")]
#[test]
fn a_reply_is_escaped_on_a_terminal_and_raw_in_a_pipe() {
    let text = format!("a\tb\n{HOSTILE}");
    let whole = upstream(200, "application/json", &answer(&text).to_string());
    let stream = upstream(200, "text/event-stream", &streamed(&text));
    for (url, arguments) in [
        (&whole, &["chat", "-m", MODEL, "--no-stream", "Hi"][..]),
        (&stream, &["chat", "-m", MODEL, "Hi"]),
    ] {
        let command = with_upstream(url, arguments);
        let shown = shown(&command);
        assert!(
            shown.contains(&format!("a\tb\r\n{ESCAPED}\r\n")),
            "{shown:?}"
        );
        assert!(
            !shown.contains('\u{7}') && !shown.contains('\u{9b}'),
            "{shown:?}"
        );
        let piped = with_upstream(url, arguments).output().unwrap();
        assert_eq!(
            String::from_utf8(piped.stdout).unwrap(),
            format!("{text}\n")
        );
    }
}

#[cfg(target_os = "linux")]
#[test]
fn an_upstream_error_is_escaped_and_contains_its_status() {
    let body = json!({ "error": { "message": format!("{HOSTILE}\nerror: forged") } });
    let url = upstream(400, "application/json", &body.to_string());
    for arguments in [
        &["chat", "-m", MODEL, "Hi"][..],
        &["complete", "-m", MODEL, "--no-stream", "Hi"],
        &["embed", "-m", MODEL, "Hi"],
        &["rerank", "-m", MODEL, "-q", "q", "Hi"],
        &["models", "-p", "together_ai"],
    ] {
        let (_, error, status) = run(&mut with_upstream(&url, arguments));
        assert_eq!(status, 1);
        assert_eq!(error.lines().count(), 1, "{error:?}");
        assert!(
            error.contains(ESCAPED) && error.contains("(HTTP 400)"),
            "{error:?}"
        );
        let shown = shown(&with_upstream(&url, arguments));
        assert!(shown.contains(ESCAPED), "{shown:?}");
        assert!(
            !shown.contains("\u{1b}]") && !shown.contains('\u{7}'),
            "{shown:?}"
        );
    }
}

#[test]
fn an_error_without_json_contains_its_status() {
    let url = upstream(422, "text/html", "<html>\n<h1>Blocked</h1>\n</html>");
    for arguments in [
        &["chat", "-m", MODEL, "Hi"][..],
        &[
            "chat",
            "-m",
            "replicate/meta/meta-llama-3-8b-instruct",
            "Hi",
        ],
        &["embed", "-m", MODEL, "Hi"],
        &["models", "-p", "together_ai"],
        &["replicate", "predictions", "list"],
        &["replicate", "predictions", "wait", "abc"],
    ] {
        let (_, error, status) = run(&mut with_upstream(&url, arguments));
        assert_eq!(status, 1);
        assert!(error.contains("HTTP 422"), "{arguments:?}: {error}");
    }
}

#[test]
fn a_usage_error_shortens_and_escapes_arguments() {
    let long = format!("\u{1b}[2J\n{}", "x".repeat(50_000));
    for arguments in [
        &["chat", "-m", MODEL, "--temperature", &long, "Hi"][..],
        &["chat", "-m", MODEL, "--param", &long, "Hi"],
        &["sim", "--fault", &long],
        &["sim", "--token", &long],
        &["sim", "--together-requests", &long],
        &["sim", &long],
        &["sim", &format!("--{long}")],
        &[&long],
        &["completions", &long],
        &["serve", "--port", &long],
    ] {
        let (said, error, status) = run(&mut polyllm(arguments));
        assert_eq!((said.as_str(), status), ("", 2), "{}", arguments[0]);
        assert!(error.starts_with("error: "), "{error}");
        assert!(error.len() < 10_000, "{}", error.len());
        assert!(!error.contains('\u{1b}'), "{error:?}");
    }
}

#[test]
fn an_error_with_a_long_argument_contains_its_cause() {
    let long = "x".repeat(50_000);
    for (arguments, reason) in [
        (&["sse", &long][..], "File name too long"),
        (
            &["bench", "compare", "a", "b", "--fail-if", &long],
            "expected a quantity",
        ),
    ] {
        let (_, error, status) = run(&mut polyllm(arguments));
        assert_ne!(status, 0);
        assert!(error.len() < 10_000, "{}", error.len());
        assert!(error.contains(reason), "{error}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn output_that_cannot_be_written_is_a_failure() {
    for arguments in [
        &["completions", "bash"][..],
        &["--help"],
        &["template", "list"],
    ] {
        let full = fs::OpenOptions::new()
            .write(true)
            .open("/dev/full")
            .unwrap();
        let output = polyllm(arguments).stdout(full).output().unwrap();
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{arguments:?}");
        assert!(
            error.contains("cannot write to standard output: No space left"),
            "{error}"
        );
    }
}

#[test]
fn every_json_document_is_one_line() {
    let pretty = |value: &Value| serde_json::to_string_pretty(value).unwrap();
    let vector = json!({ "object": "list", "model": "m", "data": [
        { "object": "embedding", "index": 0, "embedding": [0.5, 1.25] },
    ]});
    let ranked = json!({ "object": "rerank", "id": "1", "model": "m", "results": [
        { "index": 0, "relevance_score": 0.5 },
    ]});
    let text = "two\nlines  and \"quotes\"";
    let completion = json!({
        "id": "1", "object": "text_completion", "created": 1, "model": "m",
        "choices": [{ "index": 0, "text": text, "finish_reason": "stop", "logprobs": null }],
    });
    for (body, arguments) in [
        (
            answer(text),
            &["chat", "-m", MODEL, "--no-stream", "Hi"][..],
        ),
        (completion, &["complete", "-m", MODEL, "--no-stream", "Hi"]),
        (vector, &["embed", "-m", MODEL, "Hi"]),
        (ranked, &["rerank", "-m", MODEL, "-q", "q", "Hi"]),
    ] {
        let url = upstream(200, "application/json", &pretty(&body));
        let arguments = [arguments, &["--json"]].concat();
        let (said, error, status) = run(&mut with_upstream(&url, &arguments));
        assert_eq!((error.as_str(), status), ("", 0), "{arguments:?}");
        assert_eq!(said.lines().count(), 1, "{arguments:?}: {said}");
        let document: Value = serde_json::from_str(&said).unwrap();
        for member in ["choices", "data", "results"] {
            if member == "choices" && arguments[0] == "chat" {
                let content = &document["choices"][0]["message"]["content"];
                assert_eq!(content, text);
            } else {
                assert_eq!(document.get(member), body.get(member), "{arguments:?}");
            }
        }
    }
}

#[test]
fn a_closed_pipe_ends_every_command_quietly() {
    let file = |name: &str, text: &str| {
        let path = std::env::temp_dir().join(format!("polyllm-{}-{name}", std::process::id()));
        fs::write(&path, text).unwrap();
        path
    };
    let events = file("closed.sse", &"data: {}\n\n".repeat(20_000));
    let config = file(
        "closed.yaml",
        "model_list:\n  - model_name: a\n    litellm_params:\n      model: replicate/a/b\n      api_key: key-of-the-test\n",
    );
    let (events_path, config_path) = (events.to_str().unwrap(), config.to_str().unwrap());
    let embedder = "together_ai/BAAI/bge-large-en-v1.5";
    let ranker = "together_ai/Salesforce/Llama-Rank-V1";
    let llama = "replicate/meta/meta-llama-3-8b-instruct";
    for (arguments, status) in [
        (&["--help"][..], 0),
        (&["--version"], 0),
        (&["bench", "--help"], 0),
        (&["completions", "bash"], 0),
        (&["completions", "zsh"], 0),
        (&["check", "--config", config_path], 0),
        (&["check", "--json", "--config", config_path], 0),
        (&["template", "list"], 0),
        (&["template", "show", "llama-3"], 0),
        // The exit status is that of the command, not of the output.
        (&["template", "match", "gpt-4"], 1),
        (&["sse", events_path], 0),
        (&["chat", "--simulate", "-m", MODEL, "Hi"], 0),
        (&["chat", "--simulate", "-m", llama, "Hi"], 0),
        (&["chat", "--simulate", "-m", MODEL, "--json", "Hi"], 0),
        (&["chat", "--simulate", "-m", MODEL, "--no-stream", "Hi"], 0),
        (&["complete", "--simulate", "-m", MODEL, "Hi"], 0),
        (&["embed", "--simulate", "-m", embedder, "a", "b"], 0),
        (
            &["rerank", "--simulate", "-m", ranker, "-q", "q", "a", "b"],
            0,
        ),
        (&["models", "--simulate"], 0),
        (&["models", "--simulate", "--json"], 0),
        (&["replicate", "--simulate", "models", "list"], 0),
        (&["replicate", "--simulate", "models", "list", "--json"], 0),
        (&["replicate", "--simulate", "account"], 0),
    ] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut command = polyllm(arguments);
        let output = command
            .stdout(writer)
            .stderr(Stdio::piped())
            .output()
            .unwrap();
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(error, "", "{arguments:?}");
        assert_eq!(output.status.code(), Some(status), "{arguments:?}");
    }
    fs::remove_file(events).unwrap();
    fs::remove_file(config).unwrap();
}
