//! The gateways of a history, and what happens to them.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use fastrand::Rng;
use gateway_store::{Clock, Fault, OwnerKind, OwnerSettings, Store, StoreOptions, Timestamp};
use llm_gateway::{Config, Deployment, Gateway, GatewayOptions, VirtualKeys};
use llm_provider::{ApiKey, Settings};
use llm_router::{AttemptTimeouts, Cooldown, Prices, RouterBuilder};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::bug::Bug;
use super::check;
use super::client::{self, Outcome};
use super::log::Log;
use super::plan::{self, Event, KEYS, Request, TEAM_DOLLARS, Weather};
use super::upstream::Upstream;

/// What happened, and what should not have.
#[derive(Clone, Debug)]
pub(super) struct History {
    pub(super) lines: Vec<String>,
    pub(super) problems: Vec<String>,
}

/// Runs the history of a seed, with a mistake of the gateway or without one.
pub(super) fn run(seed: u64, bug: Option<Bug>) -> History {
    // The gateway's own random numbers.
    fastrand::seed(seed);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    runtime.block_on(async {
        let mut world = World::new(seed, bug).await;
        let problems = match timeout(LONGEST, world.run()).await {
            Ok(()) => {
                if let Some(bug) = bug {
                    bug.strike(&world).await;
                }
                check::all(&mut world).await
            }
            Err(_) => vec!["the history does not end".to_owned()],
        };
        History {
            lines: world.log.lines(),
            problems,
        }
    })
}

pub(super) struct World {
    pub(super) log: Log,
    pub(super) upstream: Upstream,
    /// The database without faults.
    pub(super) store: Store,
    /// All gateways; the last one is running.
    pub(super) processes: Vec<Process>,
    pub(super) outcomes: Vec<Outcome>,
    /// All requests and their gateways.
    pub(super) requests: Vec<(Request, usize)>,
    /// When the weather was not fine.
    pub(super) storms: Vec<(u64, u64)>,
    weather: Arc<Mutex<(Weather, Rng)>>,
    random: Rng,
}

/// A gateway.
pub(super) struct Process {
    /// `None` if it was killed.
    pub(super) live: Option<(Gateway, VirtualKeys)>,
    pub(super) killed_at: Option<u64>,
    is_dead: Arc<AtomicBool>,
    clients: JoinSet<Outcome>,
}

impl World {
    async fn new(seed: u64, bug: Option<Bug>) -> Self {
        let log = Log::new();
        let start = Instant::now();
        let clock = Clock::new(move || Timestamp::from_millis(EPOCH).after(start.elapsed()));
        let options = StoreOptions::default().with_clock(clock);
        let store = Store::open("sqlite::memory:", options).await.unwrap();
        let mut team = OwnerSettings::default();
        team.limits.max_budget = Some(TEAM_DOLLARS.parse().unwrap());
        let owners = store.owners();
        owners.put(OwnerKind::Team, "team", team).await.unwrap();
        for key in 0..KEYS {
            // Ids sort by time.
            sleep(Duration::from_millis(1)).await;
            if let Some(mut settings) = plan::settings(key) {
                if let Some(bug) = bug {
                    bug.change(key, &mut settings);
                }
                let secret = ApiKey::new(client::secret(key));
                store.keys().add(&secret, settings).await.unwrap();
            }
        }
        let mut random = Rng::with_seed(seed);
        let weather = (Weather::Fine, random.fork());
        let mut world = Self {
            upstream: Upstream::new(log.clone(), random.u64(..), bug),
            log,
            store,
            processes: Vec::new(),
            outcomes: Vec::new(),
            requests: Vec::new(),
            storms: Vec::new(),
            weather: Arc::new(Mutex::new(weather)),
            random,
        };
        world.start().await;
        world
    }

    async fn run(&mut self) {
        let start = Instant::now();
        for (at, event) in plan::events(&mut self.random) {
            sleep_until(start + Duration::from_millis(at)).await;
            match event {
                Event::Request(request) => self.send(request),
                Event::Weather(weather) => self.set(weather),
                Event::Restart => self.start().await,
                Event::Kill => self.kill().await,
                Event::Block(key) => self.block(key).await,
            }
        }
        for process in &mut self.processes {
            while let Some(outcome) = process.clients.join_next().await {
                self.outcomes.push(outcome.unwrap());
            }
        }
        self.set(Weather::Fine);
        // Longer than the ledger waits between two attempts to write.
        sleep(Duration::from_secs(5)).await;
    }

