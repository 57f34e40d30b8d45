//! Shared state in memory.
//!
//! The rules are those of `begin.lua` and `end.lua`; `shared/tests.rs` compares the two.

use std::collections::HashMap;
use std::future::ready;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::BoxFuture;

use super::{
    Begin, Begun, Choice, End, Health, Level, PROBE_TIME, Settlement, SharedCooldown, Store,
    Subject,
};
use crate::clock::{Clock, nanos};
use crate::limits::{Charge, Rate};

/// State that the routers of one process share.
#[derive(Debug)]
pub(super) struct Memory {
    clock: Clock,
    /// A simulated time in microseconds.
    #[cfg(test)]
    simulated: Option<std::sync::Arc<std::sync::atomic::AtomicU64>>,
    tables: Mutex<Tables>,
}

#[derive(Debug, Default)]
struct Tables {
    subjects: HashMap<String, Record>,
    /// The subjects of sessions, and when they are forgotten.
    pins: HashMap<String, (String, u64)>,
    values: HashMap<String, (Vec<u8>, u64)>,
}

/// What is known of a subject; all times are in microseconds.
#[derive(Clone, Copy, Debug, Default)]
struct Record {
    requests_paid: u64,
    tokens_paid: u64,
    /// The end of the cooldown; 0 if there is none.
    until: u64,
    cooldowns: u32,
    cause: u8,
    /// The end of the time in which only one call may probe.
    probed: u64,
    minute: u64,
    requests: u64,
    tokens: u64,
}

/// Why a choice does not admit a call.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Refused {
    /// It is at its limits: its sessions stay with it.
    Limits,
    Health,
}

impl Default for Memory {
    fn default() -> Self {
        Self {
            clock: Clock::new(),
            #[cfg(test)]
            simulated: None,
            tables: Mutex::default(),
        }
    }
}

impl Store for Memory {
    fn begin(&self, begin: Begin) -> BoxFuture<'_, Option<Begun>> {
        let begun = self.lock().begin(&begin, self.now());
        Box::pin(ready(Some(begun)))
    }

    fn end(&self, end: End) {
        self.lock().end(&end, self.now());
    }

    fn keep(&self, key: String, value: Vec<u8>, time_to_live: Duration) {
        let now = self.now();
        let mut tables = self.lock();
        if tables.values.len() >= MOST_VALUES {
            tables.values.retain(|_, (_, expires)| *expires > now);
        }
        if tables.values.len() < MOST_VALUES {
            tables
                .values
                .insert(key, (value, now + micros(time_to_live)));
        }
    }
}

impl Memory {
    fn lock(&self) -> MutexGuard<'_, Tables> {
        self.tables.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The state at a simulated time.
    #[cfg(all(test, feature = "redis"))]
    pub(super) fn at(now: std::sync::Arc<std::sync::atomic::AtomicU64>) -> Self {
        Self {
            simulated: Some(now),
            ..Self::default()
        }
    }

    fn now(&self) -> u64 {
        #[cfg(test)]
        if let Some(now) = &self.simulated {
            return now.load(std::sync::atomic::Ordering::Relaxed);
        }
        self.clock.now() / 1000
    }
}

impl Tables {
    fn begin(&mut self, begin: &Begin, now: u64) -> Begun {
        let is_denied = !self.admit(&begin.holders, now);
        let holders = begin.holders.iter();
        let begun = Begun {
            is_denied,
            holders: holders.map(|holder| self.level(holder, now)).collect(),
            ..Begun::default()
        };
        if is_denied {
            return begun;
        }
        let value = begin.lookup.as_ref().and_then(|key| self.values.get(key));
        if let Some((value, _)) = value.filter(|(_, expires)| *expires > now) {
            return Begun {
                found: Some(value.clone()),
                ..begun
            };
        }
        if self.subjects.len() >= MOST_VALUES {
            self.subjects.retain(|_, record| record.is_needed(now));
        }
        let subjects = || begin.choices.iter().flat_map(|choice| &choice.subjects);
        for subject in subjects() {
            let record = self.subjects.entry(subject.key.to_string()).or_default();
            record.advance(now);
        }
        let pinned = self.pinned(begin, now);
        let mut order = pinned.into_iter().chain(0..begin.choices.len());
        let refused = |index: &usize| self.refused(begin.choices.get(*index), now);
        let chosen = order.find(|index| refused(index).is_none());
        let keeps_pin = pinned.is_some_and(|pinned| refused(&pinned) == Some(Refused::Limits));
        let mut begun = Begun { chosen, ..begun };
        if let Some(choice) = chosen.and_then(|index| begin.choices.get(index)) {
            for subject in &choice.subjects {
                begun.is_probe |= self.charge(subject, now);
            }
            if let (Some((session, time)), false) = (&begin.session, keeps_pin)
                && let Some(subject) = choice.subjects.first()
            {
                let pin = (subject.key.to_string(), now + micros(*time));
                self.pins.insert(session.clone(), pin);
            }
        }
        begun.levels = subjects().map(|subject| self.level(subject, now)).collect();
        begun
    }

    /// Charges all holders, or none.
    fn admit(&mut self, holders: &[Subject], now: u64) -> bool {
        for holder in holders {
            let record = self.subjects.entry(holder.key.to_string()).or_default();
            record.advance(now);
        }
        let mut records = holders.iter().filter_map(|holder| {
            let record = self.subjects.get(&*holder.key)?;
            Some((holder, record))
        });
        let admits = records.all(|(holder, record)| record.admits(holder, now));
        if admits {
            for holder in holders {
                self.charge(holder, now);
            }
        }
        admits
    }

