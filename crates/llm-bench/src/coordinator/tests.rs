use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::{broadcast, watch};

use super::bus::Bus;
use super::message::{LeaderMessage, WorkerMessage};
use super::signature::{Envelope, Role, Signer};
use super::*;
use crate::Interrupts;
use crate::Results;
use crate::test_util::experiment;

const LEADER: &str = "polyllm.bench.s.leader";
const WORKERS: &str = "polyllm.bench.s.workers";

type All = broadcast::Sender<(String, Vec<u8>)>;

fn secret() -> SessionSecret {
    SessionSecret::new("the secret of these tests, for nothing else").unwrap()
}

fn other_secret() -> SessionSecret {
    SessionSecret::new("another secret, which somebody else knows").unwrap()
}

fn measured() -> Results {
    let (experiment, runs) = experiment();
    Results::new(experiment, &runs)
}

fn plan() -> Value {
    json!({"api_model_name": "m", "num_concurrency": [4]})
}

fn no_interrupts() -> Interrupts {
    watch::channel(0).1
}

async fn leader(all: &All, workers: usize, patience: u64) -> Result<Leader, CoordinatorError> {
    let bus = Bus::memory(all, LEADER);
    let patience = Duration::from_secs(patience);
    let interrupts = no_interrupts();
    Leader::with_bus(bus, "s", &secret(), plan(), workers, patience, interrupts).await
}

async fn worker(all: &All, name: &str) -> Result<(Worker, Value), CoordinatorError> {
    Worker::with_bus(Bus::memory(all, WORKERS), "s", &secret(), name).await
}

/// Simulates a worker: instant runs and their results.
async fn work(joined: Result<(Worker, Value), CoordinatorError>) {
    let (mut worker, received) = joined.unwrap();
    assert_eq!(received, plan());
    for run in 0..3 {
        worker.ready(run).await.unwrap();
    }
    worker.finish(&measured()).await.unwrap();
}

async fn lead(leader: Result<Leader, CoordinatorError>) {
    let mut events = Vec::new();
    let run = leader
        .unwrap()
        .run(no_interrupts(), |event| events.push(event));
    let results = run.await.unwrap();
    assert_eq!(results.len(), 2);
    let requests = results
        .iter()
        .map(|part| part.runs[2].aggregated.num_requests);
    assert_eq!(requests.sum::<u64>(), 80);
    let started = events
        .iter()
        .filter(|event| matches!(event, LeaderEvent::Started { .. }));
    assert_eq!(started.count(), 3);
}

/// A connected leader and worker.
async fn connected(all: &All) -> (Leader, Worker) {
    let (leader, worker) = tokio::join!(leader(all, 1, 60), worker(all, "one"));
    (leader.unwrap(), worker.unwrap().0)
}

/// Publishes changed copies of all messages until it is dropped.
fn replay_changed(
    all: &All,
    change: impl Fn(Vec<u8>) -> Vec<u8> + Send + 'static,
) -> tokio::task::JoinHandle<()> {
    let (all, mut seen) = (all.clone(), all.subscribe());
    tokio::spawn(async move {
        let mut own = std::collections::HashSet::new();
        while let Ok((subject, message)) = seen.recv().await {
            if own.len() < 5000 && !own.contains(&message) {
                let changed = change(message);
                own.insert(changed.clone());
                let _ = all.send((subject, changed));
            }
        }
    })
}

#[tokio::test(start_paused = true)]
async fn workers_start_together_and_their_results_arrive() {
    let (all, _keep) = broadcast::channel(1024);
    tokio::join!(
        async { work(worker(&all, "one").await).await },
        async { work(worker(&all, "two").await).await },
        async { lead(leader(&all, 2, 60).await).await },
    );
}

#[tokio::test(start_paused = true)]
async fn a_silent_side_times_out() {
    let (all, _keep) = broadcast::channel(1024);
    let (leader, mut worker) = connected(&all).await;
    // A leader that never starts the run.
    let error = worker.ready(0).await.unwrap_err();
    assert!(matches!(error, CoordinatorError::TimedOut(_)), "{error}");
    // A worker that disappeared.
    drop(worker);
    let error = leader.run(no_interrupts(), |_| {}).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "timed out after 15 s waiting for the worker one"
    );
}

#[tokio::test(start_paused = true)]
async fn too_few_workers_and_failing_workers_are_errors() {
    let (all, _keep) = broadcast::channel(1024);
    let error = leader(&all, 1, 5).await.unwrap_err();
    assert!(
        error.to_string().starts_with("0 of 1 worker joined"),
        "{error}"
    );
    let (leader, worker) = connected(&all).await;
    worker.fail("no such\nmodel").await.unwrap();
    let error = leader.run(no_interrupts(), |_| {}).await.unwrap_err();
    assert_eq!(error.to_string(), "the worker one failed: no such\\nmodel");
}

