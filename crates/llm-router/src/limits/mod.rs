//! Limits: rates, concurrency, and the budget of retries.

mod budget;
mod gcra;

pub(crate) use self::budget::RetryBudget;
pub(crate) use self::gcra::{Charge, Gcra, Rate};
