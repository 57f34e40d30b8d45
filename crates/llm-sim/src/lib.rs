#![doc = include_str!("../README.md")]
//!
//! Start with [`Sim`], [`SimOptions`], [`Timing`] and [`Fault`].

mod body;
mod clock;
mod control;
mod duration;
mod fault;
mod http;
mod limit;
mod log;
mod options;
mod replicate;
mod sample;
mod script;
mod seed;
mod server;
mod sim;
mod sse;
mod text;
mod timer;
mod together;
mod trace;
mod upstream;

pub use duration::parse_duration;
pub use fault::{Fault, FaultRule, Faults, ParseFaultError, PredictionFailure};
pub use limit::{ParseRateError, Rate};
pub use log::{SeenRequest, fingerprint};
pub use options::{Keys, Memory, Pace, RetryAdvice, SimLimits, SimOptions, SimReply, Timing};
pub use replicate::{
    PredictionCounts, ReplicateSim, SeenPrediction, SeenWebhook, SimStatus, WebhookEvent,
};
pub use script::{ParseScriptError, Script};
pub use sim::Sim;
pub use together::TogetherSim;
pub use trace::{RequestCounts, RequestOutcome, Times, Usage, Write};
