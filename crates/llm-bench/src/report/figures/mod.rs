//! Which charts there are, and what they show.

mod overview;
mod run;

pub(super) use overview::overview;
pub(super) use run::of_run;

use super::chart::Chart;
use crate::Load;
use crate::stats::Statistic;

/// A figure: one chart, or one for each statistic that a reader may choose.
#[derive(Debug)]
pub(super) struct Figure {
    /// Its name in files.
    pub(super) name: String,
    pub(super) title: String,
    /// How to read it.
    pub(super) about: String,
    /// With the statistic that a chart shows, where there is a choice.
    pub(super) charts: Vec<(Option<Statistic>, Chart)>,
}

/// The statistics that a reader may choose from.
pub(super) const CHOICES: [Statistic; 6] = [
    Statistic::Mean,
    Statistic::Percentile(50.0),
    Statistic::Percentile(90.0),
    Statistic::Percentile(95.0),
    Statistic::Percentile(99.0),
    Statistic::Percentile(99.9),
];

/// The number that stands for a load: concurrency, requests per second, or a trace's speed.
pub(super) fn load_value(load: &Load) -> f64 {
    match load {
        Load::Concurrency { concurrency } => f64::from(*concurrency),
        Load::Rate { per_second, .. } => *per_second,
        Load::Trace { speed, .. } => *speed,
    }
}
