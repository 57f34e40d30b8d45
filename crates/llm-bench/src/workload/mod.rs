//! Prompts of the lengths that a scenario specifies, from a dataset or synthetic.

mod access;
mod corpus;
mod dataset;
mod file;
mod hub;
mod image;
mod plan;
mod prompts;
mod text;
mod trace;

pub use access::Access;
pub use dataset::{Dataset, DatasetConfig, DatasetRow, DatasetSource};
pub use plan::{LoadSpec, Workload};
pub use text::Prefix;
pub use trace::Trace;
