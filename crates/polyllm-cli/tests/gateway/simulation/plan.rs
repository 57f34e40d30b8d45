//! What a seed determines before its history begins.

use fastrand::Rng;
use gateway_store::KeySettings;

/// Something that happens at a time, in milliseconds.
#[derive(Clone, Debug)]
pub(super) enum Event {
    Request(Request),
    Weather(Weather),
    /// The gateway stops in an orderly way, and another one takes over.
    Restart,
    /// The gateway ends without warning, and another one takes over.
    Kill,
    /// The operator blocks a key.
    Block(usize),
}

/// A request of a client.
#[derive(Clone, Debug)]
pub(super) struct Request {
    pub(super) number: usize,
    pub(super) key: usize,
    pub(super) model: &'static str,
    pub(super) is_streamed: bool,
    pub(super) wants_usage: bool,
    pub(super) max_tokens: u64,
    /// The time after which the client leaves.
    pub(super) patience: Option<u64>,
    /// The pause after each frame of a stream.
    pub(super) pause: u64,
}

/// How the database behaves.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Weather {
    Fine,
    /// Slow; some operations and some answers are lost.
    Rough,
    Down,
}

/// The number of keys; the last one is unknown to the gateway.
pub(super) const KEYS: usize = 7;
pub(super) const UNLIMITED: usize = 0;
pub(super) const BUDGET: usize = 1;
pub(super) const RATE: usize = 2;
pub(super) const PARALLEL: usize = 3;
pub(super) const TEAM: usize = 4;
pub(super) const ONE_MODEL: usize = 5;

/// The budgets of the key [`BUDGET`] and of the team of the key [`TEAM`], in dollars.
pub(super) const BUDGET_DOLLARS: &str = "0.4";
pub(super) const TEAM_DOLLARS: &str = "0.3";
pub(super) const REQUESTS_PER_MINUTE: u64 = 4;
pub(super) const PARALLEL_REQUESTS: u64 = 2;

/// The settings of a key; `None` for the unknown one.
pub(super) fn settings(key: usize) -> Option<KeySettings> {
    let mut settings = KeySettings::default();
    match key {
        UNLIMITED => {}
        BUDGET => settings.limits.max_budget = Some(BUDGET_DOLLARS.parse().unwrap()),
        RATE => settings.limits.rpm_limit = Some(REQUESTS_PER_MINUTE),
        PARALLEL => settings.limits.max_parallel_requests = Some(PARALLEL_REQUESTS),
        TEAM => settings.team_id = Some("team".to_owned()),
        ONE_MODEL => settings.limits.models = vec!["small".to_owned()],
        _ => return None,
    }
    Some(settings)
}

/// The events of a seed, in the order of their time.
pub(super) fn events(random: &mut Rng) -> Vec<(u64, Event)> {
    let mut events = Vec::new();
    let mut at = 100;
    let requests = random.usize(10..30);
    for number in 0..requests {
        events.push((at, Event::Request(request(number, random))));
        at += random.choice([0, 1, 40, 300, 2_000]).unwrap();
    }
    let end = at + 2_000;
    for _ in 0..random.usize(0..3) {
        let (from, length) = (random.u64(0..end), random.u64(50..6_000));
        let weather = random.choice([Weather::Rough, Weather::Down]).unwrap();
        events.push((from, Event::Weather(weather)));
        events.push((from + length, Event::Weather(Weather::Fine)));
    }
    for event in [
        Event::Restart,
        Event::Kill,
        Event::Block(random.usize(0..KEYS - 1)),
    ] {
        if random.u8(0..3) == 0 {
            events.push((random.u64(0..end), event));
        }
    }
    // Stable, so that events of the same time keep their order.
    events.sort_by_key(|(at, _)| *at);
    events
}

fn request(number: usize, random: &mut Rng) -> Request {
    Request {
        number,
        key: random.usize(0..KEYS),
        model: random.choice(["large", "small", "small"]).unwrap(),
        is_streamed: random.bool(),
        wants_usage: random.bool(),
        max_tokens: random.u64(5..40),
        patience: (random.u8(0..4) == 0).then(|| random.u64(0..3_000)),
        pause: random.choice([0, 0, 0, 5, 700]).unwrap(),
    }
}