#[tokio::test(start_paused = true)]
async fn an_interrupt_at_the_leader_stops_the_workers() {
    let (all, _keep) = broadcast::channel(1024);
    let (leader, mut worker) = connected(&all).await;
    let (interrupt, interrupts) = watch::channel(0);
    let conducting = tokio::spawn(leader.run(interrupts, |_| {}));
    worker.ready(0).await.unwrap();
    interrupt.send_replace(1);
    let error = conducting.await.unwrap().unwrap_err();
    assert!(matches!(error, CoordinatorError::Interrupted), "{error}");
    let error = worker.ready(1).await.unwrap_err();
    assert!(matches!(error, CoordinatorError::Stopped(_)), "{error}");
}

#[tokio::test(start_paused = true)]
async fn messages_with_another_secret_are_ignored() {
    let (all, _keep) = broadcast::channel(1024);
    let bus = Bus::memory(&all, WORKERS);
    let (secret, session) = (other_secret(), "s");
    let stranger = tokio::spawn(async move {
        Worker::with_bus(bus, session, &secret, "stranger")
            .await
            .map(drop)
    });
    let error = leader(&all, 1, 5).await.unwrap_err();
    assert!(
        matches!(error, CoordinatorError::TooFewWorkers { found: 0, .. }),
        "{error}"
    );
    assert!(!stranger.is_finished(), "it got a plan");
    stranger.abort();
}

#[tokio::test(start_paused = true)]
async fn replayed_and_changed_messages_are_ignored() {
    for change in [
        // An unchanged replay.
        (|message| message) as fn(Vec<u8>) -> Vec<u8>,
        // A changed bit in the envelope.
        |mut message| {
            message[40] ^= 1;
            message
        },
        // A changed last bit, which may be part of the results.
        |mut message| {
            if let Some(last) = message.last_mut() {
                *last ^= 1;
            }
            message
        },
        // Without its tag.
        |message| message[32..].to_vec(),
        |mut message| {
            message.resize(2 * MAX_MESSAGE, b'x');
            message
        },
    ] {
        let (all, _keep) = broadcast::channel(4096);
        let meddling = replay_changed(&all, change);
        tokio::join!(
            async { work(worker(&all, "one").await).await },
            async { work(worker(&all, "two").await).await },
            async { lead(leader(&all, 2, 60).await).await },
        );
        meddling.abort();
    }
}

/// All messages of a measurement.
async fn recorded() -> Vec<(String, Vec<u8>)> {
    let (all, mut seen) = broadcast::channel(4096);
    let (leader, mut worker) = connected(&all).await;
    let conducting = tokio::spawn(leader.run(no_interrupts(), |_| {}));
    worker.ready(0).await.unwrap();
    worker.finish(&measured()).await.unwrap();
    conducting.await.unwrap().unwrap();
    let mut recorded = Vec::new();
    while let Ok(message) = seen.try_recv() {
        recorded.push(message);
    }
    assert!(recorded.len() > 5, "{}", recorded.len());
    recorded
}

