//! Prompts of the lengths that a scenario specifies, from a dataset or synthetic.

mod access;
mod agents;
mod config;
mod corpus;
mod dataset;
mod file;
mod generate;
mod hub;
mod image;
mod plan;
mod prompts;
mod recorded;
mod sessions;
mod text;
mod trace;

pub use access::Access;
pub use dataset::{Dataset, DatasetConfig, DatasetRow, DatasetSource};
pub use generate::AgentTraceSpec;
pub use plan::{LoadSpec, ReplayLoad, Workload};
pub use recorded::trace_of_log;
pub use text::Prefix;
pub use trace::Trace;
