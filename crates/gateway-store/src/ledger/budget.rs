use std::fmt;

use crate::sql::Statement;
use crate::{LimitSettings, Money, OwnerKind, Period, Timestamp};

/// The budget of a key, a user or a team.
#[derive(Clone, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct BudgetId(String);

impl BudgetId {
    /// The budget of the key with this id.
    pub fn key(id: &str) -> Self {
        Self(format!("key:{id}"))
    }

    /// The budget of a user or a team.
    pub fn owner(kind: OwnerKind, id: &str) -> Self {
        Self(format!("{}:{id}", kind.name()))
    }

    /// Whose budget it is: `key`, `user` or `team`.
    pub fn kind(&self) -> &str {
        self.0.split(':').next().unwrap_or_default()
    }

    /// Reads what a store wrote.
    pub(super) fn read(text: &str) -> Self {
        Self(text.to_owned())
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for BudgetId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BudgetId({:?})", self.0)
    }
}

/// The budgets that a call is charged to.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Charge {
    /// Sorted, so that all replicas reserve in the same order.
    capped: Vec<BudgetId>,
}

impl Charge {
    /// Adds a budget. Only budgets with a maximum need a reservation.
    pub fn add(&mut self, budget: BudgetId, has_maximum: bool) {
        if !has_maximum {
            return;
        }
        if let Err(place) = self.capped.binary_search(&budget) {
            self.capped.insert(place, budget);
        }
    }

    /// The budgets with a maximum.
    pub fn capped(&self) -> &[BudgetId] {
        &self.capped
    }
}

/// Creates a budget, or changes its limits and period. A new period begins now.
pub(crate) fn budget_statement(id: &BudgetId, limits: &LimitSettings, now: Timestamp) -> Statement {
    let length = limits.budget_duration.map(Period::duration);
    let millis = length.map(|length| i64::try_from(length.as_millis()).unwrap_or(i64::MAX));
    let reset_at = length.map(|length| now.after(length).as_millis());
    let put = "INSERT INTO gateway_budgets (id, max_spend, period, reset_at, spent, \
               soft_spend) VALUES (?1, ?2, ?3, ?4, 0, ?5) ON CONFLICT (id) DO UPDATE SET \
               max_spend = excluded.max_spend, soft_spend = excluded.soft_spend, period = excluded.period, \
               reset_at = CASE WHEN gateway_budgets.period = excluded.period \
               THEN gateway_budgets.reset_at ELSE excluded.reset_at END";
    Statement::new(put)
        .with(id.as_str())
        .with(limits.max_budget.map(Money::nanos))
        .with(millis)
        .with(reset_at)
        .with(limits.soft_budget.map(Money::nanos))
}
