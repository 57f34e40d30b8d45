#![doc = include_str!("../README.md")]
//!
//! Start with [`run`] and [`Simulation`].
//!
//! These functions panic, as tests do, and are not a stable part of the public API.
//!
//! The suite puts a relay between provider and upstream. The relay splits, joins, cuts and stalls
//! replies at any byte, sends replies of its own, and records every request. A simulation must
//! implement the [`Scenario`]s, and decode recorded requests ([`Simulation::decode`]).
//!
//! The suite is itself tested with deliberately broken providers: see `tests/conformance` of this
//! crate.

#![allow(clippy::panic, reason = "a test suite reports by panics")]

mod call;
mod cuts;
mod errors;
mod harness;
mod operations;
mod parameters;
mod replies;
mod requests;
mod scripted;
mod secrets;
mod settings;
mod tap;
mod timing;

use std::fmt::Write;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use futures_core::future::{BoxFuture, LocalBoxFuture};
use http::StatusCode;
use serde_json::Value;

use llm_provider::{Capability, ErrorKind, Provider, ProviderSpec, Result, Settings};

/// A provider and its simulated upstream.
pub trait Simulation: Send + Sync + 'static {
    /// Starts an upstream on loopback for one check; it stops when it is dropped, or with the
    /// runtime that it was started on.
    fn start(&self, scenario: Scenario) -> BoxFuture<'_, Box<dyn Upstream>>;

    /// The declaration with which the provider is registered.
    fn spec(&self) -> ProviderSpec;

    /// Builds the provider; key, address and connections are in `settings`.
    ///
    /// # Errors
    /// Those of the provider's constructor.
    fn provider(&self, settings: Settings) -> Result<Arc<dyn Provider>>;

    /// A model of the upstream for this kind of call.
    fn model(&self, capability: Capability) -> &str;

    /// The [`ErrorKind`] of an error response with this status and the upstream's own body. The
    /// default is [`ErrorKind::from_status`].
    fn kind(&self, status: u16) -> ErrorKind {
        StatusCode::from_u16(status).map_or(ErrorKind::UnexpectedBody, ErrorKind::from_status)
    }

    /// A chat parameter and a value that the provider cannot honour, if there is one.
    fn refused_param(&self) -> Option<(&'static str, Value)> {
        None
    }

    /// The call that a `POST` to `path` with this body starts, in OpenAI's schema; `None` if it starts
    /// no call. The default returns the body unchanged.
    ///
    /// For an upstream that takes prompts, build `messages` by parsing the markers of the prompt, so
    /// that a forged marker becomes a separate message.
    fn decode(&self, path: &str, body: Value) -> Option<Value> {
        let _ = path;
        Some(body)
    }

    /// Whether the upstream answers chats in OpenAI's schema, so that the suite can script its
    /// replies. True by default.
    fn speaks_openai(&self) -> bool {
        true
    }

    /// Whether every reply has a [`Metadata::upstream_id`](llm_provider::Metadata::upstream_id), which
    /// is optional. False by default.
    fn has_upstream_ids(&self) -> bool {
        false
    }
}

/// A running simulated upstream.
pub trait Upstream: Send + Sync {
    /// Its address, for HTTP/1.1 without TLS.
    fn address(&self) -> SocketAddr;

    /// The number of calls in progress.
    fn running(&self) -> usize;
}

/// How a simulated upstream behaves.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Scenario {
    /// Replies with a text that contains the last user message.
    Echo,
    /// Begins a reply and never ends it.
    Endless,
    /// Begins a streamed reply with part of this text, then reports a failure in the way of this
    /// upstream. A plain call may succeed.
    FailMidway(String),
    /// Rejects every request with this status and the upstream's own error body.
    Refuse(u16),
    /// Replies with exactly this text, in several pieces when streamed; with fewer tokens when the
    /// request limits them.
    Reply(String),
}

/// A check of the suite.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Check {
    /// Its name, for [`run_check`].
    pub name: &'static str,
    /// The requirement.
    pub requirement: &'static str,
    run: for<'s> fn(&'s dyn Simulation) -> LocalBoxFuture<'s, ()>,
}

macro_rules! checks {
    ($($module:ident::$name:ident: $requirement:literal,)*) => {
        /// Every check, in alphabetical order.
        pub const CHECKS: &[Check] = &[$(Check {
            name: stringify!($name),
            requirement: $requirement,
            run: |simulation| Box::pin($module::$name(simulation)),
        }),*];
    };
}

