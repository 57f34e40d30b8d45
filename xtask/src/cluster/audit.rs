//! The comparison of three accounts of the same requests: that of the clients, that of the simulated
//! upstream, and the ledger.

use std::collections::{BTreeMap, HashMap};

use anyhow::{Context, Result};
use serde_json::Value;

use super::fleet::{Fleet, MASTER};
use super::load::{End, Sent};
use crate::http::{self, Request};

/// A request that the simulation received.
#[derive(Clone, Debug)]
pub(super) struct Attempt {
    /// That of [`Sent`].
    pub(super) subject: String,
    /// The tokens of the prompt and of the reply; `None` if a fault replaced the reply.
    pub(super) usage: Option<(u64, u64)>,
    /// Whether the whole response was sent.
    pub(super) is_finished: bool,
}

/// A record of the ledger.
#[derive(Clone, Debug)]
pub(super) struct Record {
    pub(super) number: usize,
    pub(super) tokens: (u64, u64),
    /// In nano-dollars.
    pub(super) cost: i64,
    pub(super) is_estimated: bool,
    pub(super) is_cached: bool,
    is_failed: bool,
}

/// The tokens and requests of one key.
#[derive(Clone, Debug, Default)]
pub(super) struct Account {
    pub(super) requests: usize,
    /// Tokens of whole replies, as the simulation counted them.
    pub(super) simulated: u64,
    /// Tokens of records that are not estimated, except of replies from the cache.
    pub(super) recorded: u64,
    /// Requests whose record is marked as estimated.
    pub(super) estimated: usize,
    pub(super) cached: usize,
    /// Replies of calls whose client left or whose gateway ended before it had all of it: marked as
    /// estimated or failed, or lost with their gateway less than a second after their end.
    pub(super) unfinished: u64,
}

/// Reads what the simulation has seen, a part at a time: it forgets the oldest requests.
#[derive(Debug, Default)]
pub(super) struct Simulation {
    seen: BTreeMap<u64, (Attempt, bool)>,
}

impl Simulation {
    /// Reads the requests that are new or were still running.
    pub(super) fn read(&mut self, fleet: &Fleet) -> Result<()> {
        let running = self.seen.iter().find(|(_, (_, is_running))| *is_running);
        let next = self
            .seen
            .last_key_value()
            .map_or(0, |(number, _)| number + 1);
        let since = running.map_or(next, |(number, _)| *number);
        let line = format!("GET /_sim/requests?since={since}");
        let page = http::json(&fleet.sim, Request::new(&line, "none", ""))?;
        for seen in page.as_array().into_iter().flatten() {
            let number = seen["number"]
                .as_u64()
                .context("a request without number")?;
            let content = seen["body"]["messages"][0]["content"].as_str();
            let Some(subject) = content.and_then(subject) else {
                continue;
            };
            let usage = &seen["usage"];
            let outcome = seen["times"]["outcome"].as_str().unwrap_or_default();
            let attempt = Attempt {
                subject,
                usage: tokens(usage),
                is_finished: outcome == "finished",
            };
            self.seen.insert(number, (attempt, outcome == "running"));
        }
        Ok(())
    }

    pub(super) fn running(&self) -> usize {
        self.seen
            .values()
            .filter(|(_, is_running)| *is_running)
            .count()
    }

    pub(super) fn attempts(&self) -> Vec<Attempt> {
        self.seen
            .values()
            .map(|(attempt, _)| attempt.clone())
            .collect()
    }
}

fn tokens(usage: &Value) -> Option<(u64, u64)> {
    let of = |name: &str| usage[name].as_u64();
    Some((of("prompt_tokens")?, of("completion_tokens")?))
}

/// The text in the first brackets of a prompt.
fn subject(content: &str) -> Option<String> {
    let (_, rest) = content.split_once('(')?;
    Some(rest.split_once(')')?.0.to_owned())
}

/// All records of the ledger.
pub(super) fn records(address: &str) -> Result<Vec<Record>> {
    let (mut records, mut after) = (Vec::new(), String::new());
    loop {
        let line = format!("GET /spend/logs?size=1000{after}");
        let response = Request::new(&line, MASTER, "")
            .send(address)
            .context("the records cannot be read")?;
        let page: Value = serde_json::from_str(&response.body)
            .with_context(|| format!("no records: {}", response.body))?;
        for record in page
            .as_array()
            .with_context(|| format!("no list: {page}"))?
        {
            let number = record["session_id"].as_str().and_then(|id| id.parse().ok());
            records.push(Record {
                number: number.context("a record of an unknown session")?,
                tokens: tokens(record).context("a record without tokens")?,
                cost: super::nanos(record["spend"].as_f64().context("a record without spend")?),
                is_estimated: record["is_estimated"] == true,
                is_cached: record["cache_hit"] == "True",
                is_failed: record["status"] == "failure",
            });
        }
        match response.header("x-polyllm-next-page") {
            Some(next) => after = format!("&after={next}"),
            None => return Ok(records),
        }
    }
}