    /// Starts a gateway, which takes over.
    async fn start(&mut self) {
        let index = self.processes.len();
        let is_dead = Arc::new(AtomicBool::new(false));
        let (fence, weather) = (Arc::clone(&is_dead), Arc::clone(&self.weather));
        let store = self
            .store
            .with_faults(move || match fence.load(Ordering::Relaxed) {
                true => Some(Fault::Lost),
                false => fault(&mut weather.lock().unwrap()),
            });
        // It would not start without the database.
        self.set(Weather::Fine);
        let keys = VirtualKeys::new(store).await.unwrap();
        let cooldown = Cooldown::default().with_max_time(COOLDOWN);
        let config = Config::new(deployments(&self.upstream))
            .with_master_key(ApiKey::new(MASTER))
            .with_router(RouterBuilder::default().with_cooldown(cooldown));
        let options = GatewayOptions::new().with_virtual_keys(keys.clone());
        self.log.write(format_args!("gateway {index} starts"));
        let options = options.with_keep_alive(Duration::from_secs(1));
        self.processes.push(Process {
            live: Some((Gateway::new(config, options), keys)),
            killed_at: None,
            is_dead,
            clients: JoinSet::new(),
        });
    }

    /// Ends the running gateway with its connections: nothing more of it reaches the database.
    async fn kill(&mut self) {
        let process = self.processes.last_mut().unwrap();
        self.log.write("the gateway is killed");
        process.is_dead.store(true, Ordering::Relaxed);
        process.killed_at = Some(self.log.now());
        while let Some(outcome) = process.clients.try_join_next() {
            self.outcomes.push(outcome.unwrap());
        }
        process.clients.shutdown().await;
        process.live = None;
        self.start().await;
    }

    pub(super) fn send(&mut self, request: Request) {
        let index = self.processes.len() - 1;
        self.requests.push((request.clone(), index));
        let log = self.log.clone();
        let process = &mut self.processes[index];
        let (gateway, _) = process.live.as_ref().unwrap();
        let run = client::run(gateway.clone(), index, request, log);
        process.clients.spawn(run);
    }

    /// Waits for the running requests of the last gateway.
    pub(super) async fn join(&mut self) -> Vec<Outcome> {
        let clients = std::mem::take(&mut self.processes.last_mut().unwrap().clients);
        clients.join_all().await
    }

    fn set(&mut self, weather: Weather) {
        let now = self.log.now();
        let before = std::mem::replace(&mut self.weather.lock().unwrap().0, weather);
        if before != weather {
            self.log.write(format_args!("the database: {weather:?}"));
        }
        match (before, weather) {
            (Weather::Fine, Weather::Rough | Weather::Down) => self.storms.push((now, u64::MAX)),
            (_, Weather::Fine) => {
                if let Some(storm) = self.storms.last_mut() {
                    storm.1 = storm.1.min(now);
                }
            }
            _ => {}
        }
    }

    async fn block(&self, key: usize) {
        let hash = gateway_store::KeyHash::of(client::secret(key));
        self.store.keys().set_blocked(&hash, true).await.unwrap();
        self.log.write(format_args!("key {key} is blocked"));
    }
}

fn fault((weather, random): &mut (Weather, Rng)) -> Option<Fault> {
    let delay = Fault::Delay(Duration::from_millis(random.u64(1..40)));
    match (weather, random.u8(0..10)) {
        (Weather::Down, _) => Some(Fault::Lost),
        (Weather::Rough, 0..3) => Some(Fault::Lost),
        (Weather::Rough, 3..6) => Some(Fault::AnswerLost),
        (Weather::Fine, 1..10) => None,
        _ => Some(delay),
    }
}

/// Two deployments of `large`, one of `small`.
fn deployments(upstream: &Upstream) -> Vec<Deployment> {
    let registry = polyllm::registry();
    let timeouts = AttemptTimeouts::default()
        .with_total(Duration::from_secs(6))
        .with_first_output(Duration::from_secs(4))
        .with_idle(Duration::from_secs(3));
    let hosts = [("large", "one"), ("large", "two"), ("small", "three")];
    let deployments = hosts.map(|(group, host)| {
        let settings = Settings::new()
            .with_api_key("key-of-the-upstream")
            .with_api_base(format!("http://{host}.example/v1"))
            .with_max_retries(0)
            .with_transport(upstream.clone());
        let provider = registry.build("together_ai", settings).unwrap();
        Deployment::new(group, provider, "acme/model")
            .with_id(host)
            .with_timeouts(timeouts)
            .with_prices(Prices::new(0.001, 0.002))
    });
    deployments.into()
}

pub(super) const MASTER: &str = "sk-simulated-master-key";

/// 2025-11-13.
const EPOCH: i64 = 1_763_000_000_000;

/// The longest time for which a deployment gets no calls.
pub(super) const COOLDOWN: Duration = Duration::from_secs(5);

/// The longest time of a history.
const LONGEST: Duration = Duration::from_secs(600);
