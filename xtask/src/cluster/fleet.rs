//! The processes of a cluster: three gateways over PostgreSQL and Redis, and simulated upstreams.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::clients::clean;
use crate::clients::servers::Server;
use crate::http::{self, Request};
use crate::services::engine::{self, REDIS};
use crate::services::postgres::Postgres;

/// How many gateways there are.
pub(super) const GATEWAYS: usize = 3;

/// The key of the operator.
pub(super) const MASTER: &str = "sk-cluster-master-key";

/// All processes. They are killed when this is dropped.
pub(super) struct Fleet {
    binary: PathBuf,
    folder: PathBuf,
    pub(super) redis: engine::Running,
    pub(super) postgres: Postgres,
    /// The simulated Together, as `HOST:PORT`.
    pub(super) sim: String,
    _sim: Server,
    gateways: Vec<Gateway>,
    /// When gateways were killed: which one, and milliseconds since the start.
    pub(super) kills: Vec<(usize, u64)>,
    start: Instant,
}

struct Gateway {
    address: String,
    /// `None` while it is killed.
    process: Option<Server>,
    /// How often it was started.
    starts: usize,
}

impl Fleet {
    /// Starts all processes, with their logs in a folder.
    pub(super) fn start(binary: &Path, folder: &Path) -> Result<Self> {
        fs::create_dir_all(folder)
            .with_context(|| format!("cannot create {}", folder.display()))?;
        let (redis, postgres) = (REDIS.start()?, Postgres::start()?);
        let mut sim = clean(binary);
        sim.args(["sim", "--json", "--first-token", "30ms", "--token", "4ms"]);
        let sim_process = Server::start("sim", &mut sim, folder)?;
        let url = sim_process.field("together")?;
        let sim = place(&url).to_owned();
        fs::write(folder.join("config.yaml"), config(&url, &redis, &postgres))?;
        let mut fleet = Self {
            binary: binary.to_owned(),
            folder: folder.to_owned(),
            redis,
            postgres,
            sim,
            _sim: sim_process,
            gateways: Vec::new(),
            kills: Vec::new(),
            start: Instant::now(),
        };
        for index in 0..GATEWAYS {
            let process = fleet.launch(index, 0, "0")?;
            let address = place(&process.field("url")?).to_owned();
            fleet.gateways.push(Gateway {
                address,
                process: Some(process),
                starts: 1,
            });
        }
        Ok(fleet)
    }

    /// The addresses of the gateways, as `HOST:PORT`.
    pub(super) fn addresses(&self) -> Vec<String> {
        let addresses = self.gateways.iter().map(|gateway| &gateway.address);
        addresses.cloned().collect()
    }

    /// The beginning of all times.
    pub(super) fn start_time(&self) -> Instant {
        self.start
    }

    /// Milliseconds since the start.
    pub(super) fn now(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// How many processes of gateways there have been.
    pub(super) fn starts(&self) -> usize {
        self.gateways.iter().map(|gateway| gateway.starts).sum()
    }

    /// Kills a gateway (SIGKILL).
    pub(super) fn kill(&mut self, index: usize) {
        if let Some(gateway) = self.gateways.get_mut(index) {
            drop(gateway.process.take());
        }
        self.kills.push((index, self.now()));
    }

    /// Starts a killed gateway again, at the same address.
    pub(super) fn revive(&mut self, index: usize) -> Result<()> {
        let gateway = self.gateways.get(index).context("no such gateway")?;
        let (_, port) = gateway.address.rsplit_once(':').context("no port")?;
        let (port, starts) = (port.to_owned(), gateway.starts);
        let process = self.launch(index, starts, &port)?;
        if let Some(gateway) = self.gateways.get_mut(index) {
            gateway.process = Some(process);
            gateway.starts += 1;
        }
        Ok(())
    }

    fn launch(&self, index: usize, starts: usize, port: &str) -> Result<Server> {
        let mut serve = clean(&self.binary);
        serve.args(["serve", "--json", "--no-ui", "--port", port, "--config"]);
        serve.arg(self.folder.join("config.yaml"));
        let name = format!("gateway-{index}-{starts}");
        Server::start(&name, &mut serve, &self.folder)
    }

    /// An operation of the operator at a gateway.
    pub(super) fn operate(&self, index: usize, line: &str, body: &str) -> Result<Value> {
        let gateway = self.gateways.get(index).context("no such gateway")?;
        http::json(&gateway.address, Request::new(line, MASTER, body))
    }

    /// Lets the next `times` calls of the simulation fail.
    pub(super) fn inject(&self, fault: &str, times: usize) -> Result<()> {
        let line = format!("POST /_sim/faults?path=/chat&times={times}");
        http::json(&self.sim, Request::new(&line, "none", fault))?;
        Ok(())
    }

    /// Waits until every gateway reports that it is connected to the database.
    pub(super) fn wait_for_database(&self) -> Result<()> {
        let deadline = Instant::now() + RECOVERY;
        for index in 0..GATEWAYS {
            while self.operate(index, "GET /health/readiness", "")?["db"] != "connected" {
                if Instant::now() > deadline {
                    bail!("gateway {index} does not find the database within {RECOVERY:?}");
                }
                thread::sleep(Duration::from_millis(100));
            }
        }
        Ok(())
    }
}

/// The longest time from the start of PostgreSQL until a gateway uses it again.
const RECOVERY: Duration = Duration::from_secs(15);

/// Two deployments of one model. Without cooldowns, a call fails only if its own attempts did.
fn config(sim: &str, redis: &engine::Running, postgres: &Postgres) -> String {
    let deployment = |id: &str| {
        format!(
            "  - model_name: chat\n    litellm_params:\n      \
             model: together_ai/meta-llama/Llama-3.3-70B-Instruct-Turbo\n      \
             api_base: {sim}\n      api_key: account-{id}\n      \
             input_cost_per_token: {PROMPT_PRICE}\n      output_cost_per_token: {REPLY_PRICE}\n    \
             model_info: {{id: {id}}}\n"
        )
    };
    format!(
        "model_list:\n{}{}router_settings:\n  redis_url: {}\n  num_retries: 1\n  disable_cooldowns: true\n\
         litellm_settings:\n  cache: true\n  cache_params: {{type: redis, url: {}, mode: default_off}}\n\
         general_settings:\n  master_key: {MASTER}\n  database_url: {}/postgres\n",
        deployment("one"),
        deployment("other"),
        redis.url(),
        redis.url(),
        postgres.url(),
    )
}

/// The prices of a token, in dollars.
pub(super) const PROMPT_PRICE: f64 = 0.001;
pub(super) const REPLY_PRICE: f64 = 0.002;

/// The `HOST:PORT` of a URL.
fn place(url: &str) -> &str {
    url.split_once("://").map_or(url, |(_, place)| place)
}
