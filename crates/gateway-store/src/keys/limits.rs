use serde::{Deserialize, Serialize};

use crate::{Money, Period};

/// What a key, a user or a team may call, and how much. The names in JSON are LiteLLM's.
///
/// The default has no limits.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(default)]
#[non_exhaustive]
pub struct LimitSettings {
    /// The model groups that may be called; all if empty.
    pub models: Vec<String>,
    /// The most that calls may cost, in each period of `budget_duration`.
    pub max_budget: Option<Money>,
    /// The spend above which the operator is warned in the log; calls are still allowed.
    pub soft_budget: Option<Money>,
    /// How often the spend is reset to zero; never by default.
    pub budget_duration: Option<Period>,
    /// Requests per minute.
    pub rpm_limit: Option<u64>,
    /// Tokens per minute.
    pub tpm_limit: Option<u64>,
    /// Requests at the same time.
    pub max_parallel_requests: Option<u64>,
    /// Whether the key, or all keys of the owner, are blocked.
    pub blocked: bool,
}

impl LimitSettings {
    /// Whether a model group may be called.
    pub fn allows(&self, model_group: &str) -> bool {
        self.models.is_empty() || self.models.iter().any(|model| model == model_group)
    }
}
