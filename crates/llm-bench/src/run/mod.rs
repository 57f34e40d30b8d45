//! One run: a load on a target, and its measurements.

mod agent;
mod controller;
mod feed;
mod health;
mod prepare;
mod queue;
mod runner;
mod saturation;
mod scrape;
mod settings;
mod worker;

pub(crate) use feed::Timing;
pub(crate) use prepare::Plan;
pub use runner::{Interrupts, Observer, RunProgress, RunSpec, Runner};
pub use scrape::MetricsSource;
pub use settings::RunSettings;
