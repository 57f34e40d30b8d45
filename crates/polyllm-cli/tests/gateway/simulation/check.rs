//! What must hold after every history.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use gateway_store::{
    CacheOptions, ErrorKind, KeyCache, KeyHash, KeyInfo, Ledger, LedgerOptions, Money, OwnerKind,
    UsageFilter, UsageOutcome, UsageRecord,
};
use http_body_util::{BodyExt, Full};
use tokio::time::sleep;
use tower::ServiceExt;

use super::client::{End, secret};
use super::plan::{self, BUDGET, KEYS, PARALLEL, PARALLEL_REQUESTS, RATE, Request, TEAM};
use super::upstream::Attempt;
use super::world::{COOLDOWN, MASTER, World};

/// The problems of a history that has ended.
pub(super) async fn all(world: &mut World) -> Vec<String> {
    let mut problems = Vec::new();
    let attempts = world.upstream.attempts();
    answers(world, &mut problems);
    upstreams(world, &attempts, &mut problems);
    permits(world, &mut problems).await;
    for process in &world.processes {
        if let Some((_, keys)) = &process.live
            && let Err(error) = keys.close().await
        {
            problems.push(format!("the ledger is not written: {error}"));
        }
    }
    // The probes of `permits` are recorded, too.
    let attempts_with_probes = world.upstream.attempts();
    let records = records(world).await;
    ledger(world, &attempts_with_probes, &records, &mut problems);
    limits(world, &attempts, &mut problems);
    for process in &mut world.processes {
        process.live = None;
    }
    budgets(world, &records, &mut problems).await;
    problems
}

/// Each request has one answer, unless its gateway was killed, and each stream has an end.
fn answers(world: &World, problems: &mut Vec<String>) {
    for (request, process) in &world.requests {
        let number = request.number;
        let outcomes = world.outcomes.iter().filter(|o| o.request.number == number);
        let ends: Vec<_> = outcomes.map(|outcome| &outcome.end).collect();
        let is_killed = world.processes[*process].killed_at.is_some();
        match ends.as_slice() {
            [End::Unfinished] => problems.push(format!("the stream {number} has no end")),
            [_] => {}
            [] if is_killed => {}
            ends => problems.push(format!("request {number} has the answers {ends:?}")),
        }
    }
}

/// Nothing runs upstream for a client that has its answer or has left.
fn upstreams(world: &World, attempts: &[Attempt], problems: &mut Vec<String>) {
    for attempt in attempts {
        let Attempt { number, ended, .. } = attempt;
        let outcome = world.outcomes.iter().find(|o| o.request.number == *number);
        match (ended, outcome) {
            (None, _) => problems.push(format!("request {number} still runs upstream")),
            (Some(ended), Some(outcome)) if *ended > outcome.at => {
                let late = ended - outcome.at;
                problems.push(format!(
                    "request {number} ran upstream for another {late} ms"
                ));
            }
            _ => {}
        }
    }
}

/// All parallel calls of the key and of the deployments are free again.
async fn permits(world: &mut World, problems: &mut Vec<String>) {
    let key = world.store.keys().get(&KeyHash::of(secret(PARALLEL))).await;
    if !key.unwrap().unwrap().key.settings.limits.blocked {
        // Cooldowns of deployments end.
        sleep(COOLDOWN).await;
        world.upstream.calm_down();
        // A deployment that was cooled down serves one call first.
        let mut number = 1_000;
        for count in [1, PARALLEL_REQUESTS] {
            for _ in 0..count {
                number += 1;
                world.send(probe(number));
            }
            for outcome in world.join().await {
                if outcome.end != End::Complete {
                    problems.push(format!("a free key is refused: {:?}", outcome.end));
                }
            }
        }
    }
    let request = http::Request::get("/metrics")
        .header("authorization", format!("Bearer {MASTER}"))
        .body(Full::new(Bytes::new()))
        .unwrap();
    for (gateway, _) in world
        .processes
        .iter()
        .filter_map(|process| process.live.as_ref())
    {
        let service = gateway.clone().into_service();
        let response = service.oneshot(request.clone()).await.unwrap();
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        let text = String::from_utf8(bytes.to_vec()).unwrap();
        let mut gauges = text
            .lines()
            .filter(|l| l.starts_with("polyllm_deployment_in_flight{"));
        if let Some(line) = gauges.find(|line| !line.ends_with(" 0")) {
            problems.push(format!("a deployment is not free: {line}"));
        }
    }
}

