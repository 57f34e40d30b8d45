//! Compares decoders and prints a table in Markdown.
//!
//! `cargo run --release --manifest-path crates/sse-codec/benches/peers/Cargo.toml [CASE...]`
//!
//! Each figure is the minimum thread CPU time of many runs. The decoders take turns, so that a busy
//! machine affects all alike: compare figures within a row only.

#![forbid(unsafe_code)]

#[path = "../../cases/mod.rs"]
mod cases;
mod decoders;

use std::hint::black_box;
use std::time::Duration;

use bytes::Bytes;
use cpu_time::ThreadTime;

use cases::Case;
use decoders::{DECODERS, Decode};

fn main() {
    let keys: Vec<_> = std::env::args().skip(1).collect();
    let names: Vec<_> = DECODERS.iter().map(|(name, _)| *name).collect();
    println!("| case | memcpy | line feeds | {} |", names.join(" | "));
    println!("|---{}|", "|---:".repeat(names.len() + 2));
    let mut results = Vec::new();
    for case in cases::all() {
        if keys.is_empty() || keys.iter().any(|key| key == case.key) {
            let result = Measured::new(&case);
            println!("{}", result.row());
            results.push(result);
        }
    }
    print_ratios(&results);
}

/// The result of one case, in nanoseconds per event.
struct Measured {
    key: &'static str,
    name: &'static str,
    events_per_byte: f64,
    memcpy: f64,
    line_feeds: f64,
    decoders: Vec<Outcome>,
}

enum Outcome {
    Good {
        nanos: f64,
    },
    /// The time is extrapolated.
    Quadratic {
        nanos: f64,
    },
    Wrong {
        events: usize,
    },
}

impl Measured {
    fn new(case: &Case) -> Self {
        let whole = Bytes::from(case.input.clone());
        let reads: Vec<_> = case
            .reads
            .iter()
            .map(|read| whole.slice(read.clone()))
            .collect();
        let per_event = |time: Duration| time.as_secs_f64() * 1e9 / case.events as f64;
        let mut decoders: Vec<_> = DECODERS
            .iter()
            .map(|(_, decode)| Outcome::of(*decode, &reads, case.events))
            .collect();
        let mut best = vec![Duration::MAX; DECODERS.len()];
        let (mut memcpy, mut line_feeds) = (Duration::MAX, Duration::MAX);
        let mut copy = vec![0; case.input.len()];
        for _ in 0..ROUNDS {
            take(&mut memcpy, || {
                let mut at = 0;
                for read in &reads {
                    copy[at..at + read.len()].copy_from_slice(read);
                    at += read.len();
                }
                black_box(&mut copy);
            });
            take(&mut line_feeds, || {
                for read in &reads {
                    for at in memchr::memchr_iter(b'\n', read) {
                        black_box(at);
                    }
                }
            });
            for (nth, (_, decode)) in DECODERS.iter().enumerate() {
                if let Outcome::Good { nanos } = &mut decoders[nth] {
                    take(&mut best[nth], || {
                        black_box(decode(&reads));
                    });
                    *nanos = per_event(best[nth]);
                }
            }
        }
        Self {
            key: case.key,
            name: case.name,
            events_per_byte: case.events as f64 / case.input.len() as f64,
            memcpy: per_event(memcpy),
            line_feeds: per_event(line_feeds),
            decoders,
        }
    }

    fn row(&self) -> String {
        let limits = [time(self.memcpy), time(self.line_feeds)];
        let cells: Vec<_> = limits
            .into_iter()
            .chain(self.decoders.iter().map(Outcome::cell))
            .collect();
        format!("| {}: {} | {} |", self.key, self.name, cells.join(" | "))
    }

    fn of(&self, name: &str) -> f64 {
        let nth = DECODERS.iter().position(|decoder| decoder.0 == name);
        match self.decoders[nth.expect("a decoder of the table")] {
            Outcome::Good { nanos } | Outcome::Quadratic { nanos } => nanos,
            Outcome::Wrong { .. } => f64::NAN,
        }
    }
}