#[tokio::test(start_paused = true)]
async fn replays_of_an_earlier_measurement_are_ignored() {
    let recording = recorded().await;
    let (all, _keep) = broadcast::channel(4096);
    let replay = {
        let (all, recording) = (all.clone(), recording.clone());
        tokio::spawn(async move {
            loop {
                for message in &recording {
                    let _ = all.send(message.clone());
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        })
    };
    // A leader does not find a worker in them, and a worker does not find a plan.
    let error = leader(&all, 1, 5).await.unwrap_err();
    assert!(
        matches!(error, CoordinatorError::TooFewWorkers { found: 0, .. }),
        "{error}"
    );
    let waiting = tokio::time::timeout(Duration::from_secs(60), worker(&all, "one"));
    assert!(waiting.await.is_err(), "an old plan was taken");
    // They do not disturb a measurement.
    tokio::join!(
        async { work(worker(&all, "one").await).await },
        async { work(worker(&all, "two").await).await },
        async { lead(leader(&all, 2, 60).await).await },
    );
    replay.abort();
}

#[tokio::test(start_paused = true)]
async fn replayed_heartbeats_are_ignored() {
    let (all, mut seen) = broadcast::channel(4096);
    let (leader, worker) = connected(&all).await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    drop(worker);
    let mut messages = Vec::new();
    while let Ok((subject, message)) = seen.try_recv() {
        messages.extend((subject == LEADER).then_some(message));
    }
    assert!(messages.len() > 2, "{}", messages.len());
    let replay = tokio::spawn(async move {
        loop {
            for message in &messages {
                let _ = all.send((LEADER.to_owned(), message.clone()));
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    });
    let run = leader.run(no_interrupts(), |_| {});
    let run = tokio::time::timeout(Duration::from_secs(60), run).await;
    let error = run.expect("the leader waits for ever").unwrap_err();
    assert!(matches!(error, CoordinatorError::TimedOut(_)), "{error}");
    replay.abort();
}

#[tokio::test(start_paused = true)]
async fn results_from_a_stranger_are_ignored() {
    let (all, mut seen) = broadcast::channel(4096);
    let (leader, worker) = connected(&all).await;
    // The ids of leader and worker are not secret.
    let mut ids = None;
    while let Ok((subject, message)) = seen.try_recv() {
        let signer = Signer::new(&secret(), "s", Role::Worker);
        if subject == LEADER
            && let Some((envelope, _)) = signer.verify::<WorkerMessage>(&message)
        {
            ids = Some((envelope.leader, envelope.worker));
        }
    }
    let (leader_id, worker_id) = ids.unwrap();
    let forged = Envelope {
        leader: leader_id,
        worker: worker_id,
        number: 1_000_000,
        message: WorkerMessage::Part { part: 0, parts: 1 },
    };
    let theirs = Signer::new(&other_secret(), "s", Role::Worker);
    let forged = theirs.sign(&forged, &measured().pack()).unwrap();
    all.send((LEADER.to_owned(), forged)).unwrap();
    drop(worker);
    let error = leader.run(no_interrupts(), |_| {}).await.unwrap_err();
    assert!(matches!(error, CoordinatorError::TimedOut(_)), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_plan_that_is_too_long_is_not_sent() {
    let (all, _keep) = broadcast::channel(4096);
    let bus = Bus::memory(&all, LEADER);
    let long = json!({"labels": "x".repeat(MAX_MESSAGE)});
    let (patience, interrupts) = (Duration::from_secs(60), no_interrupts());
    let secret = secret();
    let leader = Leader::with_bus(bus, "s", &secret, long, 1, patience, interrupts);
    let error = tokio::select! {
        leader = leader => leader.unwrap_err(),
        worker = worker(&all, "one") => panic!("{worker:?}"),
    };
    assert!(matches!(error, CoordinatorError::TooLong(_)), "{error}");
}

#[test]
fn messages_with_unknown_fields_are_errors() {
    let messages = json!({"say": "plan", "plan": {}, "arguments": ["--api-base", "http://h"]});
    assert!(serde_json::from_value::<LeaderMessage>(messages).is_err());
    let messages = json!({"say": "run", "program": "sh"});
    assert!(serde_json::from_value::<LeaderMessage>(messages).is_err());
}

#[tokio::test]
async fn addresses_sessions_and_names_are_checked() {
    let join = async |url, session, name| {
        let joined = Worker::join(url, session, &secret(), name).await;
        joined.unwrap_err()
    };
    for url in ["http://127.0.0.1", "nonsense", "rediss://127.0.0.1"] {
        let error = join(url, "s", "one").await;
        assert!(matches!(error, CoordinatorError::Unsupported(_)), "{error}");
    }
    let long = "a".repeat(65);
    for session in ["", "a b", "a.*", "ä", &long] {
        let error = join("redis://127.0.0.1", session, "one").await;
        assert!(matches!(error, CoordinatorError::Session(_)), "{error}");
    }
    for name in ["", "../x", "..", "a/b", "a\u{1b}", &long] {
        let error = join("redis://127.0.0.1", "s", name).await;
        assert!(matches!(error, CoordinatorError::Name(_)), "{error}");
    }
}

/// Measures over a real engine, which `cargo xtask ci --only services` starts.
#[cfg(any(feature = "nats", feature = "redis"))]
async fn over(variable: &str, session: &str) {
    let url = std::env::var(variable).unwrap();
    let session = format!("{session}-{}", std::process::id());
    let (secret, patience) = (secret(), Duration::from_secs(10));
    let all = async {
        tokio::join!(
            async { work(Worker::join(&url, &session, &secret, "one").await).await },
            async { work(Worker::join(&url, &session, &secret, "two").await).await },
            async {
                let interrupts = no_interrupts();
                let leader =
                    Leader::gather(&url, &session, &secret, plan(), 2, patience, interrupts);
                lead(leader.await).await;
            },
        );
    };
    tokio::time::timeout(Duration::from_secs(60), all)
        .await
        .unwrap();
}

#[cfg(feature = "redis")]
#[tokio::test]
#[ignore = "needs a Redis that LLM_BENCH_REDIS names"]
async fn over_redis() {
    over("LLM_BENCH_REDIS", "test").await;
}

#[cfg(feature = "nats")]
#[tokio::test]
#[ignore = "needs a NATS server that LLM_BENCH_NATS names"]
async fn over_nats() {
    over("LLM_BENCH_NATS", "test").await;
}

#[tokio::test(start_paused = true)]
async fn workers_hear_why_the_leader_stopped() {
    let (all, mut seen): (All, _) = broadcast::channel(1024);
    let interrupts = watch::channel(1).1;
    let bus = Bus::memory(&all, LEADER);
    let patience = Duration::from_secs(60);
    let error = Leader::with_bus(bus, "s", &secret(), plan(), 1, patience, interrupts)
        .await
        .unwrap_err();
    assert!(matches!(error, CoordinatorError::Interrupted), "{error}");
    let mut said = String::new();
    while let Ok((_, message)) = seen.try_recv() {
        said.push_str(&String::from_utf8_lossy(&message));
    }
    assert!(
        said.contains("interrupted: the workers were stopped"),
        "{said}"
    );
}