    /// The index of the choice to which the session is pinned.
    fn pinned(&mut self, begin: &Begin, now: u64) -> Option<usize> {
        let (session, _) = begin.session.as_ref()?;
        if self.pins.len() >= MOST_VALUES {
            self.pins.retain(|_, (_, expires)| *expires > now);
        }
        let (pin, expires) = self.pins.get(session)?;
        let is_pinned = |choice: &Choice| {
            let first = choice.subjects.first();
            first.is_some_and(|subject| *subject.key == **pin)
        };
        let index = begin.choices.iter().position(is_pinned);
        index.filter(|_| *expires > now)
    }

    fn refused(&self, choice: Option<&Choice>, now: u64) -> Option<Refused> {
        let Some(choice) = choice else {
            return Some(Refused::Health);
        };
        let records = choice.subjects.iter().filter_map(|subject| {
            let record = self.subjects.get(&*subject.key)?;
            Some((subject, record))
        });
        let cools = |record: &Record| record.until > 0 && record.until.max(record.probed) > now;
        if records.clone().any(|(_, record)| cools(record)) {
            return Some(Refused::Health);
        }
        let admits = |(subject, record): (&Subject, &Record)| record.admits(subject, now);
        let has_room = !choice.is_full && records.clone().all(admits);
        (!has_room).then_some(Refused::Limits)
    }

    /// Charges a subject; returns whether the call is a probe.
    fn charge(&mut self, subject: &Subject, now: u64) -> bool {
        let Some(record) = self.subjects.get_mut(&*subject.key) else {
            return false;
        };
        for (rate, paid, cost) in [
            (subject.rpm, &mut record.requests_paid, 1),
            (subject.tpm, &mut record.tokens_paid, subject.tokens),
        ] {
            if let Some(rate) = rate {
                let charged = rate.charged(*paid * 1000, cost, now * 1000);
                *paid = charged / 1000;
            }
        }
        record.requests += 1;
        let is_probe = record.until > 0;
        if is_probe {
            record.probed = now + PROBE_TIME;
        }
        is_probe
    }

    fn level(&self, subject: &Subject, now: u64) -> Level {
        let record = self.subjects.get(&*subject.key).copied();
        let record = record.unwrap_or_default();
        let cooldown = (record.until > 0).then(|| SharedCooldown {
            left: record.until.max(record.probed).saturating_sub(now),
            count: record.cooldowns,
            cause: record.cause,
        });
        Level {
            requests_owed: record.requests_paid.saturating_sub(now),
            tokens_owed: record.tokens_paid.saturating_sub(now),
            requests_paid: record.requests_paid,
            tokens_paid: record.tokens_paid,
            cooldown,
            requests: record.requests,
            tokens: record.tokens,
        }
    }

    fn end(&mut self, end: &End, now: u64) {
        let record = self.subjects.entry(end.key.to_string()).or_default();
        record.advance(now);
        record.requests_paid = settled(record.requests_paid, end.requests, now);
        record.tokens_paid = settled(record.tokens_paid, end.tokens, now);
        record.tokens += end.used;
        match end.health {
            Health::Same => {}
            Health::Unprobed => record.probed = 0,
            Health::Recovered => {
                (record.until, record.probed, record.cooldowns) = (0, 0, 0);
            }
            Health::Cooling(cooldown) => {
                record.until = record.until.max(now + cooldown.left);
                record.probed = 0;
                (record.cooldowns, record.cause) = (cooldown.count, cooldown.cause);
            }
        }
    }
}

impl Record {
    /// Whether forgetting it would make a difference.
    fn is_needed(&self, now: u64) -> bool {
        self.requests_paid.max(self.tokens_paid) > now
            || self.until > 0
            || self.minute == now / MINUTE
    }

    /// Whether the limits of a subject admit a call.
    fn admits(&self, subject: &Subject, now: u64) -> bool {
        let fits = |rate: Option<Rate>, paid: u64, cost: u64| {
            rate.is_none_or(|rate| {
                let ready = rate.ready_at(paid * 1000, cost);
                ready.is_some_and(|ready| ready <= now * 1000)
            })
        };
        fits(subject.rpm, self.requests_paid, 1)
            && fits(subject.tpm, self.tokens_paid, subject.tokens)
    }

    /// Begins a new minute.
    fn advance(&mut self, now: u64) {
        let minute = now / MINUTE;
        if self.minute != minute {
            (self.minute, self.requests, self.tokens) = (minute, 0, 0);
        }
    }
}

fn settled(paid: u64, settlement: Option<Settlement>, now: u64) -> u64 {
    let Some(settlement) = settlement else {
        return paid;
    };
    let charge = Charge::new(settlement.cost, settlement.paid * 1000);
    let rate = settlement.rate;
    rate.settled(paid * 1000, charge, settlement.used, now * 1000) / 1000
}

fn micros(duration: Duration) -> u64 {
    nanos(duration) / 1000
}

const MINUTE: u64 = 60_000_000;
/// The most sessions and values; of more subjects, those that owe nothing are forgotten.
const MOST_VALUES: usize = 100_000;
