//! The contract as tests, for whoever writes a provider.
//!
//! A provider's tests implement [`Simulation`] for a simulated upstream and call [`run`], which
//! runs every check and lists all that fail by name. Each check is also a function of its own.
//! These functions panic, as tests do, and are no stable part of the public API.
//!
//! Between provider and upstream the kit puts a tap that splits, gathers, cuts and stalls answers
//! at any byte, gives answers of its own, and notes every request. A simulation only has to answer
//! well, to refuse with a status, and to work without end.

#![allow(clippy::panic, reason = "a test kit tells by panics")]

mod answers;
mod bench;
mod faults;
mod hygiene;
mod tap;

use std::fmt::Write;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use futures_core::future::BoxFuture;
use http::StatusCode;
use serde_json::Value;

use crate::{Capability, ErrorKind, Provider, Result, Settings};

pub use self::answers::{
    answers, big_bodies, capabilities, completions, concurrency, parameters, streams, unicode,
};
pub use self::faults::{
    cancelling, chunkings, cut_answers, cut_streams, errors, garbage, retries, timeouts,
};
pub use self::hygiene::{extra_headers, secrets, unreachable_upstream};

/// A provider and its simulated upstream.
pub trait Simulation: Send + Sync + 'static {
    /// Starts an upstream on loopback that nobody else uses; it stops when it is dropped, or with
    /// the runtime that it was started on.
    fn start(&self, mood: Mood) -> BoxFuture<'_, Box<dyn Upstream>>;

    /// Builds the provider; key, address and connections are in `settings`.
    ///
    /// # Errors
    /// Whatever the provider has against the settings.
    fn provider(&self, settings: Settings) -> Result<Arc<dyn Provider>>;

    /// A model that the upstream has for calls of this sort.
    fn model(&self, capability: Capability) -> &str;

    /// The kind that a refusal of this status has; by default, what it is everywhere.
    fn kind(&self, status: u16) -> ErrorKind {
        StatusCode::from_u16(status).map_or(ErrorKind::UnexpectedBody, ErrorKind::from_status)
    }

    /// A chat parameter and a value that the provider cannot honour, if there is one.
    fn refused_param(&self) -> Option<(&'static str, Value)> {
        None
    }
}

/// A simulated upstream that runs.
pub trait Upstream: Send + Sync {
    /// Where it listens, for HTTP/1.1 in the clear.
    fn address(&self) -> SocketAddr;

    /// How many calls it works on just now.
    fn running(&self) -> usize;
}

/// How a simulated upstream takes what it is asked.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Mood {
    /// Answers with a text that holds what the user said last.
    Echoes,
    /// Begins to answer, and never ends.
    Endless,
    /// Refuses everything with this status and a body as its kind of upstream writes it.
    Refuses(u16),
    /// Answers with exactly this text, in several pieces when streamed.
    Says(String),
}

type Check = for<'s> fn(&'s dyn Simulation) -> BoxFuture<'s, ()>;

const CHECKS: &[(&str, Check)] = &[
    ("answers", |simulation| Box::pin(answers(simulation))),
    ("big_bodies", |simulation| Box::pin(big_bodies(simulation))),
    ("cancelling", |simulation| Box::pin(cancelling(simulation))),
    ("capabilities", |simulation| {
        Box::pin(capabilities(simulation))
    }),
    ("chunkings", |simulation| Box::pin(chunkings(simulation))),
    ("completions", |simulation| {
        Box::pin(completions(simulation))
    }),
    ("concurrency", |simulation| {
        Box::pin(concurrency(simulation))
    }),
    ("cut_answers", |simulation| {
        Box::pin(cut_answers(simulation))
    }),
    ("cut_streams", |simulation| {
        Box::pin(cut_streams(simulation))
    }),
    ("errors", |simulation| Box::pin(errors(simulation))),
    ("extra_headers", |simulation| {
        Box::pin(extra_headers(simulation))
    }),
    ("garbage", |simulation| Box::pin(garbage(simulation))),
    ("parameters", |simulation| Box::pin(parameters(simulation))),
    ("retries", |simulation| Box::pin(retries(simulation))),
    ("secrets", |simulation| Box::pin(secrets(simulation))),
    ("streams", |simulation| Box::pin(streams(simulation))),
    ("timeouts", |simulation| Box::pin(timeouts(simulation))),
    ("unicode", |simulation| Box::pin(unicode(simulation))),
    ("unreachable_upstream", |simulation| {
        Box::pin(unreachable_upstream(simulation))
    }),
];

/// Runs every check, each on a runtime and a thread of its own with paused time.
///
/// # Panics
/// When checks fail, naming all of them and what each has found.
pub fn run(simulation: impl Simulation) {
    let simulation: Arc<dyn Simulation> = Arc::new(simulation);
    let running = CHECKS.iter().map(|&(name, check)| {
        let simulation = Arc::clone(&simulation);
        let (sender, receiver) = mpsc::channel();
        thread::spawn(move || {
            let _ = sender.send(outcome(&*simulation, check));
        });
        (name, receiver)
    });
    let running: Vec<_> = running.collect();
    let mut report = String::new();
    let mut failed = 0;
    for (name, receiver) in running {
        let outcome = receiver.recv_timeout(LONGEST).unwrap_or_else(|_| {
            // The thread is left behind: nothing can stop it, and the process ends soon.
            Err(format!("did not end within {LONGEST:?}"))
        });
        if let Err(why) = outcome {
            failed += 1;
            let _ = write!(report, "\n- {name}: {why}");
        }
    }
    assert!(
        failed == 0,
        "{failed} of {} conformance checks failed:{report}",
        CHECKS.len()
    );
}

fn outcome(simulation: &dyn Simulation, check: Check) -> Result<(), String> {
    let work = || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .start_paused(true)
            .build();
        match runtime {
            Ok(runtime) => runtime.block_on(async {
                wind_the_clock();
                check(simulation).await;
            }),
            Err(error) => panic!("there is no runtime: {error}"),
        }
    };
    catch_unwind(AssertUnwindSafe(work)).map_err(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
        text.unwrap_or("panicked").to_owned()
    })
}

/// Lets paused time pass in small steps: without it, each wait for a socket would let the next
/// timeout strike.
fn wind_the_clock() {
    tokio::spawn(async {
        loop {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
}

const LONGEST: Duration = Duration::from_secs(120);
