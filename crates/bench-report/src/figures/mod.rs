//! The charts of a report.

mod overview;
mod run;
mod server;

pub(super) use overview::overview;
pub(super) use run::of_run;

use llm_bench::stats::Statistic;

use super::chart::Chart;

/// A figure: one chart, or one per selectable statistic.
#[derive(Debug)]
pub(super) struct Figure {
    /// The name in file names.
    pub(super) name: String,
    pub(super) title: String,
    /// The description.
    pub(super) about: String,
    /// The charts, each with its statistic if there are several.
    pub(super) charts: Vec<(Option<Statistic>, Chart)>,
}

/// The selectable statistics.
pub(super) const STATISTICS: [Statistic; 6] = [
    Statistic::Mean,
    Statistic::Percentile(50.0),
    Statistic::Percentile(90.0),
    Statistic::Percentile(95.0),
    Statistic::Percentile(99.0),
    Statistic::Percentile(99.9),
];