fn probe(number: usize) -> Request {
    Request {
        number,
        key: PARALLEL,
        model: "small",
        is_streamed: false,
        wants_usage: false,
        max_tokens: 5,
        patience: None,
        pause: 0,
    }
}

async fn records(world: &World) -> BTreeMap<usize, Vec<UsageRecord>> {
    let filter = UsageFilter::default();
    let records = world
        .store
        .reports()
        .records(&filter, None, 1_000)
        .await
        .unwrap();
    let mut by_request: BTreeMap<usize, Vec<UsageRecord>> = BTreeMap::new();
    for record in records {
        let number = record.session_id.as_ref().unwrap().parse().unwrap();
        by_request.entry(number).or_default().push(record);
    }
    by_request
}

/// The ledger has each request once, with the tokens that its upstream counted.
fn ledger(
    world: &World,
    attempts: &[Attempt],
    records: &BTreeMap<usize, Vec<UsageRecord>>,
    problems: &mut Vec<String>,
) {
    for (request, process) in &world.requests {
        let number = request.number;
        let sent: Vec<_> = attempts.iter().filter(|a| a.number == number).collect();
        let outcome = world.outcomes.iter().find(|o| o.request.number == number);
        let record = match records.get(&number).map(Vec::as_slice) {
            None | Some([]) => {
                let killed_at = world.processes[*process].killed_at;
                let ended_at = outcome.map(|outcome| outcome.at);
                if !sent.is_empty() && !may_be_lost(world, killed_at, ended_at) {
                    problems.push(format!("request {number} has no record"));
                }
                continue;
            }
            Some([record]) => record,
            Some(more) => {
                problems.push(format!("request {number} has {} records", more.len()));
                continue;
            }
        };
        let counted = sent.last().and_then(|attempt| attempt.usage);
        let recorded = (record.input_tokens, record.output_tokens);
        let is_complete = record.outcome == UsageOutcome::Complete;
        if is_complete && (record.is_estimated || Some(recorded) != counted) {
            problems.push(format!(
                "request {number}: {counted:?} upstream, {recorded:?} recorded"
            ));
        }
        if outcome.is_some_and(|outcome| outcome.end == End::Complete) != is_complete {
            let end = outcome.map(|outcome| &outcome.end);
            // A client may leave after the end of the reply and before it has read it.
            if !(is_complete && end.is_none_or(|end| *end == End::Left)) {
                problems.push(format!(
                    "request {number}: {end:?}, recorded {:?}",
                    record.outcome
                ));
            }
        }
        if !record.is_estimated && recorded != (0, 0) && Some(recorded) != counted {
            problems.push(format!("request {number}: tokens {recorded:?} of nobody"));
        }
        if usize::try_from(record.attempts).unwrap() > sent.len().max(1) {
            problems.push(format!(
                "request {number}: {} attempts recorded",
                record.attempts
            ));
        }
    }
}

/// Whether the record of a call may be lost with its gateway: one that ended less than a second before,
/// or while the database had faults.
fn may_be_lost(world: &World, killed_at: Option<u64>, ended_at: Option<u64>) -> bool {
    let Some(killed_at) = killed_at else {
        return false;
    };
    let Some(ended_at) = ended_at else {
        return true;
    };
    let is_near = |storm: &(u64, u64)| storm.0 <= killed_at && storm.1 + RECOVERY >= ended_at;
    ended_at + FLUSHED > killed_at || world.storms.iter().any(is_near)
}

/// The records of calls that ended so many milliseconds ago are written.
const FLUSHED: u64 = 1_000;
/// How long after a fault the ledger waits before its next attempt, in milliseconds.
const RECOVERY: u64 = 5_000;

/// The longest time from the admission of a call until it reaches an upstream, in milliseconds.
const ADMITTED: u64 = 10_000;

