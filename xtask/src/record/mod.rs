//! `cargo xtask fixtures --record`: exchanges with the real upstreams, without private data.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use lexopt::{Arg, ValueExt};
use serde_json::{Value, json};

use self::compare::differences;
use self::exchanges::{Exchange, PROVIDERS, Provider};
use self::http::{Request, Response};
use self::scrub::Scrubber;
use crate::clients::servers::Server;
use crate::clients::{self, clean};
use crate::tool;

mod compare;
mod exchanges;
mod http;
mod scrub;
mod shape;

/// Runs `cargo xtask fixtures --record` with the options that follow.
pub(crate) fn run(mut args: lexopt::Parser) -> Result<()> {
    let mut options = Options::default();
    let (mut only_check, mut against_simulation) = (false, false);
    while let Some(arg) = args.next()? {
        match arg {
            Arg::Long("provider") => options.only(&args.value()?.string()?)?,
            Arg::Long("model") => options.model(&args.value()?.string()?)?,
            Arg::Long("against") => match args.value()?.string()?.as_str() {
                "simulation" => against_simulation = true,
                other => {
                    let message = format!("cannot record against '{other}', only simulation");
                    return Err(lexopt::Error::from(message).into());
                }
            },
            Arg::Long("check") => only_check = true,
            _ => return Err(arg.unexpected().into()),
        }
    }
    if only_check {
        let compared = check_recordings(&options)?;
        println!("the simulation agrees with {compared} recordings");
        Ok(())
    } else if against_simulation {
        check_itself(&options)
    } else {
        record_upstreams(&options)
    }
}

/// The providers and models to record.
#[derive(Default)]
struct Options {
    provider: Option<&'static str>,
    models: Vec<(String, String)>,
}

impl Options {
    fn only(&mut self, name: &str) -> Result<()> {
        let found = PROVIDERS.iter().find(|provider| provider.name == name);
        let found = found.ok_or_else(|| {
            let names: Vec<_> = PROVIDERS.iter().map(|provider| provider.name).collect();
            let names = names.join(", ");
            lexopt::Error::from(format!(
                "unknown provider '{name}'; the providers are {names}"
            ))
        })?;
        self.provider = Some(found.name);
        Ok(())
    }

    fn model(&mut self, text: &str) -> Result<()> {
        let kinds: Vec<_> = PROVIDERS.iter().flat_map(|one| one.models).collect();
        let kinds: Vec<_> = kinds.into_iter().map(|(kind, _)| *kind).collect();
        let chosen = text.split_once('=');
        let chosen = chosen.filter(|(kind, model)| kinds.contains(kind) && !model.is_empty());
        let (kind, model) = chosen.ok_or_else(|| {
            let kinds = kinds.join(", ");
            lexopt::Error::from(format!(
                "--model needs KIND=MODEL, not '{text}'; the kinds are {kinds}"
            ))
        })?;
        self.models.push((kind.to_owned(), model.to_owned()));
        Ok(())
    }

    fn providers(&self) -> impl Iterator<Item = &'static Provider> {
        let only = self.provider;
        PROVIDERS
            .iter()
            .filter(move |provider| only.is_none_or(|name| name == provider.name))
    }
}

/// Where a provider is reached, and with which key.
struct Upstream {
    base: String,
    key: String,
}

fn record_upstreams(options: &Options) -> Result<()> {
    let folder = tool::root().join("fixtures").join(FOLDER);
    let mut recorded = 0;
    for provider in options.providers() {
        let Some(key) = first_variable(provider.keys) else {
            println!("{}: no key in {}", provider.name, provider.keys.join(", "));
            continue;
        };
        let base = provider.base.to_owned();
        recorded += record(provider, &Upstream { base, key }, options, &folder)?;
    }
    ensure!(
        recorded > 0,
        "nothing was recorded: set the key of a provider"
    );
    println!("wrote {recorded} exchanges into {}", folder.display());
    check_recordings(options).map(drop)
}

/// Compares the simulation with the recordings under `fixtures`; returns how many there are.
fn check_recordings(options: &Options) -> Result<usize> {
    let folder = tool::root().join("fixtures").join(FOLDER);
    if !folder.is_dir() {
        return Ok(0);
    }
    compare_all(&folder, options, &Simulation::start()?)
}

/// Records the simulation, and compares it with these recordings.
fn check_itself(options: &Options) -> Result<()> {
    let folder = tool::target()?.join("recorder").join(FOLDER);
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    let simulation = Simulation::start()?;
    let mut recorded = 0;
    for provider in options.providers() {
        recorded += record(provider, &simulation.upstream(provider)?, options, &folder)?;
    }
    let compared = compare_all(&folder, options, &simulation)?;
    ensure!(
        compared == recorded && recorded > 0,
        "recorded {recorded} exchanges, and compared {compared}"
    );
    println!("the recorder stored {recorded} exchanges of the simulation, and found them the same");
    Ok(())
}

/// The check of `cargo xtask ci`: the recorder works, and the simulation agrees with the recordings.
pub(crate) fn check() -> Result<()> {
    let options = Options::default();
    check_itself(&options)?;
    let compared = check_recordings(&options)?;
    println!("the simulation agrees with {compared} recordings");
    Ok(())
}

/// Why the check cannot run on this machine.
pub(crate) fn missing() -> Option<String> {
    http::missing()
}

