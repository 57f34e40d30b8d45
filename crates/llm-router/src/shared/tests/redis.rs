//! The state in a real server, which each test starts: `redis-server` has to be installed.

mod server;

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, LazyLock, Mutex};
use std::task::Poll;
use std::time::Duration;

use futures_util::future::{BoxFuture, join_all, poll_fn};
use llm_provider::Provider;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use tokio::runtime::{Builder, Runtime};
use tokio::time::sleep;
use tracing::Dispatch;
use tracing::subscriber::NoSubscriber;

use self::server::Server;
use super::routers::{Upstream, call, deployment, fullest_window, load, simulate, steps};
use crate::clock::Clock;
use crate::limits::Rate;
use crate::shared::memory::Memory;
use crate::shared::redis::Redis;
use crate::shared::{
    Begin, Begun, Choice, End, Health, Settlement, SharedCooldown, SharedState, Store, Subject,
};
use crate::{RateLimits, Router};

/// A server at the time of a simulated clock. A simulated clock would go on while a task waits for a
/// socket, so a thread of another runtime waits, and the one of the clock blocks.
struct Simulated {
    redis: Arc<Redis>,
    runtime: Arc<Runtime>,
    now: Arc<AtomicU64>,
    clock: Clock,
}

impl std::fmt::Debug for Simulated {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Simulated")
    }
}

impl Store for Simulated {
    fn begin(&self, begin: Begin) -> BoxFuture<'_, Option<Begun>> {
        self.now.store(self.clock.now() / 1000, SeqCst);
        let (sender, receiver) = std::sync::mpsc::channel();
        let redis = Arc::clone(&self.redis);
        self.runtime
            .spawn(async move { sender.send(redis.begin(begin).await) });
        let begun = receiver.recv().unwrap();
        assert!(begun.is_some(), "the server is available");
        Box::pin(std::future::ready(begun))
    }

    fn end(&self, end: End) {
        self.now.store(self.clock.now() / 1000, SeqCst);
        self.redis.end(end);
    }

    fn keep(&self, key: String, value: Vec<u8>, time_to_live: Duration) {
        self.redis.keep(key, value, time_to_live);
    }
}

