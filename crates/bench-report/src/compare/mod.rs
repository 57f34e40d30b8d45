//! Compares two experiments: what changed, whether it is significant, and whether it exceeds a
//! limit.
//!
//! ```
//! use bench_report::compare::{Comparison, Condition};
//! use llm_bench::Results;
//!
//! let condition = Condition::parse("p99(ttft) > +5% or error_rate > 1%")?;
//! let (before, after) = (Results::default(), Results::default());
//! let comparison = Comparison::new(&before, &after);
//! assert!(comparison.pairs.is_empty(), "there are no runs to compare");
//! # let _ = condition;
//! # Ok::<(), bench_report::compare::ConditionError>(())
//! ```

mod condition;
mod parse;
mod quantity;

pub use condition::{Condition, Evidence, Verdict};
pub use parse::ConditionError;
pub use quantity::{Quantity, RunQuantity};

use llm_bench::summary::RunSummary;
use llm_bench::{Load, Results};

/// Two experiments, run by run.
#[non_exhaustive]
#[derive(Debug)]
pub struct Comparison<'a> {
    /// The runs with equal scenario, load and batch size: before and after.
    pub pairs: Vec<Pair<'a>>,
    /// Labels of runs that only the first experiment has.
    pub only_before: Vec<String>,
    /// Labels of runs that only the second experiment has.
    pub only_after: Vec<String>,
}

/// Two runs to compare.
#[non_exhaustive]
#[derive(Clone, Copy, Debug)]
pub struct Pair<'a> {
    /// The run of the first experiment.
    pub before: &'a RunSummary,
    /// The run of the second experiment.
    pub after: &'a RunSummary,
}

impl<'a> Comparison<'a> {
    /// Pairs the runs of two experiments. Equal runs are paired in their order.
    pub fn new(before: &'a Results, after: &'a Results) -> Self {
        let mut rest: Vec<&RunSummary> = after.runs.iter().collect();
        let mut comparison = Self {
            pairs: Vec::new(),
            only_before: Vec::new(),
            only_after: Vec::new(),
        };
        for run in &before.runs {
            match rest.iter().position(|other| key(run) == key(other)) {
                Some(at) => comparison.pairs.push(Pair {
                    before: run,
                    after: rest.remove(at),
                }),
                None => comparison.only_before.push(run.label()),
            }
        }
        comparison.only_after = rest.into_iter().map(RunSummary::label).collect();
        comparison
    }
}

impl Pair<'_> {
    /// The label of both runs.
    pub fn label(&self) -> String {
        self.before.label()
    }
}

fn key(run: &RunSummary) -> (&str, &Load, u32) {
    (&run.run.scenario, &run.run.load, run.run.batch_size)
}

#[cfg(test)]
mod tests;
