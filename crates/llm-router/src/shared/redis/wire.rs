//! The commands of calls, and the replies to them.

use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{Cmd, RedisResult, Value, cmd};

use crate::clock::nanos;
use crate::limits::Rate;
use crate::shared::{
    Begin, Begun, End, Health, Level, PROBE_TIME, Settlement, SharedCooldown, Subject,
};

/// The scripts that a server has loaded, by their digests.
#[derive(Clone)]
pub(super) struct Scripts {
    begin: String,
    end: String,
}

impl Scripts {
    pub(super) async fn load(connection: &mut MultiplexedConnection) -> RedisResult<Self> {
        let mut digests = Vec::new();
        for script in [include_str!("begin.lua"), include_str!("end.lua")] {
            let mut load = cmd("SCRIPT");
            load.arg("LOAD").arg(script);
            digests.push(load.query_async::<String>(connection).await?);
        }
        Ok(Self {
            end: digests.pop().unwrap_or_default(),
            begin: digests.pop().unwrap_or_default(),
        })
    }

    pub(super) fn begin(&self, begin: &Begin, now: Option<u64>) -> Cmd {
        let subjects = || begin.choices.iter().flat_map(|choice| &choice.subjects);
        let keys = begin.holders.iter().map(|holder| &*holder.key);
        let keys = keys
            .chain(begin.lookup.iter().map(String::as_str))
            .chain(begin.session.iter().map(|(key, _)| key.as_str()))
            .chain(subjects().map(|subject| &*subject.key));
        let mut command = evaluate(&self.begin, keys, now);
        let time_to_live = begin.session.as_ref().map_or(0, |(_, time)| millis(*time));
        command
            .arg(u8::from(begin.lookup.is_some()))
            .arg(time_to_live)
            .arg(PROBE_TIME)
            .arg(begin.choices.len())
            .arg(begin.holders.len());
        let demand = |command: &mut Cmd, subject: &Subject| {
            rate(command, subject.rpm);
            rate(command, subject.tpm);
            command.arg(subject.tokens);
        };
        for holder in &begin.holders {
            demand(&mut command, holder);
        }
        for choice in &begin.choices {
            command
                .arg(choice.subjects.len())
                .arg(u8::from(choice.is_full));
            for subject in &choice.subjects {
                demand(&mut command, subject);
            }
        }
        command
    }

    pub(super) fn end(&self, end: &End, now: Option<u64>) -> Cmd {
        let mut command = evaluate(&self.end, std::iter::once(&*end.key), now);
        for settlement in [end.requests, end.tokens] {
            match settlement {
                Some(settlement) => command.arg(settlement.rate.interval),
                None => command.arg(-1),
            };
            let Settlement {
                cost, paid, used, ..
            } = settlement.unwrap_or_default();
            command.arg(cost).arg(paid).arg(used);
        }
        let (health, cooldown) = match end.health {
            Health::Same => (0, SharedCooldown::default()),
            Health::Recovered => (1, SharedCooldown::default()),
            Health::Cooling(cooldown) => (2, cooldown),
            Health::Unprobed => (3, SharedCooldown::default()),
        };
        command
            .arg(end.used)
            .arg(health)
            .arg(cooldown.left)
            .arg(cooldown.count)
            .arg(cooldown.cause);
        command
    }
}

/// Keeps a value.
pub(super) fn keep(key: &str, value: &[u8], time_to_live: Duration) -> Cmd {
    let mut command = cmd("SET");
    command
        .arg(key)
        .arg(value)
        .arg("PX")
        .arg(millis(time_to_live).max(1));
    command
}

/// The answer to `begin`; `None` if the reply has another form.
pub(super) fn begun(reply: Value, begin: &Begin) -> Option<Begun> {
    let Value::Array(mut reply) = reply else {
        return None;
    };
    let found = match reply.first_mut() {
        Some(Value::BulkString(found)) => Some(std::mem::take(found)),
        _ => None,
    };
    let numbers = reply.iter().skip(1).map(|value| match value {
        Value::Int(number) => Some(*number),
        _ => None,
    });
    let numbers: Vec<i64> = numbers.collect::<Option<_>>()?;
    let [chosen, is_probe, levels @ ..] = &numbers[..] else {
        return None;
    };
    let mut holders: Vec<Level> = levels.chunks(9).map(level).collect::<Option<_>>()?;
    let is_denied = *chosen == DENIED;
    let chosen = if is_denied { 0 } else { *chosen };
    let chosen = usize::try_from(chosen).ok()?;
    let count: usize = match is_denied || found.is_some() {
        true => 0,
        false => begin
            .choices
            .iter()
            .map(|choice| choice.subjects.len())
            .sum(),
    };
    let is_complete = holders.len() == begin.holders.len() + count && chosen <= begin.choices.len();
    is_complete.then(|| Begun {
        is_denied,
        levels: holders.split_off(begin.holders.len()),
        holders,
        found,
        chosen: chosen.checked_sub(1),
        is_probe: *is_probe == 1,
    })
}

/// The choice of a call that a holder does not admit.
const DENIED: i64 = -1;

fn level(numbers: &[i64]) -> Option<Level> {
    let [
        requests_owed,
        tokens_owed,
        requests_paid,
        tokens_paid,
        left,
        count,
        cause,
        requests,
        tokens,
    ] = *numbers
    else {
        return None;
    };
    let whole = |number: i64| u64::try_from(number).ok();
    let cooldown = whole(left).map(|left| SharedCooldown {
        left,
        count: u32::try_from(count).unwrap_or(u32::MAX),
        cause: u8::try_from(cause).unwrap_or(0),
    });
    Some(Level {
        requests_owed: whole(requests_owed)?,
        tokens_owed: whole(tokens_owed)?,
        requests_paid: whole(requests_paid)?,
        tokens_paid: whole(tokens_paid)?,
        cooldown,
        requests: whole(requests)?,
        tokens: whole(tokens)?,
    })
}

/// A call of a script.
fn evaluate<'a>(
    digest: &str,
    keys: impl Iterator<Item = &'a str> + Clone,
    now: Option<u64>,
) -> Cmd {
    let mut command = cmd("EVALSHA");
    command.arg(digest).arg(keys.clone().count());
    for key in keys {
        command.arg(key);
    }
    command.arg(now.map(|now| now.to_string()).unwrap_or_default());
    command
}

fn rate(command: &mut Cmd, rate: Option<Rate>) {
    match rate {
        Some(rate) => command
            .arg(rate.limit)
            .arg(rate.interval)
            .arg(rate.slack / 1000),
        None => command.arg(-1).arg(0).arg(0),
    };
}

fn millis(duration: Duration) -> u64 {
    nanos(duration) / 1_000_000
}
