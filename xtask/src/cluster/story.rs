//! What happens to a cluster, in a random order, while its clients send requests.

use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use fastrand::Rng;
use serde_json::{Value, json};

use super::Plan;
use super::audit::{self, Simulation};
use super::fleet::{Fleet, GATEWAYS};
use super::load::{Clients, Key, Shape};
use super::promises::{self, Accounts, Burst, Row, Wallet};
use crate::http::Request;

/// A run of a [`Plan`].
pub(super) struct Story {
    plan: Plan,
    fleet: Fleet,
    clients: Clients,
    simulation: Simulation,
    random: Rng,
    keys: Vec<Arc<Key>>,
    wallets: Vec<Wallet>,
    bursts: Vec<Burst>,
    /// How long it took until every gateway refused a revoked key.
    revocations: Vec<Duration>,
}

/// What may happen without an outage of the database.
#[derive(Clone, Copy, Debug)]
enum Event {
    Faults,
    Kill,
    FreezeRedis,
    KillRedis,
}

impl Story {
    pub(super) fn begin(plan: &Plan, binary: &Path, folder: &Path) -> Result<Self> {
        let fleet = Fleet::start(binary, folder)?;
        let clients = Clients::new(fleet.addresses(), fleet.start_time());
        Ok(Self {
            plan: plan.clone(),
            fleet,
            clients,
            simulation: Simulation::default(),
            random: Rng::with_seed(plan.seed),
            keys: Vec::new(),
            wallets: Vec::new(),
            bursts: Vec::new(),
            revocations: Vec::new(),
        })
    }

    /// Runs to the end, and returns what was found.
    pub(super) fn tell(mut self) -> Result<(Vec<Row>, Vec<String>)> {
        for _ in 0..3 {
            let key = self.key("open", false, json!({}))?;
            self.clients.add(&key);
        }
        let threads = self.clients.start(self.plan.clients, &mut self.random);
        let told = (0..self.plan.rounds).try_for_each(|round| self.round(round));
        self.clients.stop(threads);
        told?;
        self.end()
    }

    /// Everything happens once: first without an outage of the database, within which budgets are
    /// exact, then with one.
    fn round(&mut self, round: usize) -> Result<()> {
        let exact = self.open_wallet(false)?;
        let mut events = [
            Event::Faults,
            Event::Kill,
            Event::FreezeRedis,
            Event::KillRedis,
        ];
        self.random.shuffle(&mut events);
        self.burst("with Redis", 1)?;
        for event in events {
            eprintln!("round {}: {event:?}", round + 1);
            self.happen(event)?;
            self.rest(1_000)?;
            self.revoke()?;
        }
        self.clients.retire(&exact);
        let rough = self.open_wallet(true)?;
        eprintln!("round {}: RestartPostgres", round + 1);
        self.rest(500)?;
        self.fleet.postgres.stop()?;
        self.rest(2_000)?;
        self.fleet.postgres.restart()?;
        self.fleet.wait_for_database()?;
        self.revoke()?;
        // Records that waited are written before a gateway is killed.
        self.rest(6_000)?;
        self.clients.retire(&rough);
        Ok(())
    }

    fn happen(&mut self, event: Event) -> Result<()> {
        match event {
            Event::Faults => {
                for fault in ["status=503", "cut-after=40", "status=500", "cut-after=700"] {
                    self.fleet.inject(fault, 3)?;
                    self.rest(500)?;
                }
            }
            Event::Kill => {
                let index = self.random.usize(0..GATEWAYS);
                self.fleet.kill(index);
                self.rest(500)?;
                self.fleet.revive(index)?;
            }
            Event::FreezeRedis => {
                self.fleet.redis.signal("STOP")?;
                self.rest(300)?;
                let burst = self.burst("without Redis", GATEWAYS);
                self.fleet.redis.signal("CONT")?;
                burst?;
            }
            Event::KillRedis => {
                self.fleet.redis.kill()?;
                self.rest(1_000)?;
                self.fleet.redis.restart()?;
            }
        }
        Ok(())
    }

    /// Lets the clients go on, and reads what the simulation sees before it forgets it.
    fn rest(&mut self, millis: u64) -> Result<()> {
        thread::sleep(Duration::from_millis(millis));
        self.simulation.read(&self.fleet)
    }

    /// A new key.
    fn key(
        &mut self,
        purpose: &'static str,
        is_limited: bool,
        settings: Value,
    ) -> Result<Arc<Key>> {
        let body = settings.to_string();
        let made = self.fleet.operate(0, "POST /key/generate", &body)?;
        let secret = made["key"].as_str().context("no key was generated")?;
        let key = self.clients.key(secret, purpose, is_limited);
        self.keys.push(Arc::clone(&key));
        self.until_known(secret)?;
        Ok(key)
    }

