//! Which hosts a process contacts: only the configured upstreams. Every host but this machine is
//! reached through a proxy that lists the requests.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::sync::{Arc, Mutex};

use serde_json::json;

use crate::Gateway;
use crate::common::{polyllm, run};

/// A proxy that answers every request itself, and the hosts that were requested.
struct Proxy {
    address: String,
    hosts: Arc<Mutex<BTreeSet<String>>>,
}

impl Proxy {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let hosts = Arc::<Mutex<BTreeSet<String>>>::default();
        let seen = Arc::clone(&hosts);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                // A client that disconnects early is not an error of the proxy.
                let _ = answer(&stream, &seen);
            }
        });
        Self { address, hosts }
    }

    /// Makes a command use this proxy for every other host.
    fn serve(&self, command: &mut Command) {
        for variable in ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"] {
            command.env(variable, &self.address);
            command.env(variable.to_lowercase(), &self.address);
        }
        command.env_remove("NO_PROXY").env_remove("no_proxy");
    }

    fn hosts(&self) -> Vec<String> {
        self.hosts.lock().unwrap().iter().cloned().collect()
    }
}

fn answer(mut stream: &TcpStream, hosts: &Mutex<BTreeSet<String>>) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream);
    let (mut head, mut length) = (Vec::new(), 0);
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
        if line.trim().is_empty() {
            break;
        }
        head.push(line);
    }
    reader.take(length).read_to_end(&mut Vec::new())?;
    let target = head.first().and_then(|line| line.split(' ').nth(1));
    let target = target.unwrap_or_default().to_owned();
    let host = target.trim_start_matches("http://").split('/').next();
    hosts
        .lock()
        .unwrap()
        .insert(host.unwrap_or_default().to_owned());
    // A tunnel, for TLS, is refused.
    let (status, body) = match target.starts_with("http://") {
        true => (200, ANSWER),
        false => (403, ""),
    };
    write!(
        stream,
        "HTTP/1.1 {status} x\r\ncontent-type: application/json\r\nconnection: close\r\n\
         content-length: {}\r\n\r\n{body}",
        body.len()
    )
}

#[test]
fn a_gateway_contacts_its_upstreams_only() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("config.yaml");
    fs::write(&config, CONFIG).unwrap();
    let proxy = Proxy::start();
    let mut command = polyllm(&["serve", "--port", "0", "--json", "--config"]);
    proxy.serve(command.arg(&config));
    let gateway = Gateway::run(command);
    let key = "sk-master-of-the-test";
    let (status, models) = gateway.send_with(key, "GET /v1/models", "");
    assert_eq!(status, 200, "{models}");
    assert_eq!(proxy.hosts(), [""; 0], "before the first call");

    let chat = |model: &str| {
        let messages = json!([{ "role": "user", "content": "Hello" }]);
        json!({ "model": model, "messages": messages }).to_string()
    };
    let (status, reply) = gateway.send_with(key, "POST /v1/chat/completions", &chat("one"));
    assert_eq!(status, 200, "{reply}");
    let (status, reply) = gateway.send_with(key, "POST /v1/chat/completions", &chat("two"));
    assert_eq!(status, 502, "{reply}");
    let (status, key) = gateway.send_with(key, "POST /key/generate", "{}");
    assert_eq!(status, 200, "{key}");
    gateway.reload();
    assert_eq!(proxy.hosts(), ["one.invalid", "two.invalid:443"]);
}

#[test]
fn commands_without_an_upstream_contact_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("config.yaml");
    fs::write(&config, CONFIG).unwrap();
    let config = config.to_str().unwrap();
    let proxy = Proxy::start();
    for arguments in [
        &["check", "--config", config][..],
        &[
            "chat",
            "--simulate",
            "--model",
            "together_ai/openai/gpt-oss-20b",
            "Hello",
        ],
        &["providers"],
        &["template", "list"],
        &["--version"],
    ] {
        let mut command = polyllm(arguments);
        proxy.serve(&mut command);
        let (_, error, status) = run(&mut command);
        assert_eq!(status, 0, "{arguments:?}: {error}");
    }
    assert_eq!(proxy.hosts(), [""; 0]);
}

const ANSWER: &str = r#"{"id":"1","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"by the proxy"},"finish_reason":"stop"}]}"#;

const CONFIG: &str = "\
model_list:
  - model_name: one
    litellm_params:
      model: together_ai/acme/one
      api_base: http://one.invalid/v1
      api_key: a-key
  - model_name: two
    litellm_params:
      model: openai/two
      api_base: https://two.invalid/v1
      api_key: a-key
general_settings:
  master_key: sk-master-of-the-test
";