/// Compares the accounts, and returns those of each key, and what cannot be explained.
pub(super) fn compare(
    sent: &[Sent],
    attempts: &[Attempt],
    records: &[Record],
    kills: &[(usize, u64)],
) -> (BTreeMap<usize, Account>, Vec<String>) {
    let mut audit = Audit::new(attempts, kills);
    let mut recorded: HashMap<usize, Vec<&Record>> = HashMap::new();
    for record in records {
        recorded.entry(record.number).or_default().push(record);
    }
    // First each record takes the reply that it is about; what is left are replies without a record.
    for request in sent {
        audit.request(
            request,
            &recorded.remove(&request.number).unwrap_or_default(),
        );
    }
    audit.replies_without_a_record();
    for number in recorded.keys() {
        audit.report(format!("request {number} is recorded and was not sent"));
    }
    audit.sums();
    (audit.accounts, audit.problems)
}

/// Input and output tokens of replies, by their subject.
type Replies<'a> = HashMap<&'a str, Vec<(u64, u64)>>;

/// What the simulation counted and no record is about yet, and what was found so far.
struct Audit<'a> {
    kills: &'a [(usize, u64)],
    accounts: BTreeMap<usize, Account>,
    replies: Replies<'a>,
    /// Those whose connection ended early.
    unfinished: Replies<'a>,
    /// Requests without a record of exact tokens.
    open: Vec<&'a Sent>,
    problems: Vec<String>,
}

impl<'a> Audit<'a> {
    fn new(attempts: &'a [Attempt], kills: &'a [(usize, u64)]) -> Self {
        let mut accounts: BTreeMap<usize, Account> = BTreeMap::new();
        let (mut replies, mut unfinished) = (Replies::new(), Replies::new());
        for attempt in attempts {
            let Some(usage) = attempt.usage else { continue };
            let subject = attempt.subject.as_str();
            if attempt.is_finished {
                let key = subject.split(' ').next().and_then(|key| key.parse().ok());
                let account = accounts.entry(key.unwrap_or(usize::MAX)).or_default();
                account.simulated += usage.0 + usage.1;
                replies.entry(subject).or_default().push(usage);
            } else {
                unfinished.entry(subject).or_default().push(usage);
            }
        }
        Self {
            kills,
            accounts,
            replies,
            unfinished,
            open: Vec::new(),
            problems: Vec::new(),
        }
    }

    fn report(&mut self, problem: String) {
        self.problems.push(problem);
    }

    fn account(&mut self, request: &Sent) -> &mut Account {
        self.accounts.entry(request.key).or_default()
    }

    /// Compares a request with its records.
    fn request(&mut self, request: &'a Sent, records: &[&Record]) {
        let number = request.number;
        self.account(request).requests += 1;
        let record = match records {
            [] => {
                if request.end == End::Complete && !is_lost(request, self.kills) {
                    self.report(format!("request {number} is answered and has no record"));
                }
                return self.open.push(request);
            }
            [record] => *record,
            more => return self.report(format!("request {number} has {} records", more.len())),
        };
        self.tokens(request, record);
        if matches!(request.end, End::Refused(..)) && !record.is_failed {
            self.report(format!(
                "request {number} failed and is recorded as a success"
            ));
        }
    }

    /// Compares the tokens of a record with those of a reply of the simulation.
    fn tokens(&mut self, request: &'a Sent, record: &Record) {
        let (number, tokens) = (request.number, record.tokens);
        let is_complete = request.end == End::Complete;
        if record.is_cached {
            self.account(request).cached += 1;
            if record.cost != 0 {
                self.report(format!("request {number} came from the cache and costs"));
            }
        } else if record.is_estimated {
            self.account(request).estimated += 1;
            self.open.push(request);
            if is_complete {
                self.report(format!("request {number} is complete and estimated"));
            }
        } else if tokens == (0, 0) {
            self.open.push(request);
            if is_complete {
                self.report(format!(
                    "request {number} is complete and recorded without tokens"
                ));
            }
        } else {
            let (subject, sum) = (request.subject.as_str(), tokens.0 + tokens.1);
            self.account(request).recorded += sum;
            if take(&mut self.replies, subject, tokens) {
            } else if take(&mut self.unfinished, subject, tokens) {
                // The gateway had the usage before the end of the response.
                self.account(request).simulated += sum;
            } else {
                self.report(format!(
                    "request {number}: {tokens:?} recorded, not simulated"
                ));
            }
        }
    }

