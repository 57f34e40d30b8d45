use std::fmt;

use llm_bench::stats::Change;

use super::quantity::Quantity;
use super::{ConditionError, Pair, parse};

/// A condition on the change between two runs.
///
/// ```text
/// condition = all ("or" all)*
/// all       = one ("and" one)*
/// one       = "not" one | "(" condition ")" | quantity comparison limit
/// quantity  = statistic "(" metric ")"          p99(ttft), mean(e2e), p99.9(itl), max(tpot)
///           | error_rate | goodput | requests_per_second | rps
///           | input_throughput | output_throughput | total_throughput
/// comparison = ">" | ">=" | "<" | "<="
/// limit     = ("+" | "-")? number unit?
/// unit      = "%" | "pp" | "us" | "ms" | "s"
/// ```
///
/// A limit with a sign applies to the change: `> +5%` is more than five percent above the first
/// experiment, `> +10ms` more than ten milliseconds above it, `< -5%` more than five percent
/// below it; `pp` are percentage points of a share. A limit without a sign applies to the second
/// experiment alone: `p99(ttft) > 200ms`, `error_rate > 1%`.
#[derive(Clone, Debug, PartialEq)]
pub struct Condition {
    text: String,
    root: Node,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Node {
    All(Vec<Self>),
    Any(Vec<Self>),
    Not(Box<Self>),
    Test {
        quantity: Quantity,
        comparison: Operator,
        limit: Limit,
    },
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Operator {
    Above,
    AtLeast,
    AtMost,
    Below,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Limit {
    /// Of `after - before`.
    Change(f64),
    /// Of `(after - before) / before`.
    Relative(f64),
    /// Of `after`.
    Value(f64),
}

/// The result of a condition for two runs.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[allow(clippy::exhaustive_enums, reason = "three-valued logic")]
pub enum Verdict {
    /// The condition is true.
    Holds,
    /// The condition is false.
    DoesNotHold,
    /// A quantity was not measured in one of the runs.
    Unknown,
}

/// A quantity of a condition and its change.
#[derive(Clone, Copy, Debug, PartialEq)]
#[allow(clippy::exhaustive_structs, reason = "a pair with names")]
pub struct Evidence {
    /// The quantity.
    pub quantity: Quantity,
    /// The change; `None` if the quantity was not measured.
    pub change: Option<Change>,
}

impl Condition {
    /// Parses a condition.
    ///
    /// # Errors
    /// If it violates the grammar; the error contains the position and the expected input.
    pub fn parse(text: &str) -> Result<Self, ConditionError> {
        Ok(Self {
            root: parse::parse(text)?,
            text: text.trim().to_owned(),
        })
    }

    /// Evaluates the condition for two runs, and returns the changes it depends on. With
    /// `significant`, a limit on a change only holds if the change is statistically significant.
    /// Changes without an interval are compared directly.
    pub fn check(&self, pair: Pair<'_>, significant: bool) -> (Verdict, Vec<Evidence>) {
        let mut evidence = Vec::new();
        let verdict = self.root.check(pair, significant, &mut evidence);
        (verdict, evidence)
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Node {
    fn check(&self, pair: Pair<'_>, significant: bool, evidence: &mut Vec<Evidence>) -> Verdict {
        let mut check = |node: &Self| node.check(pair, significant, evidence);
        match self {
            // All parts are evaluated, since their evidence is shown.
            Self::All(nodes) => {
                nodes
                    .iter()
                    .map(&mut check)
                    .fold(Verdict::Holds, |a, b| match (a, b) {
                        (Verdict::DoesNotHold, _) | (_, Verdict::DoesNotHold) => {
                            Verdict::DoesNotHold
                        }
                        (Verdict::Unknown, _) | (_, Verdict::Unknown) => Verdict::Unknown,
                        _ => Verdict::Holds,
                    })
            }
            Self::Any(nodes) => nodes
                .iter()
                .map(&mut check)
                .fold(Verdict::DoesNotHold, |a, b| match (a, b) {
                    (Verdict::Holds, _) | (_, Verdict::Holds) => Verdict::Holds,
                    (Verdict::Unknown, _) | (_, Verdict::Unknown) => Verdict::Unknown,
                    _ => Verdict::DoesNotHold,
                }),
            Self::Not(node) => match check(node) {
                Verdict::Holds => Verdict::DoesNotHold,
                Verdict::DoesNotHold => Verdict::Holds,
                Verdict::Unknown => Verdict::Unknown,
            },
            Self::Test {
                quantity,
                comparison,
                limit,
            } => {
                let change = match limit {
                    // The first run is irrelevant.
                    Limit::Value(_) => {
                        let after = quantity.of(&pair.after.aggregated);
                        let before = quantity.of(&pair.before.aggregated);
                        after.map(|after| Change::new(before.unwrap_or(f64::NAN), after))
                    }
                    _ => quantity.change(pair),
                };
                evidence.push(Evidence {
                    quantity: *quantity,
                    change,
                });
                change.map_or(Verdict::Unknown, |change| {
                    test(change, *comparison, *limit, significant)
                })
            }
        }
    }
}

fn test(change: Change, comparison: Operator, limit: Limit, significant: bool) -> Verdict {
    let (value, limit, about_change) = match limit {
        Limit::Change(limit) => (change.absolute(), limit, true),
        Limit::Relative(limit) => (change.relative(), limit, true),
        Limit::Value(limit) => (change.after, limit, false),
    };
    let passed = match comparison {
        Operator::Above => value > limit,
        Operator::AtLeast => value >= limit,
        Operator::AtMost => value <= limit,
        Operator::Below => value < limit,
    };
    let chance =
        significant && about_change && change.interval.is_some() && !change.is_significant();
    if passed && !chance {
        Verdict::Holds
    } else {
        Verdict::DoesNotHold
    }
}