/// Rates and parallel calls stay within the limits of a key.
fn limits(world: &World, attempts: &[Attempt], problems: &mut Vec<String>) {
    for process in 0..world.processes.len() {
        let of = |key| {
            let attempts = attempts
                .iter()
                .filter(move |a| (a.key, a.process) == (key, process));
            attempts.collect::<Vec<_>>()
        };
        let admitted: BTreeMap<usize, u64> =
            of(RATE).iter().rev().map(|a| (a.number, a.began)).collect();
        for start in admitted.values() {
            for end in admitted.values().filter(|end| *end >= start) {
                let window = *start..=*end;
                let count = admitted.values().filter(|at| window.contains(at)).count();
                // A bucket that is full at first, and refilled evenly. A call may reach its upstream
                // later than it was admitted.
                let refilled_for = end - start + ADMITTED;
                let refilled = (plan::REQUESTS_PER_MINUTE * refilled_for).div_ceil(60_000);
                if count > usize::try_from(plan::REQUESTS_PER_MINUTE + refilled).unwrap() {
                    let millis = end - start;
                    problems.push(format!(
                        "{count} requests in {millis} ms at gateway {process}"
                    ));
                }
            }
        }
        let parallel = of(PARALLEL);
        for attempt in &parallel {
            let at = attempt.began;
            let runs = |a: &&&Attempt| a.began <= at && a.ended.is_none_or(|ended| ended > at);
            let count = parallel.iter().filter(runs).count();
            if count > usize::try_from(PARALLEL_REQUESTS).unwrap() {
                problems.push(format!("{count} parallel requests at gateway {process}"));
            }
        }
    }
}

/// The spend of each budget is that of its records and within its maximum; and all of the rest can be
/// reserved, since nothing else is.
async fn budgets(
    world: &World,
    records: &BTreeMap<usize, Vec<UsageRecord>>,
    problems: &mut Vec<String>,
) {
    if world
        .processes
        .iter()
        .any(|process| process.killed_at.is_some())
    {
        // Its leases expire.
        sleep(LedgerOptions::default().lease_time).await;
    }
    let cache = KeyCache::new(&world.store, CacheOptions::default())
        .await
        .unwrap();
    let ledger = Ledger::new(&world.store, LedgerOptions::default())
        .await
        .unwrap();
    sleep(Duration::from_secs(2)).await;
    for key in 0..KEYS - 1 {
        let info = world.store.keys().get(&KeyHash::of(secret(key))).await;
        let KeyInfo {
            key: stored, spend, ..
        } = info.unwrap().unwrap();
        let of_key = |record: &&UsageRecord| record.key_id.as_ref() == Some(&stored.id);
        let recorded: Money = records
            .values()
            .flatten()
            .filter(of_key)
            .map(|r| r.cost)
            .sum();
        if spend != recorded {
            problems.push(format!("key {key}: spend {spend}, records {recorded}"));
        }
        let (maximum, spend) = match key {
            BUDGET => (plan::BUDGET_DOLLARS, spend),
            TEAM => {
                let team = world.store.owners().get(OwnerKind::Team, "team").await;
                (plan::TEAM_DOLLARS, team.unwrap().unwrap().spend)
            }
            _ => continue,
        };
        let maximum: Money = maximum.parse().unwrap();
        let overdraft = match world.storms.as_slice() {
            [] => Money::ZERO,
            _ => {
                let processes = world.processes.len().try_into().unwrap();
                LedgerOptions::default().overdraft.times(processes)
            }
        };
        if spend > maximum + overdraft {
            problems.push(format!("key {key}: spend {spend} of {maximum}"));
        }
        let access = cache.find(secret(key).as_bytes()).await.unwrap().unwrap();
        let rest = (maximum - spend).max(Money::ZERO);
        match ledger.reserve(access.charge(), rest).await {
            Ok(reservation) => drop(reservation),
            Err(_) if spend > maximum => {}
            Err(error) => problems.push(format!("key {key}: {rest} is left, and {error}")),
        }
        let more = rest + Money::from_nanos(1);
        match ledger.reserve(access.charge(), more).await {
            Err(error) if error.kind() == ErrorKind::BudgetExceeded => {}
            other => problems.push(format!("key {key}: more than the rest: {other:?}")),
        }
    }
}
