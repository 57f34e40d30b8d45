//! The servers under test.

use std::fs::{self, File};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use serde_json::Value;

use super::clean;
use super::process::{ChildProcess, Output};

/// Three simulations, one without delays and one with rate limits, and two gateways, one of them with
/// a configuration. They run until this is dropped.
pub(super) struct Servers {
    addresses: Vec<(&'static str, String)>,
    _running: [Server; 5],
}

impl Servers {
    /// Starts all servers with the binary `polyllm` and waits until they listen.
    pub(super) fn start(polyllm: &Path, logs: &Path) -> Result<Self> {
        let scripted = ["sim", "--json", "--script", "xtask/clients/script.json"];
        let sim = Server::start("sim", clean(polyllm).args(scripted), logs)?;
        let mut instant = clean(polyllm);
        let instant = Server::start("instant", instant.args(scripted).arg("--instant"), logs)?;
        // Two requests for each key and model: no check needs more.
        let limits = [
            "--together-requests",
            "2/h",
            "--together-tokens",
            "100000/h",
        ];
        let mut limited = clean(polyllm);
        limited.args(["sim", "--json", "--instant"]).args(limits);
        let limited = Server::start("limited", &mut limited, logs)?;
        let serve = ["serve", "--port", "0", "--json"];
        let demo = Server::start("demo", clean(polyllm).args(serve), logs)?;
        let mut addresses = vec![
            ("TOGETHER_URL", sim.field("together")?),
            ("REPLICATE_URL", sim.field("replicate")?),
            ("INSTANT_URL", instant.field("together")?),
            ("LIMITED_URL", limited.field("together")?),
            ("DEMO_URL", demo.field("url")?),
            ("GATEWAY_KEY", "sk-check-1234".to_owned()),
        ];
        let mut gateway = clean(polyllm);
        gateway
            .args(serve)
            .args(["--config", "xtask/clients/config.yaml"])
            .args(["--store-responses", "1h"]);
        let gateway = Server::start("gateway", gateway.envs(addresses.iter().cloned()), logs)?;
        addresses.push(("GATEWAY_URL", gateway.field("url")?));
        Ok(Self {
            addresses,
            _running: [sim, instant, limited, demo, gateway],
        })
    }

    /// The addresses of the servers, as environment variables for the scripts.
    pub(super) fn addresses(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.addresses
            .iter()
            .map(|(name, value)| (*name, value.as_str()))
    }
}

/// A `polyllm` that listens, until dropped.
pub(crate) struct Server {
    name: String,
    /// The JSON that it printed when it began to listen.
    ready: Value,
    _process: ChildProcess,
}

impl Server {
    /// Starts a server and reads the line of JSON that it prints when it listens.
    pub(crate) fn start(name: &str, command: &mut Command, logs: &Path) -> Result<Self> {
        let path = logs.join(format!("{name}.log"));
        let log =
            File::create(&path).with_context(|| format!("cannot write {}", path.display()))?;
        let process = ChildProcess::start(command.stderr(log))?;
        let logged = || fs::read_to_string(&path).unwrap_or_default();
        match process.line(Instant::now() + START_TIMEOUT) {
            Output::Line(line) => {
                let ready = serde_json::from_str(&line)
                    .with_context(|| format!("{name} printed no JSON with --json: {line}"))?;
                Ok(Self {
                    name: name.to_owned(),
                    ready,
                    _process: process,
                })
            }
            Output::End => bail!("{name} ended before it listened:\n{}", logged()),
            Output::Timeout => bail!(
                "{name} does not listen after {START_TIMEOUT:?}:\n{}",
                logged()
            ),
        }
    }

    /// A member of the JSON that it printed when it began to listen.
    pub(crate) fn field(&self, key: &str) -> Result<String> {
        let value = match &self.ready[key] {
            Value::String(text) => Some(text.clone()),
            Value::Number(number) => Some(number.to_string()),
            _ => None,
        };
        value.ok_or_else(|| anyhow!("{} did not print its {key}: {}", self.name, self.ready))
    }
}

const START_TIMEOUT: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clients::process::watched;
    use crate::tool;

    #[track_caller]
    fn start(name: &str, shell: &str) -> Result<Server> {
        let logs = tool::scratch(name);
        Server::start("test", watched("sh").arg("-c").arg(shell), &logs)
    }

    #[test]
    fn a_server_is_ready_when_it_prints_its_address() {
        let server = start(
            "ready",
            "echo '{\"url\": \"http://127.0.0.1:1\"}'; exec sleep 60",
        )
        .unwrap();
        assert_eq!(server.field("url").unwrap(), "http://127.0.0.1:1");
        let error = server.field("together").unwrap_err().to_string();
        assert!(
            error.starts_with("test did not print its together"),
            "{error}"
        );
    }

    #[test]
    fn the_error_for_a_server_that_ends_has_its_log() {
        let error = start("ended", "echo 'no config' >&2; exit 1")
            .err()
            .map(|error| error.to_string());
        assert_eq!(
            error.as_deref(),
            Some("test ended before it listened:\nno config\n")
        );
    }
}
