#![doc = include_str!("../README.md")]

mod alarm;
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
mod seed;
mod server;
mod sim;
mod sse;
mod text;
mod together;
mod trace;
mod upstream;

pub use duration::parse_duration;
pub use fault::{Failure, Fault, FaultRule, Faults, ParseFaultError};
pub use limit::{ParseRateError, Rate};
pub use log::{SeenRequest, fingerprint};
pub use options::{Keys, Limits, Memory, Pace, Reply, RetryAdvice, SimOptions, Timing};
pub use replicate::{
    PredictionCounts, Replicate, SeenPrediction, SeenWebhook, Status, WebhookEvent,
};
pub use sim::Sim;
pub use together::Together;
pub use trace::{Outcome, RequestCounts, Times, Write};
