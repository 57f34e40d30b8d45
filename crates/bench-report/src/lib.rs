#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod chart;
pub mod compare;
mod csv;
mod error;
mod figures;
mod html;
mod markdown;
mod merge;
mod number;
mod write;
#[cfg(feature = "xlsx")]
mod xlsx;

pub use error::ReportError;
pub use markdown::markdown;
pub use merge::{MergeError, merge};
pub use write::{Format, write_comparison, write_reports};

#[cfg(test)]
mod hostile;
#[cfg(test)]
mod tests;
