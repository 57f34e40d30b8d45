//! What is asked: prompts of the lengths that a scenario wants, out of a dataset or made up.

mod access;
mod dataset;
mod hub;
mod image;
mod plan;
mod prompts;
mod read;
mod text;
mod trace;

pub use access::Access;
pub use dataset::{Dataset, DatasetConfig, DatasetRow, DatasetSource};
pub use plan::{LoadSpec, Workload};
pub use text::Prefix;
pub use trace::Trace;
