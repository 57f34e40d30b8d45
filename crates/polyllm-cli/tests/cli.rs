//! The binary: output, streams and exit statuses.

#![allow(clippy::panic, clippy::unwrap_used, reason = "helpers of tests")]

mod common;

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};

use common::{polyllm, run};
use serde_json::{Value, json};
use tempfile::{TempDir, tempdir};

/// A file in a temporary folder.
struct TempFile {
    path: PathBuf,
    _folder: TempDir,
}

impl TempFile {
    fn new(name: &str, text: &str) -> Self {
        let folder = tempdir().unwrap();
        let path = folder.path().join(name);
        fs::write(&path, text).unwrap();
        Self {
            path,
            _folder: folder,
        }
    }

    fn path(&self) -> &str {
        self.path.to_str().unwrap()
    }
}

/// A server that is stopped on drop.
struct Server {
    child: Child,
    output: BufReader<ChildStdout>,
}

impl Server {
    fn start(arguments: &[&str]) -> Self {
        let mut child = polyllm(arguments).stdout(Stdio::piped()).spawn().unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        Self { child, output }
    }

    /// Its output up to the line that contains `last`.
    fn read_until(&mut self, last: &str) -> String {
        let mut text = String::new();
        while !text.contains(last) {
            assert_ne!(self.output.read_line(&mut text).unwrap(), 0, "{text}");
        }
        text
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn help_has_examples_and_usage_errors_exit_with_2() {
    let (help, _, status) = run(&mut polyllm(&["--help"]));
    assert_eq!(status, 0);
    for word in [
        "serve",
        "chat",
        "complete",
        "embed",
        "rerank",
        "models",
        "check",
        "sim",
        "completions",
        "TOGETHERAI_API_KEY",
    ] {
        assert!(help.contains(word), "{word}: {help}");
    }
    assert_eq!(run(&mut polyllm(&[])).2, 2);
    let (_, error, status) = run(&mut polyllm(&["chatt"]));
    assert_eq!(status, 2);
    assert!(
        error.contains("a similar subcommand exists: 'chat'"),
        "{error}"
    );
    let (script, _, status) = run(&mut polyllm(&["completions", "bash"]));
    assert!(status == 0 && script.contains("complete -F _polyllm"));
}

#[test]
fn an_event_stream_becomes_json_lines() {
    let stream =
        ": hi\nevent: output\nid: 1\ndata: a\ndata:  b\n\nevent: done\n\nretry: 5\ndata: {}";
    let file = TempFile::new("stream.sse", stream);
    let (lines, _, status) = run(&mut polyllm(&["sse", "--comments", file.path()]));
    assert_eq!(status, 0);
    assert_eq!(
        lines,
        "{\"comment\":\"hi\"}\n\
         {\"event\":\"output\",\"data\":\"a\\n b\",\"id\":\"1\"}\n\
         {\"event\":\"done\",\"data\":\"\",\"id\":\"1\"}\n\
         {\"event\":\"message\",\"data\":\"{}\",\"id\":\"1\",\"retry\":5,\"incomplete\":true}\n"
    );
    let (_, error, status) = run(&mut polyllm(&["sse", "no-such-file"]));
    assert_eq!(status, 1);
    assert!(error.contains("cannot open no-such-file"), "{error}");
}

#[test]
fn templates_are_listed_matched_and_shown() {
    let (list, _, status) = run(&mut polyllm(&["template", "list", "--json"]));
    let families: Vec<Value> = list
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(status, 0);
    assert!(families.iter().any(|family| family["family"] == "llama-3"));
    let (shown, _, status) = run(&mut polyllm(&["template", "show", "llama-3"]));
    assert!(
        status == 0 && shown.contains("<|begin_of_text|>"),
        "{shown}"
    );
    let (_, error, status) = run(&mut polyllm(&["template", "show", "lama-3"]));
    assert!(
        status == 2 && error.contains("did you mean \"llama-3\""),
        "{error}"
    );

    let known = "replicate/meta/meta-llama-3-8b-instruct";
    let (found, _, status) = run(&mut polyllm(&["template", "match", known]));
    assert!(
        status == 0 && found.starts_with(&format!("{known}: llama-3 (")),
        "{found}"
    );
    let (found, _, status) = run(&mut polyllm(&["template", "match", known, "gpt-4"]));
    assert!(
        status == 1 && found.ends_with("gpt-4: unknown (no rule matches)\n"),
        "{found}"
    );
}

#[test]
fn a_render_error_has_its_position_in_the_input() {
    let render = |input: &str, extra: &[&str]| {
        let file = TempFile::new("messages.json", input);
        let args = [
            "template",
            "render",
            "--family",
            "chatml",
            "--input",
            file.path(),
        ];
        let (out, error, status) = run(&mut polyllm(&[&args[..], extra].concat()));
        assert_eq!(status, 1, "{out}{error}");
        error
    };
    for (input, place) in [
        ("{}", "at line 1 column 2\n"),
        (
            "[\n  {\"content\": \"x\"}\n]",
            "[0]: missing field `role` at line 2 column 18\n",
        ),
        ("{\"messages\": [1]}", "messages[0]"),
        (
            "[{\"role\": \"user\",\n \"content\": x}]",
            "line 2 column 13",
        ),
    ] {
        let error = render(input, &[]);
        assert!(error.contains(place), "{input}: {error}");
    }
    let lines = "[{\"role\": \"user\", \"content\": \"x\"}]\n\n[{]\n";
    let error = render(lines, &["--jsonl"]);
    assert!(error.contains("at line 3 column 3"), "{error}");
}

#[test]
fn a_prompt_is_rendered_exactly() {
    let page = r#"[{"role":"system","content":"Be a good human!"},
                   {"role":"user","content":"What do you know about earth?"}]"#;
    let file = TempFile::new("page.json", page);
    let render = ["template", "render", "--input", file.path()];
    let with = |extra: &[&str]| run(&mut polyllm(&[&render[..], extra].concat()));
    let prompt = "<|start_header_id|>system<|end_header_id|>\n\nBe a good human!<|eot_id|>\
                  <|start_header_id|>user<|end_header_id|>\n\nWhat do you know about earth?<|eot_id|>\
                  <|start_header_id|>assistant<|end_header_id|>\n\n";
    assert_eq!(with(&["--family", "llama-3"]).0, prompt);
    let (json, _, _) = with(&["--model", "meta/meta-llama-3-8b-instruct", "--json"]);
    assert_eq!(
        serde_json::from_str::<Value>(&json).unwrap()["prompt"],
        prompt
    );

    let custom = TempFile::new(
        "custom.yaml",
        "roles: {user: {pre_message: <U>}}\nbos_token: <s>",
    );
    let said = with(&["--custom", custom.path()]).0;
    assert_eq!(said, "<s>Be a good human!<U>What do you know about earth?");
    let jinja = TempFile::new(
        "t.jinja",
        "{% for m in messages %}{{ m.role }}/{% endfor %}",
    );
    assert_eq!(with(&["--file", jinja.path()]).0, "system/user/");
    let (_, error, status) = with(&["--model", "acme/thing"]);
    assert!(status == 1 && error.contains("--family"), "{error}");
    assert_eq!(run(&mut polyllm(&render)).2, 2);
}

#[test]
fn an_invalid_line_does_not_stop_the_others() {
    let lines = "[{\"role\":\"user\",\"content\":\"Hi\"}]\nnonsense\n\n[]\n";
    let file = TempFile::new("lines.jsonl", lines);
    let arguments = [
        "template",
        "render",
        "--family",
        "chatml",
        "--jsonl",
        "--input",
        file.path(),
    ];
    let (said, error, status) = run(&mut polyllm(&arguments));
    let said: Vec<Value> = said
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(status, 1);
    assert_eq!(said.len(), 3);
    assert_eq!(
        said[0]["prompt"],
        "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n"
    );
    assert!(said[1]["error"].is_string() && said[2]["error"].is_string());
    assert!(
        error.contains("line 2: ") && error.contains("line 4: "),
        "{error}"
    );
}

const BAD: &str = "\
model_list:
  - model_name: llama-3
    litellm_params:
      model: replicate/meta/meta-llama-3-8b-instruct
      api_key: os.environ/NO_SUCH_VARIABLE
      max_tokens: lots
router_setings:
  num_retries: 2
";

#[test]
fn names_that_are_unknown_are_usage_errors() {
    for arguments in [
        &["models", "--simulate", "--provider", "foo"][..],
        &["providers", "foo"],
        &["template", "show", "foo"],
        &["chat", "--model", "x/y", "hi"],
        &["chat", "--simulate", "--model", "together_ai/m", " "],
        &["bench", "report", "/no/such/folder"],
    ] {
        let (said, error, status) = run(&mut polyllm(arguments));
        assert_eq!((said.as_str(), status), ("", 2), "{arguments:?}: {error}");
        assert_eq!(error.lines().count(), 1, "{error}");
    }
}

#[test]
fn every_config_error_is_reported_with_its_position() {
    let file = TempFile::new("bad.yaml", BAD);
    for command in ["check", "serve"] {
        let (said, error, status) = run(&mut polyllm(&[command, "--config", file.path()]));
        assert_eq!((said.as_str(), status), ("", 1), "{error}");
        for expected in [
            "5:",
            "NO_SUCH_VARIABLE",
            "6:",
            "max_tokens",
            "7:1: warning",
            "router_settings",
        ] {
            assert!(error.contains(expected), "{expected}: {error}");
        }
    }
    let (said, _, status) = run(&mut polyllm(&["check", "--json", "--config", file.path()]));
    let report: Value = serde_json::from_str(&said).unwrap();
    assert_eq!(status, 1);
    assert_eq!(report["ok"], false);
    assert_eq!(report["problems"].as_array().unwrap().len(), 3);

    let (_, error, status) = run(&mut polyllm(&["serve", "--config", "no-such-file.yaml"]));
    assert_eq!(status, 1);
    assert!(error.contains("no-such-file.yaml"), "{error}");
}

#[test]
fn a_setting_that_a_provider_rejects_is_reported_with_its_position() {
    let good = BAD.replace("router_setings", "router_settings");
    let good = good.replace("os.environ/NO_SUCH_VARIABLE", "k");
    let file = |setting: &str| {
        let text = good.replace("max_tokens: lots", setting);
        TempFile::new("refused.yaml", &text)
    };
    for (setting, place) in [
        ("control_tokens: sometimes", ":6:23: error: "),
        ("control_tokens: \"\\e[2J\"", ":6:23: error: "),
        ("roles: {user: {pre_message: 7}}", ":6:35: error: "),
        ("ca_file: /no/such/file.pem", ":6:16: error: "),
    ] {
        let file = file(setting);
        let (_, error, status) = run(&mut polyllm(&["check", "--config", file.path()]));
        assert_eq!(status, 1, "{setting}");
        assert!(error.contains(place), "{setting}: {error}");
        assert!(
            !error.contains("column") && !error.contains('\u{1b}'),
            "{error}"
        );
    }
    let text = good.replace("model_name: llama-3", "model_name: \"a\\e[2J\"");
    let file = TempFile::new("escape.yaml", &text.replace("lots", "20"));
    let (said, error, status) = run(&mut polyllm(&["check", "--config", file.path()]));
    assert_eq!(status, 0, "{error}");
    assert!(said.ends_with(": a\\u{1b}[2J\n"), "{said:?}");
}

#[test]
fn a_valid_config_is_accepted() {
    let text = BAD
        .replace("NO_SUCH_VARIABLE", "SOME_VARIABLE")
        .replace("lots", "20");
    let file = TempFile::new("good.yaml", &text.replace("setings", "settings"));
    let mut command = polyllm(&["check", "--config", file.path()]);
    let (said, error, status) = run(command.env("SOME_VARIABLE", "very-secret"));
    assert_eq!(status, 0, "{error}");
    assert!(
        said.ends_with("valid: 1 model with 1 deployment: llama-3\n"),
        "{said}"
    );
    assert!(!said.contains("very-secret"));
    for line in ["llama-3\n", "weight 1, price unknown", "access: everyone"] {
        assert!(said.contains(line), "{line}: {said}");
    }
}

#[test]
fn the_plan_of_a_config_has_limits_prices_and_the_database() {
    let text = "
model_list:
  - model_name: llama
    litellm_params:
      model: together_ai/a
      api_key: k
      input_cost_per_token: 0.00000088
      output_cost_per_token: 1.1e-6
      max_parallel_requests: 4
general_settings: {master_key: sk-1234, database_url: \"sqlite:keys.db\"}
";
    let file = TempFile::new("plan.yaml", text);
    let (said, error, status) = run(&mut polyllm(&["check", "--config", file.path()]));
    assert_eq!(status, 0, "{error}");
    for part in [
        "together_ai/a: weight 1, 4 parallel requests, $0.88 and $1.1 per million tokens",
        "access: the master key and virtual keys",
        "database of keys and spend: sqlite:keys.db",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    assert!(!said.contains("sk-1234"), "{said}");
}

#[test]
fn a_name_that_cannot_be_a_model_is_an_error_of_the_check() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("config.yaml");
    for (group, model, is_valid) in [
        ("a", "replicate/a/b/c", false),
        ("a", "replicate/a/b:", false),
        ("a", "replicate/a/b", true),
        ("a", "replicate/deployments/a/b", true),
        ("a/*", "replicate/*", true),
    ] {
        let text = format!(
            "model_list:\n  - model_name: '{group}'\n    \
             litellm_params: {{model: '{model}', api_key: r8_longer_key}}\n"
        );
        fs::write(&path, text).unwrap();
        let (_, error, status) = run(polyllm(&["check", "--config"]).arg(&path));
        assert_eq!(status == 0, is_valid, "{model}: {error}");
        if !is_valid {
            assert!(
                error.contains("is not a model name of Replicate"),
                "{error}"
            );
        }
    }
}

#[test]
fn the_schema_of_a_config_names_the_settings_of_all_providers() {
    let (said, error, status) = run(&mut polyllm(&["check", "--schema"]));
    assert_eq!(status, 0, "{error}");
    let schema: Value = serde_json::from_str(&said).unwrap();
    let params = &schema["properties"]["model_list"]["items"]["properties"]["litellm_params"];
    for name in [
        "model",
        "api_key",
        "control_tokens",
        "max_tokens",
        "input_cost_per_token",
    ] {
        assert!(params["properties"][name].is_object(), "{name}");
    }
    for (name, types) in [
        ("tags", json!(["array", "null"])),
        ("drop_params", json!(["boolean", "string", "null"])),
    ] {
        assert_eq!(params["properties"][name]["type"], types, "{name}");
    }
    let general = &schema["properties"]["general_settings"]["properties"];
    assert!(general["database_url"]["description"].is_string());
    let (_, _, status) = run(&mut polyllm(&["check"]));
    assert_eq!(status, 2);
}

#[test]
fn the_curl_line_of_the_banner_works_when_pasted() {
    let mut server = Server::start(&["serve", "--port", "0"]);
    let banner = server.read_until("Ctrl-C");
    assert!(
        banner.contains("serves http://127.0.0.1:") && banner.contains("SIMULATED"),
        "{banner}"
    );
    let curl = banner
        .lines()
        .find(|line| line.trim().starts_with("curl"))
        .unwrap();
    let output = Command::new("sh")
        .args(["-c", curl])
        .stderr(Stdio::null())
        .output()
        .unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(
        output.status.success() && said.ends_with("data: [DONE]\n\n"),
        "{curl}: {said}"
    );
}

#[test]
fn the_simulation_documents_faults_and_reads_options() {
    let (help, _, _) = run(&mut polyllm(&["sim", "--help"]));
    for word in [
        "status=503",
        "half-char-after",
        "drip=",
        "x-sim-fault",
        "/_sim/faults",
    ] {
        assert!(help.contains(word), "{word}: {help}");
    }
    for (option, value, wanted) in [
        ("--together-requests", "10", "600/m"),
        ("--token", "soon", "250ms"),
    ] {
        let (_, error, status) = run(&mut polyllm(&["sim", option, value]));
        assert_eq!(status, 2);
        assert!(error.contains(option) && error.contains(wanted), "{error}");
    }
    let (_, error, status) = run(&mut polyllm(&["sim", "--fault", "explode"]));
    assert_eq!(status, 2);
    assert!(
        error.contains("explode") && error.contains("drip="),
        "{error}"
    );
}

#[cfg(unix)]
#[test]
fn a_server_stops_at_a_signal() {
    for arguments in [&["serve", "--port", "0", "--json"][..], &["sim", "--json"]] {
        let mut server = Server::start(arguments);
        let line: Value = serde_json::from_str(&server.read_until("\n")).unwrap();
        for (name, value) in line.as_object().unwrap() {
            match value.as_str() {
                Some(url) => assert!(url.starts_with("http://127.0.0.1:"), "{line}"),
                None => assert!(name == "pid" && *value == server.child.id(), "{line}"),
            }
        }
        let kill = Command::new("kill")
            .args(["-TERM", &server.child.id().to_string()])
            .status();
        assert!(kill.unwrap().success());
        assert!(server.child.wait().unwrap().success());
        let mut rest = String::new();
        server.output.read_to_string(&mut rest).unwrap();
        assert_eq!(rest, "");
    }
}

#[test]
fn a_port_in_use_is_an_error_with_a_hint() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let address = format!("127.0.0.1:{port}");
    for arguments in [
        ["serve", "--port"],
        ["sim", "--together-port"],
        ["sim", "--replicate-port"],
    ] {
        let (_, error, status) = run(&mut polyllm(&[&arguments[..], &[&port]].concat()));
        assert_eq!(status, 1);
        assert!(error.contains(&address), "{error}");
        assert!(error.contains(arguments[1]), "{error}");
    }
}
