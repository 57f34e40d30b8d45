//! The guarantees, each compared with what happened.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use super::audit::{self, Account, Attempt, Record};
use super::load::{End, Key, Sent};

/// One guarantee, and what was found.
#[derive(Clone, Debug)]
pub(super) struct Row {
    pub(super) promise: &'static str,
    pub(super) found: String,
    holds: bool,
}

impl Row {
    pub(super) fn holds(&self) -> bool {
        self.holds
    }
}

/// A key with a budget.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wallet {
    pub(super) key: usize,
    /// In nano-dollars.
    pub(super) budget: i64,
    /// Whether the database was away while it was used.
    pub(super) has_outage: bool,
}

/// Many requests at once with a key that has a limit per minute.
#[derive(Clone, Copy, Debug)]
pub(super) struct Burst {
    pub(super) name: &'static str,
    pub(super) key: usize,
    pub(super) requests: Option<u64>,
    pub(super) tokens: Option<u64>,
    /// How many times the limit is allowed: once, or once for each gateway.
    pub(super) gateways: usize,
    pub(super) time: Duration,
}

/// What all sides know of a run.
pub(super) struct Accounts {
    pub(super) sent: Vec<Sent>,
    pub(super) attempts: Vec<Attempt>,
    pub(super) records: Vec<Record>,
    /// The spend of keys in nano-dollars.
    pub(super) spend: Vec<(usize, i64)>,
    /// When which gateway was killed.
    pub(super) kills: Vec<(usize, u64)>,
    /// How many processes of gateways there were.
    pub(super) processes: usize,
    /// Calls that run upstream although no client is left.
    pub(super) still_running: usize,
}

/// Compares everything, and describes what does not agree.
pub(super) fn check(
    accounts: &Accounts,
    keys: &[Arc<Key>],
    wallets: &[Wallet],
    bursts: &[Burst],
    revocations: &[Duration],
) -> (Vec<Row>, Vec<String>) {
    let (mut rows, mut problems) = (Vec::new(), Vec::new());
    let mut row = |promise, found: String, found_problems: Vec<String>| {
        rows.push(Row {
            promise,
            found,
            holds: found_problems.is_empty(),
        });
        problems.extend(found_problems);
    };
    let (by_key, unexplained) = audit::compare(
        &accounts.sent,
        &accounts.attempts,
        &accounts.records,
        &accounts.kills,
    );
    let sum = |of: fn(&Account) -> u64| by_key.values().map(of).sum::<u64>();
    let found = format!(
        "{} requests of {} keys: {} tokens simulated = {} recorded + {} of calls that did not end for \
         their clients; {} records estimated, {} from the cache, {} kills",
        accounts.sent.len(),
        by_key.len(),
        sum(|account| account.simulated),
        sum(|account| account.recorded),
        sum(|account| account.unfinished),
        by_key
            .values()
            .map(|account| account.estimated)
            .sum::<usize>(),
        by_key.values().map(|account| account.cached).sum::<usize>(),
        accounts.kills.len(),
    );
    row(
        "the ledger equals the simulation, key by key",
        found,
        unexplained,
    );
    let (found, wrong) = spend(accounts);
    row("the spend of a key is that of its records", found, wrong);
    for (promise, has_outage) in [
        ("a budget is not exceeded while gateways are killed", false),
        ("nor by more than the overdraft in an outage", true),
    ] {
        let (found, wrong) = budgets(accounts, wallets, has_outage);
        row(promise, found, wrong);
    }
    let (found, wrong) = limits(accounts, bursts);
    row("limits hold across gateways", found, wrong);
    let slowest = revocations.iter().max().copied().unwrap_or_default();
    let late = revocations.iter().filter(|time| **time > LATEST_REVOCATION);
    row(
        "a revoked key is refused by all within 5 s",
        format!(
            "{} keys, at most {} ms",
            revocations.len(),
            slowest.as_millis()
        ),
        late.map(|time| format!("a revoked key was accepted for {} ms", time.as_millis()))
            .collect(),
    );
    let (found, wrong) = ends(accounts, keys);
    row("every request ends as it should", found, wrong);
    let running = accounts.still_running;
    row(
        "nothing runs upstream for a client that left",
        format!("{running} calls"),
        (running > 0)
            .then(|| format!("{running} calls still run upstream"))
            .into_iter()
            .collect(),
    );
    (rows, problems)
}

