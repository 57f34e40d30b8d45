//! Deterministic simulation: gateway, router and provider in one thread, with the clock of the test,
//! simulated upstreams and clients, and a store with faults.
//!
//! A seed determines a whole history: requests, failures of upstreams, outages of the store, clients
//! that leave, and gateways that are restarted or killed. After each history, [`check`] compares what
//! the clients, the upstreams and the ledger saw.
//!
//! `cargo xtask simulate` runs more seeds, or one.

mod bug;
mod check;
mod client;
mod log;
mod plan;
mod upstream;
mod world;

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use self::bug::Bug;
use self::world::History;

/// The seeds of a run of the tests.
const SEEDS: u64 = 100;

/// In the environment: how many seeds to run, and the first one.
const COUNT_VARIABLE: &str = "POLYLLM_SIMULATION_SEEDS";
const FIRST_VARIABLE: &str = "POLYLLM_SIMULATION_FIRST";

#[test]
fn every_history_of_the_gateway_keeps_its_guarantees() {
    let first = variable(FIRST_VARIABLE).unwrap_or(0);
    let count = variable(COUNT_VARIABLE).unwrap_or(SEEDS);
    if let Some(report) = report(&run(first, count, None)) {
        panic!("{report}");
    }
}

/// A simulation that finds nothing proves nothing: each of these mistakes is found, with its seed.
#[test]
fn the_mistakes_of_a_gateway_are_found() {
    for (bug, problem) in Bug::ALL {
        let is_found = |(_, history): &(u64, History)| {
            let mut problems = history.problems.iter();
            problems.any(|found| found.contains(problem))
        };
        let mut parts = (0..SEEDS).step_by(10);
        let found = parts.find_map(|first| run(first, 10, Some(bug)).into_iter().find(is_found));
        let (seed, history) = found.unwrap_or_else(|| panic!("{bug:?} is not found"));
        let text = report(&[(seed, history)]).unwrap();
        assert!(
            text.contains(&format!("cargo xtask simulate --seed {seed})")),
            "{text}"
        );
    }
}

/// The histories in which a guarantee is broken, with their seeds.
fn run(first: u64, count: u64, bug: Option<Bug>) -> Vec<(u64, History)> {
    let (next, failed) = (AtomicU64::new(first), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= first.saturating_add(count) {
                        return;
                    }
                    let history = world::run(seed, bug);
                    if !history.problems.is_empty() {
                        failed.lock().unwrap().push((seed, history));
                    }
                }
            });
        }
    });
    let mut failed = failed.into_inner().unwrap();
    failed.sort_by_key(|(seed, _)| *seed);
    failed
}

/// The first of the histories, and the seeds of all.
fn report(failed: &[(u64, History)]) -> Option<String> {
    let (seed, history) = failed.first()?;
    let seeds: Vec<_> = failed.iter().map(|(seed, _)| seed).collect();
    Some(format!(
        "seed {seed} (of {seeds:?}; cargo xtask simulate --seed {seed}):\n{}\nproblems:\n{}",
        history.lines.join("\n"),
        history.problems.join("\n")
    ))
}

#[test]
fn a_seed_always_has_the_same_history() {
    for seed in variable(FIRST_VARIABLE).map_or(0..3, |first| first..first.saturating_add(1)) {
        let (one, other) = (world::run(seed, None), world::run(seed, None));
        let differs = one.lines.iter().zip(&other.lines).find(|(a, b)| a != b);
        assert!(differs.is_none(), "seed {seed}: {differs:?}");
        assert_eq!(one.hash(), other.hash(), "seed {seed}");
        assert_ne!(
            one.hash(),
            world::run(seed.wrapping_add(1), None).hash(),
            "seed {seed}"
        );
    }
}

fn variable(name: &str) -> Option<u64> {
    let value = std::env::var(name).ok()?;
    Some(
        value
            .parse()
            .unwrap_or_else(|_| panic!("{name}: give a number")),
    )
}

impl History {
    fn hash(&self) -> u64 {
        use std::hash::{DefaultHasher, Hash, Hasher};

        // Its keys are always the same.
        let mut hasher = DefaultHasher::new();
        self.lines.hash(&mut hasher);
        hasher.finish()
    }
}
