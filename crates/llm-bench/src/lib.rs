#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod experiment;
mod record;

pub use experiment::{
    ClientBias, ClientHealth, CommandLine, Experiment, IterationType, Limits, Load, Machine, Run,
    RunEnd, ServerLabels, Stall, Task,
};
pub use record::{
    Arrivals, ConnectTimes, Failure, FailureKind, Outcome, Phase, PredictionTimes, RateLimit,
    RequestRecord, Side, TokenCounts, TokenSource, Turn,
};
