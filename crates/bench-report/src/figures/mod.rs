//! Which charts there are, and what they show.

mod overview;
mod run;

pub(super) use overview::overview;
pub(super) use run::of_run;

use llm_bench::stats::Statistic;

use super::chart::Chart;

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
