#![doc = include_str!("../README.md")]
//!
//! Start with [`Format`], [`write_reports`], [`markdown`] and [`merge`].
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
#[cfg(feature = "parquet")]
mod parquet;
#[cfg(feature = "png")]
mod png;
mod repeats;
mod write;
#[cfg(feature = "xlsx")]
mod xlsx;

pub use error::ReportError;
pub use markdown::markdown;
pub use merge::{MergeError, merge};
pub use write::{Format, write_comparison, write_plots, write_reports, write_spreadsheet};

#[cfg(test)]
mod hostile;
#[cfg(test)]
mod tests;
