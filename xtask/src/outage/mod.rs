//! `cargo xtask outage`: what an outage of Redis costs the clients of a gateway.

mod load;
mod report;

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use lexopt::Arg;
use serde_json::json;

use self::load::Load;
use self::report::{Phase, Report};
use crate::clients::servers::Server;
use crate::clients::{self, clean};
use crate::http::{self, Request};
use crate::services::engine::{REDIS, Running};
use crate::soak::process::Process;
use crate::tool;

pub(crate) const COMMAND: crate::Command = crate::Command {
    name: "outage",
    usage: "[--seconds N] [--json] [--release]",
    about: "Measure a gateway whose Redis freezes and is killed under load",
    details: "\
Starts Redis, simulated upstreams and a gateway that keeps limits, cooldowns, sessions and the limits of a
key in Redis. Clients send chats at a constant rate while Redis is up, is frozen (SIGSTOP), goes on, is
killed (SIGKILL) and is started again. Prints for each phase the requests and errors, the time up to the
reply, the processor time of the gateway per request and the lines of its log. Fails if a request fails, if
the log has more lines than the changes explain, or if times are far above those with Redis.

  --seconds N  how long Redis is frozen; 30 by default. The other phases are a third as long
  --json       print a line of JSON per phase
  --release    use the binary that is released (profile dist)

Needs Linux and Redis (`apt-get install redis-server`). The logs are in target/outage.",
    run,
};

fn run(mut args: lexopt::Parser) -> Result<()> {
    let (mut seconds, mut is_json, mut release) = (30.0, false, false);
    while let Some(arg) = args.next()? {
        match arg {
            Arg::Long("seconds") => seconds = lexopt::ValueExt::parse(&args.value()?)?,
            Arg::Long("json") => is_json = true,
            Arg::Long("release") => release = true,
            _ => return Err(arg.unexpected().into()),
        }
    }
    let frozen = Duration::try_from_secs_f64(seconds)
        .map_err(|_| lexopt::Error::from("--seconds: give a positive number"))?;
    if let Some(why) = missing() {
        bail!(why);
    }
    check(frozen, is_json, release)
}

/// Why it cannot run on this machine.
pub(crate) fn missing() -> Option<String> {
    (!REDIS.is_installed()).then(|| "not installed: redis-server".to_owned())
}

/// Runs all phases, and prints what was measured.
pub(crate) fn check(frozen: Duration, is_json: bool, release: bool) -> Result<()> {
    let binary = clients::polyllm(release)?;
    let folder = tool::target()?.join("outage");
    let report = Scene::start(&binary, &folder)?.play(frozen)?;
    match is_json {
        true => print!("{}", report.json()),
        false => print!("{}", report.text()),
    }
    let problems = report.problems();
    if !problems.is_empty() {
        bail!(
            "{}; the logs are in {}",
            problems.join("; "),
            folder.display()
        );
    }
    Ok(())
}

/// The processes, and the load.
struct Scene {
    redis: Running,
    process: Process,
    log: PathBuf,
    load: Load,
    _servers: [Server; 2],
}

impl Scene {
    fn start(binary: &Path, folder: &Path) -> Result<Self> {
        if folder.exists() {
            fs::remove_dir_all(folder)
                .with_context(|| format!("cannot empty {}", folder.display()))?;
        }
        fs::create_dir_all(folder)
            .with_context(|| format!("cannot create {}", folder.display()))?;
        let redis = REDIS.start()?;
        let mut sim = clean(binary);
        let sim = Server::start("sim", sim.args(["sim", "--json", "--instant"]), folder)?;
        let config = folder.join("config.yaml");
        fs::write(&config, config_of(&sim.field("together")?, &redis.url()))?;
        let mut serve = clean(binary);
        serve.args(["serve", "--json", "--no-ui", "--port", "0", "--config"]);
        let gateway = Server::start("gateway", serve.arg(&config), folder)?;
        let process = Process::new(&gateway.field("pid")?)?;
        let url = gateway.field("url")?;
        let address = url.trim_start_matches("http://");
        // Limits that are counted in Redis and never reached.
        let limits = json!({ "rpm_limit": 10_000_000, "tpm_limit": 1_000_000_000 });
        let limits = limits.to_string();
        let made = http::json(address, Request::new("POST /key/generate", MASTER, &limits))?;
        let key = made["key"].as_str().context("no key was generated")?;
        Ok(Self {
            load: Load::start(address, key),
            redis,
            process,
            log: folder.join("gateway.log"),
            _servers: [sim, gateway],
        })
    }

    fn play(mut self, frozen: Duration) -> Result<Report> {
        let other = frozen / 3;
        // Connections and buffers are made by the first requests.
        self.phase("warm-up", WARM_UP)?;
        let mut phases = vec![self.phase("up", other)?];
        self.redis.signal("STOP")?;
        let phase = self.phase("frozen", frozen);
        self.redis.signal("CONT")?;
        phases.push(phase?);
        phases.push(self.phase("goes on", other)?);
        self.redis.kill()?;
        phases.push(self.phase("killed", other)?);
        self.redis.restart()?;
        phases.push(self.phase("started again", other)?);
        self.load.stop();
        Ok(Report { phases })
    }

    /// Lets the clients go on, and returns what they and the gateway did meanwhile.
    fn phase(&self, name: &'static str, time: Duration) -> Result<Phase> {
        eprintln!("Redis: {name}, {:.0} s", time.as_secs_f64());
        let (lines, processor) = (self.lines()?, self.process.processor_time()?);
        self.load.take();
        thread::sleep(time);
        let mut replies = self.load.take();
        replies.times.sort_unstable();
        Ok(Phase {
            name,
            replies,
            processor: self.process.processor_time()?.saturating_sub(processor),
            lines: self.lines()?.saturating_sub(lines),
        })
    }

    /// The lines of the gateway's log so far.
    fn lines(&self) -> Result<usize> {
        Ok(fs::read_to_string(&self.log)?.lines().count())
    }
}

/// Two deployments with limits.
fn config_of(sim: &str, redis: &str) -> String {
    let deployment = |id: &str| {
        format!(
            "  - model_name: chat\n    litellm_params:\n      \
             model: together_ai/meta-llama/Llama-3.3-70B-Instruct-Turbo\n      api_base: {sim}\n      \
             api_key: account-{id}\n      rpm: 10000000\n    model_info: {{id: {id}}}\n"
        )
    };
    format!(
        "model_list:\n{}{}router_settings:\n  redis_url: {redis}\n  num_retries: 1\n\
         general_settings:\n  master_key: {MASTER}\n",
        deployment("one"),
        deployment("other"),
    )
}

const MASTER: &str = "sk-outage-master-key";
const WARM_UP: Duration = Duration::from_secs(2);