fn config(cases: u32) -> ProptestConfig {
    ProptestConfig {
        cases,
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

fn runtime() -> Arc<Runtime> {
    let runtime = Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build();
    Arc::new(runtime.unwrap())
}

#[test]
#[ignore = "needs redis-server"]
fn three_routers_exceed_no_limit_in_any_minute() {
    let server = Server::start();
    let runtime = runtime();
    let now = Arc::new(AtomicU64::new(0));
    let strategy = (1..40_u64, 100..10_000_u64, 0..=100_u64, steps());
    let mut runner = TestRunner::new(config(24));
    let result = runner.run(&strategy, |(rpm, tpm, part, steps)| {
        server.flush();
        let calls = simulate(async {
            let clock = Clock::new();
            let shares = std::array::from_fn(|_| {
                let redis = Redis::simulated(&server.url(), Arc::clone(&now)).unwrap();
                SharedState::new(Simulated {
                    redis: Arc::new(redis),
                    runtime: Arc::clone(&runtime),
                    now: Arc::clone(&now),
                    clock,
                })
            });
            load(shares, rpm, tpm, part, &steps).await
        });
        let requests: Vec<_> = calls.iter().map(|(at, _)| (*at, 1)).collect();
        prop_assert!(!calls.is_empty() || tpm < 500);
        prop_assert!(fullest_window(&requests) <= rpm);
        prop_assert!(fullest_window(&calls) <= tpm);
        Ok(())
    });
    result.unwrap();
}

/// What the memory and the server are told.
#[derive(Clone, Debug)]
enum Action {
    Begin(Begin),
    End(End),
    Pass(u64),
}

fn named(number: u8) -> Arc<str> {
    format!("subject:{number}").into()
}

fn begin() -> impl Strategy<Value = Begin> {
    let limit = || option::of(prop_oneof![1..6_u64, 1..2000_u64, 1..1_000_000_000_u64]);
    let subject = (limit(), limit(), 0..3000_u64);
    let choice = (prop::bool::weighted(0.2), vec(subject, 1..3));
    let session = option::of((0..2_u8, 10_000..20_000_u64));
    // Longer than the test, since pins end at the server's own time.
    let session = session.prop_map(|session| {
        session.map(|(name, seconds)| (format!("session:{name}"), Duration::from_secs(seconds)))
    });
    // No subject is in a call twice.
    let keys = Just((0..8_u8).collect::<Vec<_>>()).prop_shuffle();
    let holders = vec((limit(), limit(), 0..3000_u64), 0..3);
    (session, keys, holders, vec(choice, 0..4)).prop_map(|(session, mut keys, holders, choices)| {
        let holders = holders.into_iter().map(|(rpm, tpm, tokens)| Subject {
            key: named(keys.pop().unwrap()),
            rpm: rpm.map(Rate::at_once),
            tpm: tpm.map(Rate::at_once),
            tokens,
        });
        let holders = holders.collect();
        let choices = choices.into_iter().map(|(is_full, subjects)| {
            let subjects = subjects.into_iter().map(|(rpm, tpm, tokens)| Subject {
                key: named(keys.pop().unwrap()),
                rpm: rpm.map(Rate::per_minute),
                tpm: tpm.map(Rate::at_once),
                tokens,
            });
            Choice {
                is_full,
                subjects: subjects.collect(),
            }
        });
        Begin {
            lookup: None,
            holders,
            session,
            choices: choices.collect(),
        }
    })
}

fn end() -> impl Strategy<Value = End> {
    let settlement = || {
        let settlement = (1..2000_u64, 0..2000_u64, 0..2000_u64, 0..120_000_000_u64);
        option::of(settlement.prop_map(|(limit, cost, used, paid)| Settlement {
            rate: Rate::per_minute(limit),
            cost,
            used,
            paid: paid + (1 << 40),
        }))
    };
    let cooldown = (0..100_000_000_u64, 0..9_u32, 0..9_u8);
    let cooldown = cooldown
        .prop_map(|(left, count, cause)| Health::Cooling(SharedCooldown { left, count, cause }));
    let others = [Health::Same, Health::Recovered, Health::Unprobed];
    let health = prop_oneof![prop::sample::select(others.to_vec()), cooldown];
    (0..6_u8, settlement(), settlement(), 0..1000_u64, health).prop_map(
        |(key, requests, tokens, used, health)| End {
            key: named(key),
            requests,
            tokens,
            used,
            health,
        },
    )
}

#[test]
#[ignore = "needs redis-server"]
fn the_server_and_the_memory_agree() {
    let server = Server::start();
    let runtime = runtime();
    let action = prop_oneof![
        3 => begin().prop_map(Action::Begin),
        2 => end().prop_map(Action::End),
        1 => (0..90_000_000_u64).prop_map(Action::Pass),
    ];
    let mut runner = TestRunner::new(config(150));
    let result = runner.run(&vec(action, 1..60), |actions| {
        server.flush();
        let start = 1 << 40;
        let now = Arc::new(AtomicU64::new(start));
        let redis = Redis::simulated(&server.url(), Arc::clone(&now)).unwrap();
        let memory = Memory::at(Arc::clone(&now));
        let compare = async {
            for action in actions {
                match action {
                    Action::Pass(time) => {
                        now.fetch_add(time, SeqCst);
                    }
                    Action::End(end) => {
                        memory.end(end.clone());
                        redis.finish(&end).await.unwrap();
                    }
                    Action::Begin(begin) => {
                        let expected = memory.begin(begin.clone()).await;
                        prop_assert_eq!(redis.begin(begin).await, expected);
                    }
                }
            }
            Ok(())
        };
        runtime.block_on(compare)
    });
    result.unwrap();
}

#[tokio::test]
#[ignore = "needs redis-server"]
async fn tls_needs_a_certificate_of_a_trusted_authority() {
    let folder = tempfile::tempdir().unwrap();
    let (file, key) = (
        folder.path().join("cert.pem"),
        folder.path().join("key.pem"),
    );
    let certificate = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let pem = certificate.cert.pem();
    std::fs::write(&file, &pem).unwrap();
    std::fs::write(&key, certificate.signing_key.serialize_pem()).unwrap();
    let server = Server::start_with_tls(&file, &key);
    // Fails if another test was faster.
    let _ = rustls::crypto::ring::default_provider().install_default();

    let trusting = Redis::with_authority(&server.tls_url(), pem.into_bytes()).unwrap();
    while trusting.begin(Begin::default()).await.is_none() {
        sleep(Duration::from_millis(10)).await;
    }
    let distrusting = Redis::new(&server.tls_url()).unwrap();
    assert_eq!(distrusting.begin(Begin::default()).await, None);
    while distrusting.is_available() {
        sleep(Duration::from_millis(10)).await;
    }
}

/// Counts the calls that wait for a server in vain.
#[derive(Debug)]
struct Watched {
    redis: Redis,
    waited: Arc<AtomicUsize>,
    shared: Arc<AtomicUsize>,
}

impl Store for Watched {
    fn begin(&self, begin: Begin) -> BoxFuture<'_, Option<Begun>> {
        Box::pin(async move {
            let mut begun = self.redis.begin(begin);
            let first = poll_fn(|cx| Poll::Ready(begun.as_mut().poll(cx))).await;
            if let Poll::Ready(begun) = first {
                return begun;
            }
            let begun = begun.await;
            let count = if begun.is_some() {
                &self.shared
            } else {
                &self.waited
            };
            count.fetch_add(1, SeqCst);
            begun
        })
    }

    fn end(&self, end: End) {
        self.redis.end(end);
    }

    fn keep(&self, key: String, value: Vec<u8>, time_to_live: Duration) {
        self.redis.keep(key, value, time_to_live);
    }
}

/// Keeps the messages of the log.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<String>>>);

impl std::io::Write for Log {
    fn write(&mut self, text: &[u8]) -> std::io::Result<usize> {
        self.0
            .lock()
            .unwrap()
            .push(String::from_utf8_lossy(text).into_owned());
        Ok(text.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
#[ignore = "needs redis-server"]
async fn no_call_fails_and_few_wait_while_the_server_is_frozen_killed_and_restarted() {
    // With only one subscriber, tracing asks that of the thread that reaches an event first, which may
    // be another test's.
    static OTHER: LazyLock<Dispatch> = LazyLock::new(|| Dispatch::new(NoSubscriber::new()));
    LazyLock::force(&OTHER);
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_writer(move || writer.clone())
        .with_ansi(false)
        .finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    let mut server = Server::start();
    let (waited, shared) = (Arc::<AtomicUsize>::default(), Arc::<AtomicUsize>::default());
    let store = Watched {
        redis: Redis::new(&server.url()).unwrap(),
        waited: Arc::clone(&waited),
        shared: Arc::clone(&shared),
    };
    let upstream = Arc::new(Upstream::default());
    let limits = RateLimits::default()
        .with_rpm(1_000_000)
        .with_tpm(1_000_000_000);
    let router = Router::builder()
        .with_deployments([deployment("one", &upstream, limits)])
        .with_shared_state(SharedState::new(store))
        .build()
        .unwrap();
    let sent = AtomicUsize::new(0);
    let load = async {
        loop {
            let calls = (0..WORKERS).map(|_| router.send(call(10)));
            for reply in join_all(calls).await {
                reply.unwrap();
                sent.fetch_add(1, SeqCst);
            }
            sleep(Duration::from_millis(1)).await;
        }
    };
    // Until the calls are shared again, however long that takes.
    let recovery = async || {
        let before = shared.load(SeqCst);
        while shared.load(SeqCst) < before + WORKERS {
            sleep(Duration::from_millis(10)).await;
        }
    };
    // While calls go on without the server.
    let outage = async || {
        let before = sent.load(SeqCst);
        while sent.load(SeqCst) < before + 50 * WORKERS {
            sleep(Duration::from_millis(10)).await;
        }
    };
    let changes = async {
        recovery().await;
        server.freeze();
        outage().await;
        server.thaw();
        recovery().await;
        server.kill();
        outage().await;
        server.restart();
        recovery().await;
    };
    tokio::select! {
        () = changes => {}
        () = load => {}
    }
    let lines = log.0.lock().unwrap().clone();
    let changes = lines
        .iter()
        .map(|line| line.contains("Redis is unavailable"));
    let changes: Vec<bool> = changes.collect();
    // On a busy machine, more calls may be too slow, but each line is a change.
    assert!(
        changes.windows(2).all(|pair| pair[0] != pair[1]),
        "{lines:?}"
    );
    let outages = changes.iter().filter(|is_down| **is_down).count();
    assert!((2..20).contains(&outages), "{lines:?}");
    // Of each outage, only the calls that were waiting when it began.
    let waited = waited.load(SeqCst);
    assert!(waited <= outages * WORKERS, "{waited} calls waited");
    assert!(sent.load(SeqCst) > 100 * WORKERS);
}

const WORKERS: usize = 20;