/// Records of a key.
fn records_of(accounts: &Accounts, key: usize) -> impl Iterator<Item = (&Sent, &Record)> {
    let requests = accounts.sent.iter().filter(move |sent| sent.key == key);
    requests.flat_map(|sent| {
        let records = accounts.records.iter();
        records
            .filter(|record| record.number == sent.number)
            .map(move |record| (sent, record))
    })
}

fn spend(accounts: &Accounts) -> (String, Vec<String>) {
    let mut wrong = Vec::new();
    let mut total = 0;
    for (key, spend) in &accounts.spend {
        let recorded: i64 = records_of(accounts, *key)
            .map(|(_, record)| record.cost)
            .sum();
        total += spend;
        if *spend != recorded {
            wrong.push(format!(
                "key {key}: spend {spend}, records {recorded} nano-dollars"
            ));
        }
    }
    (
        format!("{} keys, {} dollars", accounts.spend.len(), dollars(total)),
        wrong,
    )
}

fn budgets(accounts: &Accounts, wallets: &[Wallet], has_outage: bool) -> (String, Vec<String>) {
    let mut wrong = Vec::new();
    let (mut most, mut refused, mut count) = (0, 0, 0);
    for wallet in wallets
        .iter()
        .filter(|wallet| wallet.has_outage == has_outage)
    {
        let Wallet { key, budget, .. } = *wallet;
        let spend: i64 = records_of(accounts, key)
            .map(|(_, record)| record.cost)
            .sum();
        let excess = records_of(accounts, key).map(|(sent, record)| record.cost - sent.estimate);
        let mut allowed = budget + excess.map(|excess| excess.max(0)).sum::<i64>();
        if has_outage {
            allowed +=
                OVERDRAFT * i64::try_from(accounts.processes).unwrap_or(i64::MAX / OVERDRAFT);
        }
        if spend > allowed {
            wrong.push(format!(
                "key {key}: spend {} of {}",
                dollars(spend),
                dollars(allowed)
            ));
        }
        let exceeded = |sent: &&Sent| {
            sent.key == key && sent.end == End::Refused(429, "budget_exceeded".to_owned())
        };
        let refusals = accounts.sent.iter().filter(exceeded).count();
        if !has_outage && refusals == 0 {
            wrong.push(format!(
                "key {key} did not use its budget up: nothing was tested"
            ));
        }
        (most, refused, count) = (most.max(spend), refused + refusals, count + 1);
    }
    let found = format!(
        "{count} budgets of {} dollars, {} spent at most, {refused} calls refused",
        dollars(wallets.first().map_or(0, |wallet| wallet.budget)),
        dollars(most),
    );
    (found, wrong)
}

