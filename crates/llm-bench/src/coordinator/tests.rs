use std::time::Duration;

use tokio::sync::broadcast;

use super::bus::Bus;
use super::*;
use crate::made_up::experiment;
use crate::merge::merge;
use crate::report::Results;

fn measured() -> Results {
    let (experiment, runs) = experiment();
    Results::new(experiment, &runs)
}

fn arguments() -> Vec<String> {
    let arguments =
        "--api-model-name m --api-key secret --model-api-key=secret --num-concurrency 4";
    arguments.split(' ').map(str::to_owned).collect()
}

/// Does what a worker does: runs that take no time, and their results.
async fn work(joined: Result<(Worker, Vec<String>), CoordinatorError>) {
    let (mut worker, arguments) = joined.unwrap();
    assert_eq!(
        arguments,
        ["--api-model-name", "m", "--num-concurrency", "4"]
    );
    for run in 0..3 {
        worker.ready(run).await.unwrap();
    }
    worker.finish(&measured()).await.unwrap();
}

async fn lead(leader: Result<Leader, CoordinatorError>) {
    let mut steps = Vec::new();
    let results = leader
        .unwrap()
        .conduct(|step| steps.push(step))
        .await
        .unwrap();
    assert_eq!(results.len(), 2);
    assert_eq!(merge(&results).unwrap().runs[2].aggregated.num_requests, 80);
    let started = steps
        .iter()
        .filter(|step| matches!(step, Step::Started { .. }));
    assert_eq!(started.count(), 3);
}

#[tokio::test(start_paused = true)]
async fn workers_start_together_and_their_results_arrive() {
    let (all, _keep) = broadcast::channel(1024);
    let workers = ["one", "two"].map(|name| {
        let bus = Bus::memory(&all, "polyllm.bench.s.workers");
        async move { work(Worker::with_bus(bus, "s", name).await).await }
    });
    let bus = Bus::memory(&all, "polyllm.bench.s.leader");
    let leader = async {
        lead(Leader::with_bus(bus, "s", arguments(), 2, Duration::from_secs(60)).await).await;
    };
    let [one, two] = workers;
    tokio::join!(one, two, leader);
}

#[tokio::test(start_paused = true)]
async fn who_falls_silent_is_not_waited_for() {
    let (all, _keep) = broadcast::channel(1024);
    let workers = Bus::memory(&all, "polyllm.bench.s.workers");
    let bus = Bus::memory(&all, "polyllm.bench.s.leader");
    let patience = Duration::from_secs(60);
    let (worker, leader) = tokio::join!(
        Worker::with_bus(workers, "s", "one"),
        Leader::with_bus(bus, "s", arguments(), 1, patience),
    );
    let (mut worker, _) = worker.unwrap();
    // A leader that never says go.
    let error = worker.ready(0).await.unwrap_err();
    assert!(matches!(error, CoordinatorError::Silent(_)), "{error}");
    // A worker that is gone.
    drop(worker);
    let error = leader.unwrap().conduct(|_| {}).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "nothing was heard of the worker one for 15 s"
    );
}

#[tokio::test(start_paused = true)]
async fn too_few_workers_and_failing_workers_end_it() {
    let (all, _keep) = broadcast::channel(1024);
    let bus = || Bus::memory(&all, "polyllm.bench.s.leader");
    let patience = Duration::from_secs(5);
    let error = Leader::with_bus(bus(), "s", arguments(), 1, patience)
        .await
        .unwrap_err();
    assert_eq!(error.to_string(), "0 of 1 workers came");
    let workers = Bus::memory(&all, "polyllm.bench.s.workers");
    let (worker, leader) = tokio::join!(
        Worker::with_bus(workers, "s", "one"),
        Leader::with_bus(bus(), "s", arguments(), 1, patience),
    );
    let leader = leader.unwrap();
    worker.unwrap().0.fail("no such model").await.unwrap();
    let error = leader.conduct(|_| {}).await.unwrap_err();
    assert_eq!(error.to_string(), "the worker one failed: no such model");
}

#[tokio::test]
async fn addresses_and_sessions_are_checked() {
    for url in ["http://127.0.0.1", "nonsense", "rediss://127.0.0.1"] {
        let error = Worker::join(url, "s", "one").await.unwrap_err();
        assert!(matches!(error, CoordinatorError::Unsupported(_)), "{error}");
    }
    for session in ["", "a b", "a.*", "ä"] {
        let error = Worker::join("redis://127.0.0.1", session, "one")
            .await
            .unwrap_err();
        assert!(matches!(error, CoordinatorError::Session(_)), "{error}");
    }
}

/// Over a real engine, which is named by a variable; without it the test says that it did
/// nothing.
#[allow(clippy::print_stderr, reason = "a test that is skipped says so")]
async fn over(variable: &str, session: &str) {
    let Ok(url) = std::env::var(variable) else {
        eprintln!("skipped: {variable} names no engine to test with");
        return;
    };
    let session = format!("{session}-{}", std::process::id());
    let all = async {
        tokio::join!(
            async { work(Worker::join(&url, &session, "one").await).await },
            async { work(Worker::join(&url, &session, "two").await).await },
            async {
                let patience = Duration::from_secs(10);
                lead(Leader::gather(&url, &session, arguments(), 2, patience).await).await;
            },
        );
    };
    tokio::time::timeout(Duration::from_secs(20), all)
        .await
        .unwrap();
}

#[cfg(feature = "redis")]
#[tokio::test]
async fn over_redis() {
    over("LLM_BENCH_REDIS", "test").await;
}

#[cfg(feature = "nats")]
#[tokio::test]
async fn over_nats() {
    over("LLM_BENCH_NATS", "test").await;
}