checks! {
    replies::answers: "a plain reply has the whole text, one finish reason, and an id",
    requests::bad_requests: "a body that is not a request is InvalidRequest, and nothing is sent",
    replies::big_bodies: "a prompt and a reply of a mebibyte pass uncut",
    timing::cancelling: "dropping a call or a stream stops the work upstream",
    operations::capabilities: "what capabilities() names works, the rest is Unsupported",
    scripted::choices: "each of n choices has its own text and one finish reason",
    cuts::chunkings: "replies do not depend on how the network splits their bytes",
    operations::completions: "a text completion meets the requirements of a chat",
    replies::concurrency: "64 concurrent calls each get their own reply",
    requests::control_tokens: "control tokens in a message cannot forge a turn of the prompt",
    cuts::cut_answers: "a plain reply that is cut is an error",
    cuts::cut_streams: "a stream that is cut ends with an error, never as a shorter reply",
    settings::declared_settings: "declared settings are accepted, others are rejected by name",
    parameters::dropped_params: "what cannot be honoured is Unsupported, or dropped and reported",
    operations::embeddings: "vectors come in the order of the inputs, in the requested encoding",
    errors::error_pages: "an error page without JSON has the kind of its status",
    errors::errors: "an error has its kind, status, body, provider and model, and no secret",
    secrets::extra_headers: "extra headers go with every call and are never shown",
    scripted::finish_reasons: "finish reasons arrive exactly, under OpenAI's names",
    secrets::foreign_hosts: "redirects are not followed, so the key stays with its host",
    errors::garbage: "a success that cannot be read is UnexpectedBody",
    requests::messages: "every message arrives, in order, with its role",
    replies::metadata: "metadata names provider and model, and the upstream's id if there is one",
    errors::midstream_errors: "a failure in the middle of a stream is the stream's last item",
    requests::model_name: "the upstream gets the model name of the request",
    operations::models: "the list of models names the model that is in use, each model once",
    operations::operation_errors: "errors and time limits are the same for every operation",
    parameters::parameters: "a parameter arrives upstream, is refused by name, or is reported",
    errors::repeated_secrets: "a key that the upstream repeats is in no error, nor in its body",
    operations::rerank: "results are sorted, limited by top_n, and refer to the documents",
    timing::retries: "only what cannot have been billed is sent again, as often as configured",
    timing::retry_advice: "retry-after is waited for up to a minute, and reported beyond",
    secrets::secrets: "the key is in one header of each request and nowhere else",
    requests::stream_flag: "`stream` in the request is ignored",
    replies::streams: "a stream has the whole text and one finish reason",
    timing::timeouts: "every time limit is kept, and is ErrorKind::Timeout",
    replies::token_limit: "a reply that the token limit cuts finishes with length",
    scripted::tool_calls: "tool calls arrive whole, plain and streamed",
    replies::unicode: "text in any script passes unchanged",
    scripted::unknown_members: "members that polyllm does not know survive",
    secrets::unreachable_upstream: "an upstream that cannot be reached is Transport, and unsent",
    scripted::upstream_usage: "the upstream's token counts arrive exactly",
    replies::usage: "token counts are the same plain and streamed, alone in the last chunk",
}

/// Runs every check, each on its own thread and runtime with paused time.
///
/// # Panics
/// When checks fail; the message has the name, the requirement and the finding of each.
pub fn run(simulation: impl Simulation) {
    let simulation: Arc<dyn Simulation> = Arc::new(simulation);
    let running: Vec<_> = CHECKS
        .iter()
        .map(|check| (check, spawn(check, &simulation)))
        .collect();
    let mut report = String::new();
    let mut failed = 0;
    for (check, receiver) in running {
        if let Err(why) = outcome(&receiver) {
            failed += 1;
            let _ = write!(report, "\n- {} ({}): {why}", check.name, check.requirement);
        }
    }
    assert!(
        failed == 0,
        "{failed} of {} conformance checks failed:{report}",
        CHECKS.len()
    );
}

/// Runs the check of this name.
///
/// # Errors
/// The finding of the check.
///
/// # Panics
/// When there is no such check.
pub fn run_check(name: &str, simulation: impl Simulation) -> Result<(), String> {
    let check = CHECKS.iter().find(|check| check.name == name);
    let check = check.unwrap_or_else(|| panic!("there is no check {name:?}"));
    let simulation: Arc<dyn Simulation> = Arc::new(simulation);
    outcome(&spawn(check, &simulation))
}

type Outcome = Result<(), String>;

fn spawn(check: &Check, simulation: &Arc<dyn Simulation>) -> mpsc::Receiver<Outcome> {
    let (check, simulation) = (*check, Arc::clone(simulation));
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let work = || run_paused((check.run)(&*simulation));
        let outcome = catch_unwind(AssertUnwindSafe(work)).map_err(|panic| {
            let text = panic.downcast_ref::<String>().map(String::as_str);
            let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
            text.unwrap_or("panicked").to_owned()
        });
        let _ = sender.send(outcome);
    });
    receiver
}

fn outcome(receiver: &mpsc::Receiver<Outcome>) -> Outcome {
    // A thread that runs longer is left behind: nothing can stop it, and the process ends soon.
    let late = |_| Err(format!("did not end within {LONGEST:?}"));
    receiver.recv_timeout(LONGEST).unwrap_or_else(late)
}

fn run_paused(work: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build();
    match runtime {
        Ok(runtime) => runtime.block_on(async {
            advance_in_small_steps();
            work.await;
        }),
        Err(error) => panic!("cannot build a runtime: {error}"),
    }
}

/// Lets paused time pass in small steps: otherwise each wait for a socket would advance the clock
/// to the next timeout.
fn advance_in_small_steps() {
    tokio::spawn(async {
        loop {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
}

const LONGEST: Duration = Duration::from_secs(180);
