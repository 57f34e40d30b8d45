#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

pub mod compare;
mod experiment;
#[cfg(test)]
mod made_up;
mod record;
pub mod report;
pub mod stats;
pub mod summary;

pub use experiment::{
    ClientBias, ClientHealth, CommandLine, Experiment, IterationType, Limits, Load, Machine, Run,
    RunEnd, ServerLabels, Stall, Task,
};
pub use record::{
    Arrivals, ConnectTimes, Failure, FailureKind, Outcome, Phase, PredictionTimes, RateLimit,
    RequestRecord, Side, TokenCounts, TokenSource, Turn,
};