impl Outcome {
    /// Runs a decoder once, unless that would take too long.
    fn of(decode: Decode, reads: &[Bytes], events: usize) -> Self {
        if let Some(time) = too_slow(decode, reads) {
            return Self::Quadratic {
                nanos: time.as_secs_f64() * 1e9 / events as f64,
            };
        }
        match decode(reads) {
            found if found == events => Self::Good {
                nanos: f64::INFINITY,
            },
            found => Self::Wrong { events: found },
        }
    }

    fn cell(&self) -> String {
        match self {
            Self::Good { nanos } => time(*nanos),
            Self::Quadratic { nanos } => format!("about {} (quadratic)", time(*nanos)),
            Self::Wrong { events } => format!("wrong: {events} events"),
        }
    }
}

/// Our ratios, with their targets.
fn print_ratios(results: &[Measured]) {
    let case = |key| results.iter().find(|result| result.key == key);
    let (bytes, text, peer) = ("**bytes**", "**text**", "sse-core 0.2.3");
    println!("\n| ratio | target | measured |\n|---|---:|---:|");
    if let Some(a) = case("a") {
        print_ratio(
            "a: faster than sse-core",
            "≥ 1.8",
            a.of(peer) / a.of(bytes),
        );
        print_ratio(
            "a: time relative to finding the line feeds",
            "≤ 3.5",
            a.of(bytes) / a.line_feeds,
        );
        print_ratio(
            "a: faster than sse-core, with every text",
            "≥ 1.4",
            a.of(peer) / a.of(text),
        );
    }
    if let Some(c) = case("c") {
        print_ratio("c: faster than sse-core", "≥ 3", c.of(peer) / c.of(bytes));
    }
    for (name, small, large) in [("b: 16 MiB burst", "b0", "b"), ("f: 8 MiB line", "f0", "f")] {
        if let (Some(small), Some(large)) = (case(small), case(large)) {
            let per_byte = |result: &Measured| result.of(bytes) * result.events_per_byte;
            let ratio = per_byte(large) / per_byte(small);
            print_ratio(
                &format!("{name}: time per byte relative to 64 KiB"),
                "≤ 1.5",
                ratio,
            );
        }
    }
}

fn print_ratio(name: &str, target: &str, ratio: f64) {
    println!("| {name} | {target} | {ratio:.2} |");
}

/// Extrapolates the time for all of `reads` from the growth over a part of them, if the time is
/// quadratic and too long to measure.
fn too_slow(decode: Decode, reads: &[Bytes]) -> Option<Duration> {
    let part = |share: usize| -> Vec<_> {
        match reads {
            [only] => vec![only.slice(..only.len() / share)],
            _ => reads[..reads.len().div_ceil(share)].to_vec(),
        }
    };
    let time = |share| {
        let reads = part(share);
        let mut best = Duration::MAX;
        take(&mut best, || {
            black_box(decode(&reads));
        });
        best
    };
    let (small, large) = (time(64), time(32));
    let whole = large * 32 * 32;
    (large > small * 3 && whole > Duration::from_secs(5)).then_some(whole)
}

/// Keeps the minimum time of a run. Short runs are timed in batches, since the clock is coarse.
fn take(best: &mut Duration, mut run: impl FnMut()) {
    let start = ThreadTime::now();
    run();
    let once = start.elapsed().max(Duration::from_nanos(100));
    let runs = (Duration::from_millis(1).as_nanos() / once.as_nanos()) as u32 + 1;
    for nth in 0.. {
        let start_of_runs = ThreadTime::now();
        (0..runs).for_each(|_| run());
        *best = (start_of_runs.elapsed() / runs).min(*best);
        if nth >= 2 && start.elapsed() > Duration::from_millis(30) {
            break;
        }
    }
}

fn time(nanos: f64) -> String {
    match nanos {
        ..10.0 => format!("{nanos:.1} ns"),
        ..1e4 => format!("{nanos:.0} ns"),
        ..1e6 => format!("{:.0} µs", nanos / 1e3),
        ..1e9 => format!("{:.2} ms", nanos / 1e6),
        _ => format!("{:.0} s", nanos / 1e9),
    }
}

const ROUNDS: usize = 8;
