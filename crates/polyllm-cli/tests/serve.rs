//! `polyllm serve` as a process: its log, its signals, and what the README shows.

#![cfg(unix)]
#![allow(clippy::panic, clippy::unwrap_used, reason = "helpers of tests")]

#[allow(dead_code, reason = "other tests need more of it")]
mod common;
#[path = "serve/database.rs"]
mod database;
#[path = "serve/disk.rs"]
mod disk;
#[path = "serve/logs.rs"]
mod logs;
#[path = "serve/malformed.rs"]
mod malformed;
#[path = "serve/network.rs"]
mod network;
#[path = "serve/otel.rs"]
mod otel;
#[path = "serve/tls.rs"]
mod tls;
#[path = "common/upstream.rs"]
mod upstream;

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use common::{polyllm, run};
use serde_json::{Value, json};
use tempfile::TempDir;

/// A gateway that is stopped after the test.
struct Gateway {
    child: Child,
    /// The address, such as `127.0.0.1:4000`.
    address: String,
    /// Its standard error so far.
    log: Arc<Mutex<String>>,
}

impl Gateway {
    fn start(arguments: &[&str]) -> Self {
        Self::start_by(polyllm(&[]), arguments)
    }

    /// The same with variables of the environment.
    fn start_with(arguments: &[&str], environment: &[(&str, &str)]) -> Self {
        let mut command = polyllm(&[]);
        command.envs(environment.iter().copied());
        Self::start_by(command, arguments)
    }

    /// Starts it by another command, to which the arguments are added.
    fn start_by(mut command: Command, arguments: &[&str]) -> Self {
        command.args(["serve", "--port", "0", "--json"]);
        command.args(arguments);
        Self::run(command)
    }

    /// Runs a whole command.
    fn run(mut command: Command) -> Self {
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let log = Arc::new(Mutex::new(String::new()));
        let (errors, lines) = (child.stderr.take().unwrap(), Arc::clone(&log));
        std::thread::spawn(move || {
            let mut errors = BufReader::new(errors);
            let mut line = Vec::new();
            while errors
                .read_until(b'\n', &mut line)
                .is_ok_and(|read| read > 0)
            {
                lines
                    .lock()
                    .unwrap()
                    .push_str(&String::from_utf8_lossy(&line));
                line.clear();
            }
        });
        let mut said = String::new();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        output.read_line(&mut said).unwrap();
        let said: Value = serde_json::from_str(&said).unwrap();
        let (_, address) = said["url"].as_str().unwrap().split_once("://").unwrap();
        let address = address.to_owned();
        Self {
            child,
            address,
            log,
        }
    }

    /// Sends a request, and returns the status and the body of the response.
    fn send(&self, line: &str, body: &str) -> (u16, Value) {
        self.send_with("none", line, body)
    }

    /// The same with a key.
    fn send_with(&self, key: &str, line: &str, body: &str) -> (u16, Value) {
        let mut socket = TcpStream::connect(&self.address).unwrap();
        let (address, length) = (&self.address, body.len());
        let request = format!(
            "{line} HTTP/1.1\r\nhost: {address}\r\ncontent-type: application/json\r\n\
             authorization: Bearer {key}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
        );
        socket.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        socket.read_to_string(&mut answer).unwrap();
        let (_, body) = answer.split_once("\r\n\r\n").unwrap();
        let body = serde_json::from_str(body).unwrap();
        (answer[9..12].parse().unwrap(), body)
    }

    fn models(&self) -> Vec<String> {
        let (status, list) = self.send("GET /v1/models", "");
        assert_eq!(status, 200, "{list}");
        let models = list["data"].as_array().unwrap().iter();
        models
            .map(|model| model["id"].as_str().unwrap().to_owned())
            .collect()
    }

    fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        let kill = Command::new("kill").args([name, &id]).status();
        assert!(kill.unwrap().success());
    }

    /// Sends SIGHUP, and returns the log of the reload.
    fn reload(&self) -> String {
        let before = self.log.lock().unwrap().len();
        self.signal("-HUP");
        self.wait_for(before, "reload: ")
    }

    /// Waits until the log after `start` has a complete line with `wanted`, and returns that log.
    #[allow(
        clippy::disallowed_methods,
        reason = "no runtime: the server is another process"
    )]
    fn wait_for(&self, start: usize, wanted: &str) -> String {
        for _ in 0..600 {
            let log = self.log.lock().unwrap()[start..].to_owned();
            if log
                .split_inclusive('\n')
                .any(|line| line.contains(wanted) && line.ends_with('\n'))
            {
                return log;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        panic!("{wanted} was not logged: {}", self.log.lock().unwrap());
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A configuration file, which is removed after the test.
struct File {
    path: PathBuf,
    /// The gateway puts its database beside the file.
    folder: TempDir,
}

impl File {
    fn new(name: &str, text: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        let file = Self { path, folder };
        file.write(text);
        file
    }

    fn write(&self, text: &str) {
        fs::write(&self.path, text).unwrap();
    }

    fn path(&self) -> &str {
        self.path.to_str().unwrap()
    }
}

/// A configuration of one model, whose upstream does not exist.
fn config(model: &str) -> String {
    format!(
        "model_list:\n  - model_name: {model}\n    litellm_params:\n      \
         model: together_ai/some/model\n      api_key: any\n      \
         api_base: http://127.0.0.1:1\n"
    )
}

#[test]
fn a_hangup_reloads_a_good_configuration_and_keeps_the_old_one_for_a_bad_one() {
    let file = File::new("reload.yaml", &config("alpha"));
    let mut gateway = Gateway::start(&["--config", file.path()]);
    assert_eq!(gateway.models(), ["alpha"]);

    file.write(&config("beta"));
    let log = gateway.reload();
    assert!(log.contains("in force; models: beta"), "{log}");
    assert_eq!(gateway.models(), ["beta"]);

    file.write(
        "model_list:\n  - model_name: gamma\n    litellm_params: {model: nobody/x, api_key: 5}\n",
    );
    let log = gateway.reload();
    for wanted in [
        "3:",
        "name of a provider",
        "api_key",
        "the old configuration stays",
    ] {
        assert!(log.contains(wanted), "{wanted}: {log}");
    }
    assert_eq!(gateway.models(), ["beta"]);

    fs::remove_file(&file.path).unwrap();
    let log = gateway.reload();
    assert!(log.contains("the old configuration stays"), "{log}");
    assert_eq!(gateway.models(), ["beta"]);

    file.write(&config("delta"));
    gateway.reload();
    assert_eq!(gateway.models(), ["delta"]);
    gateway.signal("-TERM");
    assert!(gateway.child.wait().unwrap().success());
}

#[test]
fn a_log_in_json_has_the_request_of_each_line_and_no_flood() {
    let text = config("alpha") + "litellm_settings:\n  json_logs: true\n  num_retries: 0\n";
    let file = File::new("json.yaml", &text);
    let gateway = Gateway::start(&["--config", file.path()]);
    let body = json!({ "model": "alpha", "messages": [{ "role": "user", "content": "Secret" }] });
    for _ in 0..40 {
        let (status, _) = gateway.send("POST /v1/chat/completions", &body.to_string());
        assert!((500..600).contains(&status), "{status}");
    }
    file.write("model_list: 5\n");
    let log = gateway.reload();
    let lines: Vec<Value> = log
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}")))
        .collect();
    assert!(!lines.is_empty());
    let log = gateway.log.lock().unwrap().clone();
    assert!(!log.contains("Secret"), "{log}");
    let failures = log
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap());
    let failures: Vec<_> = failures
        .filter(|line| line["message"] == "an upstream failed")
        .collect();
    assert_eq!(failures.len(), 20, "{log}");
    for line in failures {
        assert_eq!(line["level"], "WARN");
        let id = line["request"]["id"].as_str().unwrap();
        assert!(id.starts_with("req_"), "{line}");
    }
}

#[test]
fn the_format_of_the_log_can_be_chosen_and_the_dashboard_turned_off() {
    let text = config("alpha") + "litellm_settings:\n  json_logs: true\n";
    let file = File::new("text.yaml", &text);
    let options = ["--config", file.path(), "--log-format", "text", "--no-ui"];
    let gateway = Gateway::start(&options);
    assert!(gateway.reload().contains("\nreload: ") || gateway.reload().starts_with("reload: "));
    assert_eq!(gateway.send("GET /ui/status", "").0, 404);
}

#[test]
fn a_hangup_without_a_configuration_is_ignored_in_one_line() {
    let gateway = Gateway::start(&[]);
    let models = gateway.models();
    let log = gateway.reload();
    // The log may also have lines of the banner.
    let mut lines = log.lines().filter(|line| line.contains("reload: "));
    let line = lines.next().unwrap_or_default();
    assert!(line.contains("ignored") && lines.next().is_none(), "{log}");
    assert_eq!(gateway.models(), models);
}

#[test]
fn a_reload_does_not_open_a_gateway_that_has_a_key() {
    let locked = config("alpha") + "general_settings:\n  master_key: sk-1234\n";
    let file = File::new("locked.yaml", &locked);
    let gateway = Gateway::start(&["--config", file.path()]);
    assert_eq!(gateway.send("GET /v1/models", "").0, 401);
    file.write(&config("beta"));
    let log = gateway.reload();
    assert!(log.contains("master_key") && log.contains("stays"), "{log}");
    assert_eq!(gateway.send("GET /v1/models", "").0, 401);
}

#[test]
fn keys_and_spend_are_kept_beside_the_configuration() {
    let locked = config("alpha") + "general_settings:\n  master_key: sk-1234\n";
    let file = File::new("config.yaml", &locked);
    let mut gateway = Gateway::start(&["--config", file.path()]);
    let (status, made) = gateway.send_with("sk-1234", "POST /key/generate", "{}");
    assert_eq!(status, 200, "{made}");
    let key = made["key"].as_str().unwrap();
    let body = json!({ "model": "alpha", "messages": [{ "role": "user", "content": "x" }] });
    let (status, _) = gateway.send_with(key, "POST /v1/chat/completions", &body.to_string());
    assert_eq!(status, 502);
    gateway.signal("-TERM");
    assert!(gateway.child.wait().unwrap().success());
    assert!(file.folder.path().join("polyllm.db").exists());

    let gateway = Gateway::start(&["--config", file.path()]);
    assert_eq!(gateway.send_with(key, "GET /v1/models", "").0, 200);
    let (_, logs) = gateway.send_with("sk-1234", "GET /spend/logs", "");
    assert_eq!(logs[0]["status"], "failure", "{logs}");
}

#[test]
fn a_database_that_cannot_be_used_is_one_clear_error() {
    let locked = config("alpha") + "general_settings:\n  master_key: sk-1234\n";
    let file = File::new("config.yaml", &locked);
    fs::write(file.folder.path().join("polyllm.db"), "not a database").unwrap();
    let (said, error, status) = run(&mut polyllm(&["serve", "--config", file.path()]));
    assert_eq!((said.as_str(), status), ("", 1), "{error}");
    assert!(
        error.contains("polyllm.db") && error.contains("database_url"),
        "{error}"
    );

    let named = format!("{locked}  database_url: sqlite:/no/such/folder/keys.db\n");
    file.write(&named);
    let (_, error, status) = run(&mut polyllm(&["serve", "--config", file.path()]));
    assert_eq!(status, 1, "{error}");
    assert!(error.contains("/no/such/folder/keys.db"), "{error}");
    let (said, _, status) = run(&mut polyllm(&["check", "--config", file.path()]));
    assert!(
        status == 0 && said.contains("/no/such/folder/keys.db"),
        "{said}"
    );
}

#[test]
fn a_changed_file_is_reloaded_without_a_signal() {
    let file = File::new("watched.yaml", &config("alpha"));
    let gateway = Gateway::start(&["--config", file.path()]);
    assert_eq!(gateway.models(), ["alpha"]);
    let start = gateway.log.lock().unwrap().len();
    // A rename, as editors do it.
    let other = file.folder.path().join("other.yaml");
    fs::write(&other, config("second")).unwrap();
    fs::rename(&other, &file.path).unwrap();
    gateway.wait_for(start, "in force; models: second");
    assert_eq!(gateway.models(), ["second"]);
    let start = gateway.log.lock().unwrap().len();
    file.write("model_list: [");
    gateway.wait_for(start, "the old configuration stays");
    assert_eq!(gateway.models(), ["second"]);
}

#[test]
fn a_gateway_without_a_key_says_who_can_use_it() {
    for host in ["127.0.0.1", "localhost"] {
        let open = Gateway::start(&["--host", host]);
        let log = open.wait_for(0, "master_key");
        let expected = "every user and program of this machine";
        assert!(log.contains(expected), "{log}");
    }
    let open = Gateway::start(&["--host", "0.0.0.0"]);
    let log = open.wait_for(0, "master_key");
    assert!(log.contains("everyone who can reach"), "{log}");
}

#[test]
fn a_client_cannot_forge_a_line_of_the_log_or_reach_the_terminal() {
    let gateway = Gateway::start(&["-v"]);
    gateway.wait_for(0, "serving");
    let start = gateway.log.lock().unwrap().len();
    let body = json!({
        "model": "x\n2026-01-01 WARN forged\u{1b}[2J\0",
        "messages": [{ "role": "user", "content": "x" }],
    });
    let (status, answer) = gateway.send("POST /v1/chat/completions", &body.to_string());
    assert_eq!(status, 404, "{answer}");
    assert_eq!(gateway.send("GET /%1b%0a", "").0, 404);
    let log = gateway.wait_for(start, "%1b");
    assert_eq!(log.lines().count(), 2, "{log}");
    assert!(!log.contains(['\u{1b}', '\0']), "{log:?}");
    assert!(!log.contains("an upstream failed"), "{log}");
}

const README: &str = include_str!("../../../README.md");

#[test]
fn the_curl_lines_of_the_readme_work_as_written() {
    let gateway = Gateway::start(&[]);
    let mut lines = README.lines().map(str::trim_start);
    let mut tried = 0;
    while let Some(line) = lines.by_ref().find(|line| line.starts_with("$ curl ")) {
        let mut command = line.trim_start_matches("$ ").to_owned();
        while command.matches('\'').count() % 2 == 1 {
            command.push('\n');
            command.push_str(lines.next().unwrap());
        }
        let here = command.replace("127.0.0.1:4000", &gateway.address);
        assert_ne!(here, command);
        let here = here.replacen("curl ", "curl --silent --show-error --fail-with-body ", 1);
        let output = Command::new("sh").args(["-c", &here]).output().unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success(), "{here}: {said}");
        let answer: Value = serde_json::from_str(&said).unwrap();
        if command.contains("/rerank") {
            assert_eq!(answer["results"][0]["index"], 1, "{answer}");
        }
        tried += 1;
    }
    assert_eq!(tried, README.matches("$ curl ").count());
    assert!(tried > 0);
}

#[test]
fn the_python_lines_of_the_readme_name_a_model_that_the_gateway_serves() {
    let gateway = Gateway::start(&[]);
    let (_, after) = README.split_once("model=\"").unwrap();
    let (model, _) = after.split_once('"').unwrap();
    let body = json!({ "model": model, "messages": [{ "role": "user", "content": "Hi" }] });
    let (status, answer) = gateway.send("POST /v1/chat/completions", &body.to_string());
    assert_eq!(status, 200, "{answer}");
}
