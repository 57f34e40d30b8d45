#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod agent;
mod bias;
mod client;
mod clock;
mod command_line;
pub mod coordinator;
mod error;
mod executor;
mod experiment;
mod folder;
mod huggingface;
mod job;
mod load;
mod mix;
mod record;
mod request;
mod response;
mod run;
mod scenario;
mod schedule;
mod search;
pub mod stats;
pub mod summary;
mod target;
#[cfg(any(test, feature = "test-util"))]
pub mod test_util;
mod text_api;
mod tokens;
mod workload;

pub use bias::TrueTimes;
pub use client::TlsTrust;
pub use command_line::{CommandLine, redact_members};
pub use error::Error;
pub use experiment::{
    ClientBias, ClientHealth, Experiment, IterationType, Machine, MetricKind, Run, RunEnd,
    RunLimits, ServerLabels, ServerSeries, Stall, Task,
};
pub use folder::{Folder, FolderError, FolderErrorKind, Results};
pub use load::{Load, Ramp};
pub use record::{
    Arrivals, Backoff, ConnectTimes, Failure, FailureKind, JobPart, Outcome, Phase,
    PredictionTimes, RateLimit, RequestRecord, Side, TokenCounts, TokenSource, Turn,
};
pub use run::{Interrupts, MetricsSource, Observer, RunProgress, RunSettings, RunSpec, Runner};
pub use scenario::TrafficScenario;
pub use schedule::{ArrivalProcess, RateProfile};
pub use search::LoadSearch;
pub use target::{Backend, ServerTarget};
pub use text_api::TextApi;
pub use tokens::{Tokenizer, TokenizerLookup};
pub use workload::{
    Access, AgentTraceSpec, Dataset, DatasetConfig, DatasetRow, DatasetSource, LoadSpec, Prefix,
    ReplayLoad, Trace, Workload, trace_of_log,
};