fn limits(accounts: &Accounts, bursts: &[Burst]) -> (String, Vec<String>) {
    let (mut found, mut wrong) = (Vec::new(), Vec::new());
    for burst in bursts {
        let own = || accounts.sent.iter().filter(|sent| sent.key == burst.key);
        let subjects: HashSet<_> = own().map(|sent| sent.subject.as_str()).collect();
        let admitted = accounts
            .attempts
            .iter()
            .map(|attempt| attempt.subject.as_str());
        let admitted: HashSet<_> = admitted
            .filter(|subject| subjects.contains(subject))
            .collect();
        let (what, used, limit) = match (burst.requests, burst.tokens) {
            (Some(limit), _) => ("requests", admitted.len() as u64, limit),
            (_, limit) => {
                let calls = own().filter(|sent| admitted.contains(sent.subject.as_str()));
                (
                    "tokens",
                    calls.map(|sent| sent.tokens).sum(),
                    limit.unwrap_or(0),
                )
            }
        };
        // All of a limit may come at once, and it is refilled evenly within a minute. What calls used
        // less than their estimates is returned.
        let refilled = limit as f64 * burst.time.as_secs_f64() / 60.0;
        let returned = match what {
            "tokens" => records_of(accounts, burst.key)
                .map(|(sent, record)| {
                    sent.tokens
                        .saturating_sub(record.tokens.0 + record.tokens.1)
                })
                .sum(),
            _ => 0,
        };
        let allowed = burst.gateways as f64 * (limit as f64 + refilled + 1.0) + returned as f64;
        if used as f64 > allowed {
            wrong.push(format!("{what} {}: {used} of {allowed:.0}", burst.name));
        }
        if used * 2 < limit || own().all(|sent| sent.end == End::Complete) {
            wrong.push(format!(
                "{what} {}: {used} of {limit}: nothing was tested",
                burst.name
            ));
        }
        found.push(format!("{used} of {allowed:.0} {what} {}", burst.name));
    }
    (found.join(", "), wrong)
}

/// Requests end in time, and with an error only for a reason.
fn ends(accounts: &Accounts, keys: &[Arc<Key>]) -> (String, Vec<String>) {
    let mut wrong = Vec::new();
    let (mut complete, mut left, mut limited, mut failed, mut broken) = (0, 0, 0, 0, 0);
    let faulty: HashSet<_> = accounts
        .attempts
        .iter()
        .filter(|attempt| attempt.usage.is_none() || !attempt.is_finished)
        .map(|attempt| attempt.subject.as_str())
        .collect();
    for sent in &accounts.sent {
        let Sent { number, end, .. } = sent;
        let is_killed = audit::is_lost(sent, &accounts.kills);
        let is_limited = keys
            .iter()
            .any(|key| key.index == sent.key && key.is_limited);
        let has_fault = sent.is_doomed || faulty.contains(sent.subject.as_str());
        let is_explained = match end {
            End::Complete => {
                complete += 1;
                true
            }
            End::Left => {
                left += 1;
                true
            }
            End::Refused(429, code) if LIMITS.contains(&code.as_str()) && is_limited => {
                limited += 1;
                true
            }
            End::Refused(429 | 500 | 502 | 503 | 504, _) | End::Failed => {
                failed += 1;
                has_fault
            }
            End::Broken | End::Unreachable => {
                broken += 1;
                is_killed || sent.end == End::Unreachable
            }
            End::Refused(..) => false,
        };
        if !is_explained {
            wrong.push(format!(
                "request {number} at gateway {}: {end:?}",
                sent.gateway
            ));
        }
        let time = sent.ended.saturating_sub(sent.began);
        if time > LONGEST {
            wrong.push(format!("request {number} took {time} ms"));
        }
    }
    let slowest = accounts
        .sent
        .iter()
        .map(|sent| sent.ended.saturating_sub(sent.began));
    let found = format!(
        "{complete} complete, {left} left by the client, {limited} above a limit, {failed} after faults \
         upstream, {broken} at killed gateways; at most {} ms",
        slowest.max().unwrap_or(0)
    );
    (found, wrong)
}

fn dollars(nanos: i64) -> String {
    format!("{:.3}", nanos as f64 / 1e9)
}

/// Codes of calls above a limit of their key.
const LIMITS: [&str; 2] = ["budget_exceeded", "rate_limit_exceeded"];

/// The overdraft of each process in an outage: a dollar.
const OVERDRAFT: i64 = 1_000_000_000;

const LATEST_REVOCATION: Duration = Duration::from_secs(5);

/// The longest time of a request, in milliseconds.
const LONGEST: u64 = 15_000;