/// Sends a provider's exchanges and writes what came back; returns how many there were.
fn record(
    provider: &Provider,
    upstream: &Upstream,
    options: &Options,
    folder: &Path,
) -> Result<usize> {
    let exchanges = provider.exchanges(&options.models);
    let answers = send(&exchanges, upstream)?;
    let mut scrubber = Scrubber::new([upstream.key.as_str()]);
    for (exchange, (_, response)) in exchanges.iter().zip(&answers) {
        scrubber.learn(response, exchange.names_account);
        scrubber.keep(exchange);
    }
    let mut files = Vec::new();
    for (exchange, (request, response)) in exchanges.iter().zip(&answers) {
        if exchange.is_private {
            continue;
        }
        let stored = stored(exchange, request, response, &upstream.base, &mut scrubber);
        let text = format!("{}\n", serde_json::to_string_pretty(&stored)?);
        scrubber
            .verify(&text)
            .with_context(|| format!("{}/{} cannot be stored", provider.name, exchange.name))?;
        files.push((exchange.name, text));
    }
    let folder = folder.join(provider.name);
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    for (name, text) in &files {
        fs::write(folder.join(format!("{name}.json")), text)?;
    }
    Ok(files.len())
}

/// Sends exchanges in order: one may follow a link in an earlier answer.
fn send(exchanges: &[Exchange], upstream: &Upstream) -> Result<Vec<(Request, Response)>> {
    let mut answers: Vec<(Request, Response)> = Vec::new();
    for exchange in exchanges {
        let linked = |of: &str, pointer: &str| {
            let at = exchanges.iter().position(|other| other.name == of);
            let (_, response) = at.and_then(|at| answers.get(at))?;
            Some(response.json()?.pointer(pointer)?.as_str()?.to_owned())
        };
        let request = exchange
            .request(&upstream.base, &upstream.key, linked)
            .with_context(|| format!("cannot send {}", exchange.name))?;
        let response = http::send(&request).with_context(|| format!("{} failed", exchange.name))?;
        println!("{:>4} {}", response.status, exchange.name);
        answers.push((request, response));
    }
    Ok(answers)
}

/// The content of a recording.
fn stored(
    exchange: &Exchange,
    request: &Request,
    response: &Response,
    base: &str,
    scrubber: &mut Scrubber,
) -> Value {
    let path = request.url.strip_prefix(base).unwrap_or(&request.url);
    let mut sent = json!({ "method": exchange.method, "path": scrubber.text(path) });
    if let Some(body) = &exchange.body {
        sent["body"] = body.clone();
    }
    let mut received = json!({
        "status": response.status,
        "content_type": response.content_type,
    });
    match response.json() {
        Some(mut body) => {
            exchange.shorten(&mut body);
            scrubber.value("", &mut body);
            received["body"] = body;
        }
        None => {
            let lines = response.text.lines().map(|line| scrubber.line(line));
            received["lines"] = lines.collect();
        }
    }
    json!({ "request": sent, "response": received })
}

/// Compares the simulation with all recordings of a folder. Fails if one differs.
fn compare_all(folder: &Path, options: &Options, simulation: &Simulation) -> Result<usize> {
    let (mut compared, mut wrong) = (0, 0);
    for provider in options.providers() {
        let folder = folder.join(provider.name);
        if !folder.is_dir() {
            continue;
        }
        let exchanges = provider.exchanges(&options.models);
        let answers = send(&exchanges, &simulation.upstream(provider)?)?;
        for (exchange, (_, simulated)) in exchanges.iter().zip(&answers) {
            let path = folder.join(format!("{}.json", exchange.name));
            if !path.is_file() {
                continue;
            }
            let recorded = read(&path)?;
            let differences = differences(&recorded, simulated);
            for difference in &differences {
                println!("{}/{}: {difference}", provider.name, exchange.name);
            }
            compared += 1;
            wrong += usize::from(!differences.is_empty());
        }
    }
    if wrong > 0 {
        bail!(
            "the simulation differs from {wrong} of {compared} recordings: correct crates/llm-sim"
        );
    }
    Ok(compared)
}

/// The response of a recording.
fn read(path: &Path) -> Result<Response> {
    let text = fs::read_to_string(path)?;
    let stored: Value =
        serde_json::from_str(&text).with_context(|| format!("{} is not JSON", path.display()))?;
    let response = &stored["response"];
    let text = match response.get("lines").and_then(Value::as_array) {
        Some(lines) => lines
            .iter()
            .filter_map(Value::as_str)
            .map(|line| format!("{line}\n"))
            .collect(),
        None => response["body"].to_string(),
    };
    let status = response["status"]
        .as_u64()
        .and_then(|status| u16::try_from(status).ok());
    Ok(Response {
        status: status.with_context(|| format!("{} has no status", path.display()))?,
        content_type: response["content_type"]
            .as_str()
            .unwrap_or_default()
            .to_owned(),
        text,
    })
}

/// The simulated upstreams, until dropped.
struct Simulation {
    server: Server,
}

impl Simulation {
    fn start() -> Result<Self> {
        let polyllm = clients::polyllm(false)?;
        let logs: PathBuf = tool::target()?.join("recorder");
        fs::create_dir_all(&logs)?;
        let mut command = clean(&polyllm);
        command.args(["sim", "--json", "--instant"]);
        let server = Server::start("sim", &mut command, &logs)?;
        Ok(Self { server })
    }

    fn upstream(&self, provider: &Provider) -> Result<Upstream> {
        let base = self.server.field(provider.name)?;
        let base = base.trim_end_matches("/v1").to_owned();
        // Has the form of a key, so that the scrubber would find it.
        let key = "any-key-5a8f1c0b2d".to_owned();
        Ok(Upstream { base, key })
    }
}

fn first_variable(names: &[&str]) -> Option<String> {
    let values = names.iter().filter_map(|name| std::env::var(name).ok());
    let mut values = values.map(|value| value.trim().to_owned());
    values.find(|value| !value.is_empty())
}

/// The folder of the recordings in `fixtures`.
const FOLDER: &str = "recorded";

#[cfg(test)]
mod tests;