    /// A key with a budget, which the clients use at once.
    fn open_wallet(&mut self, has_outage: bool) -> Result<Arc<Key>> {
        let purpose = if has_outage {
            "budget, outage"
        } else {
            "budget"
        };
        let key = self.key(purpose, true, json!({ "max_budget": BUDGET }))?;
        self.clients.add(&key);
        self.wallets.push(Wallet {
            key: key.index,
            budget: super::nanos(BUDGET),
            has_outage,
        });
        Ok(key)
    }

    /// Sends many requests of a key with rate limits to all gateways.
    fn burst(&mut self, name: &'static str, gateways: usize) -> Result<()> {
        for (limit, tokens) in [(Some(REQUESTS), None), (None, Some(TOKENS))] {
            let settings = json!({ "rpm_limit": limit, "tpm_limit": tokens });
            let key = self.key("rate", true, settings)?;
            let began = Instant::now();
            thread::scope(|scope| {
                for gateway in 0..GATEWAYS {
                    let (clients, key) = (&self.clients, &key);
                    scope.spawn(move || {
                        for _ in 0..2 * REQUESTS {
                            let shape = Shape {
                                max_tokens: 5,
                                ..Shape::default()
                            };
                            clients.send(key, shape, gateway);
                        }
                    });
                }
            });
            self.bursts.push(Burst {
                name,
                key: key.index,
                requests: limit,
                tokens,
                gateways,
                time: began.elapsed(),
            });
        }
        self.simulation.read(&self.fleet)
    }

    /// Revokes a key at one gateway, and waits until all refuse it.
    fn revoke(&mut self) -> Result<()> {
        let key = self.key("revoked", false, json!({}))?;
        let secret = key.secret.as_str();
        let (line, body) = match self.random.u8(0..3) {
            0 => ("POST /key/block", json!({ "key": secret })),
            1 => ("POST /key/regenerate", json!({ "key": secret })),
            _ => ("POST /key/delete", json!({ "keys": [secret] })),
        };
        let index = self.random.usize(0..GATEWAYS);
        self.fleet.operate(index, line, &body.to_string())?;
        let revoked = Instant::now();
        self.until(secret, 401)?;
        self.revocations.push(revoked.elapsed());
        Ok(())
    }

    fn until_known(&self, secret: &str) -> Result<()> {
        self.until(secret, 200)
    }

    /// Waits until all gateways answer a key with a status.
    fn until(&self, secret: &str, status: u16) -> Result<()> {
        let deadline = Instant::now() + MOST_WAIT;
        for address in self.fleet.addresses() {
            let request = Request::new("GET /v1/models", secret, "");
            loop {
                let answered = request.send(&address).map(|response| response.status);
                if answered.as_ref().is_ok_and(|found| *found == status) {
                    break;
                }
                if Instant::now() > deadline {
                    bail!("a key is answered with {answered:?} instead of {status} by {address}");
                }
                thread::sleep(Duration::from_millis(10));
            }
        }
        Ok(())
    }

    /// Waits for what is still running, and compares the accounts.
    fn end(mut self) -> Result<(Vec<Row>, Vec<String>)> {
        let deadline = Instant::now() + Duration::from_secs(10);
        let mut running = usize::MAX;
        while running > 0 && Instant::now() < deadline {
            self.rest(200)?;
            running = self.simulation.running();
        }
        let addresses = self.fleet.addresses();
        let address = addresses.first().context("no gateway")?;
        // More than the interval at which records are written.
        self.rest(2_000)?;
        let accounts = Accounts {
            sent: self.clients.sent(),
            attempts: self.simulation.attempts(),
            records: audit::records(address)?,
            spend: self.spend()?,
            kills: self.fleet.kills.clone(),
            processes: self.fleet.starts(),
            still_running: running,
        };
        Ok(promises::check(
            &accounts,
            &self.keys,
            &self.wallets,
            &self.bursts,
            &self.revocations,
        ))
    }

    /// The spend of each key in nano-dollars, as the budgets have it; deleted keys have none.
    fn spend(&self) -> Result<Vec<(usize, i64)>> {
        let mut all = Vec::new();
        for key in self.keys.iter().filter(|key| key.purpose != "revoked") {
            let line = format!("GET /key/info?key={}", key.secret);
            let info = self.fleet.operate(0, &line, "")?;
            let spend = info["info"]["spend"].as_f64().context("no spend")?;
            all.push((key.index, super::nanos(spend)));
        }
        Ok(all)
    }
}

/// The budget of a key, in dollars: that of a few calls.
const BUDGET: f64 = 1.5;

/// The limits of a key per minute.
const REQUESTS: u64 = 12;
const TOKENS: u64 = 400;

/// The longest time until all gateways know a change of a key, before the run is given up.
const MOST_WAIT: Duration = Duration::from_secs(20);
