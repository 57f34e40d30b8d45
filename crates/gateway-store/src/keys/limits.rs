use serde::{Deserialize, Serialize};

use crate::{Money, Period};

/// What a key, a user or a team may call, and how much. The names in JSON are LiteLLM's.
///
/// The default has no limits.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(default)]
#[non_exhaustive]
pub struct LimitSettings {
    /// The model groups that may be called; all if empty. A `*` stands for any text. LiteLLM's
    /// `all-proxy-models` are all models, and the `all-team-models` of a key are those of its team.
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
        self.allows_any(&[model_group])
    }

    /// Whether a model may be called that has several names.
    pub(super) fn allows_any(&self, names: &[&str]) -> bool {
        let covers = |model: &String| names.iter().any(|name| covers(model, name));
        self.models.is_empty() || self.models.iter().any(covers)
    }
}

/// Whether an entry of a list of models stands for a name.
fn covers(model: &str, name: &str) -> bool {
    if model == name || model == ALL_PROXY_MODELS {
        return true;
    }
    let Some((prefix, rest)) = model.split_once('*') else {
        return false;
    };
    let Some(mut name) = name.strip_prefix(prefix) else {
        return false;
    };
    let (middle, suffix) = rest.rsplit_once('*').unwrap_or(("", rest));
    // The first match of each part leaves the most text for the others.
    for part in middle.split('*') {
        let Some((_, after)) = name.split_once(part) else {
            return false;
        };
        name = after;
    }
    name.ends_with(suffix)
}

const ALL_PROXY_MODELS: &str = "all-proxy-models";
/// The models of the key's team.
pub(super) const ALL_TEAM_MODELS: &str = "all-team-models";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_with_a_star_is_a_pattern() {
        for (model, name, expected) in [
            ("up/*", "up/a", true),
            ("up/*", "up/*", true),
            ("up/*", "upper/a", false),
            ("up/*", "up", false),
            ("*", "a", true),
            ("*-mini", "gpt-mini", true),
            ("*-mini", "gpt-mini-2", false),
            ("a*b*c", "a1b2c", true),
            ("a*b*c", "abc", true),
            ("a*b*c", "acb", false),
            ("a*bb", "ab", false),
            ("a*ab", "aab", true),
            ("ab*b", "ab", false),
            ("all-proxy-models", "a", true),
            ("all-team-models", "a", false),
            ("no-default-models", "a", false),
        ] {
            let limits = LimitSettings {
                models: vec![model.to_owned()],
                ..LimitSettings::default()
            };
            assert_eq!(limits.allows(name), expected, "{model}: {name}");
        }
    }
}