    /// Assigns the replies that are left to requests that have no exact record.
    fn replies_without_a_record(&mut self) {
        for request in std::mem::take(&mut self.open) {
            let replies = self.replies.get_mut(request.subject.as_str());
            let Some(left) = replies.and_then(Vec::pop) else {
                continue;
            };
            self.account(request).unfinished += left.0 + left.1;
            if request.end == End::Complete && !is_lost(request, self.kills) {
                let number = request.number;
                self.report(format!("request {number} is served and not charged"));
            }
        }
        for (subject, left) in std::mem::take(&mut self.replies) {
            for usage in left {
                self.report(format!(
                    "{usage:?} were simulated for ({subject}) and not recorded"
                ));
            }
        }
    }

    /// Compares the sums of each key.
    fn sums(&mut self) {
        for (key, account) in &self.accounts {
            let Account {
                simulated,
                recorded,
                unfinished,
                ..
            } = account;
            if *simulated != recorded + unfinished {
                self.problems.push(format!(
                    "key {key}: {simulated} tokens simulated, {recorded} recorded"
                ));
            }
        }
    }
}

/// Takes a reply with these tokens, if there is one.
fn take(replies: &mut Replies<'_>, subject: &str, tokens: (u64, u64)) -> bool {
    let Some(all) = replies.get_mut(subject) else {
        return false;
    };
    let found = all.iter().position(|usage| *usage == tokens);
    found.map(|index| all.swap_remove(index)).is_some()
}

/// Whether the record of a request may be lost: its gateway was killed while it ran, or less than a
/// second after it.
pub(super) fn is_lost(request: &Sent, kills: &[(usize, u64)]) -> bool {
    let (began, ended) = (request.began, request.ended + FLUSHED);
    let of_gateway = kills
        .iter()
        .filter(|(gateway, _)| *gateway == request.gateway);
    { of_gateway }.any(|(_, at)| (began..ended).contains(at))
}

/// Records of requests that ended so many milliseconds ago are in the database.
const FLUSHED: u64 = 1_000;

#[cfg(test)]
mod tests {
    use super::*;

    fn request(number: usize, end: End) -> Sent {
        Sent {
            number,
            key: 1,
            subject: format!("1 r{number}"),
            gateway: 0,
            began: 1_000,
            ended: 2_000,
            end,
            estimate: 0,
            tokens: 0,
            is_doomed: false,
        }
    }

    fn attempt(number: usize, is_finished: bool) -> Attempt {
        Attempt {
            subject: format!("1 r{number}"),
            usage: Some((3, 4)),
            is_finished,
        }
    }

    fn record(number: usize) -> Record {
        Record {
            number,
            tokens: (3, 4),
            cost: 1,
            is_estimated: false,
            is_cached: false,
            is_failed: false,
        }
    }

    #[track_caller]
    fn check(end: End, attempts: &[Attempt], records: &[Record], kill: u64, wanted: &[&str]) {
        let (_, problems) = compare(&[request(1, end)], attempts, records, &[(0, kill)]);
        assert_eq!(problems, wanted);
    }

    #[test]
    fn accounts_that_agree_have_no_problem() {
        check(End::Complete, &[attempt(1, true)], &[record(1)], 0, &[]);
        // The client left: whatever the simulation counted is estimated.
        let estimated = Record {
            tokens: (9, 9),
            is_estimated: true,
            ..record(1)
        };
        check(End::Left, &[attempt(1, true)], &[estimated], 0, &[]);
        // The gateway was killed half a second after the call.
        check(End::Complete, &[attempt(1, true)], &[], 2_500, &[]);
    }

    #[test]
    fn every_difference_is_found() {
        let lost = [
            "request 1 is answered and has no record",
            "request 1 is served and not charged",
        ];
        check(End::Complete, &[attempt(1, true)], &[], 3_500, &lost);
        let twice = [record(1), record(1)];
        let problems = [
            "request 1 has 2 records",
            "(3, 4) were simulated for (1 r1) and not recorded",
            "key 1: 7 tokens simulated, 0 recorded",
        ];
        check(End::Complete, &[attempt(1, true)], &twice, 0, &problems);
        let more = Record {
            tokens: (3, 5),
            ..record(1)
        };
        let (_, problems) = compare(
            &[request(1, End::Complete)],
            &[attempt(1, true)],
            &[more],
            &[],
        );
        assert_eq!(problems.len(), 3, "{problems:?}");
        let two = [attempt(1, true), attempt(1, true)];
        let free = [
            "(3, 4) were simulated for (1 r1) and not recorded",
            "key 1: 14 tokens simulated, 7 recorded",
        ];
        check(End::Complete, &two, &[record(1)], 0, &free);
        let unknown = [record(1), record(7)];
        let wanted = ["request 7 is recorded and was not sent"];
        check(End::Complete, &[attempt(1, true)], &unknown, 0, &wanted);
    }
}
