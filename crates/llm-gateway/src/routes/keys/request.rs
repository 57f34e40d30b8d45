//! The bodies and queries of the routes below `/key`.

use std::collections::BTreeMap;

use gateway_store::{BudgetId, Key, KeySettings, LimitSettings, Money, Period, Store, Timestamp};
use llm_provider::text::excerpt;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

use crate::error::ApiError;

/// The body of `/key/generate` and `/key/update`.
#[derive(Deserialize)]
pub(super) struct Settings {
    /// The secret of a new key, or the key to update.
    pub(super) key: Option<String>,
    #[serde(flatten)]
    pub(super) changes: Changes,
}

/// Changes of settings. An absent member stays unchanged, and `null` removes it.
#[derive(Deserialize)]
pub(super) struct Changes {
    #[serde(default, deserialize_with = "present")]
    key_alias: Option<Option<String>>,
    #[serde(default, deserialize_with = "present")]
    user_id: Option<Option<String>>,
    #[serde(default, deserialize_with = "present")]
    team_id: Option<Option<String>>,
    /// The time from now until the key expires.
    #[serde(default, deserialize_with = "present")]
    duration: Option<Option<Period>>,
    #[serde(default, deserialize_with = "present")]
    aliases: Option<Option<BTreeMap<String, String>>>,
    #[serde(default, deserialize_with = "present")]
    tags: Option<Option<Vec<String>>>,
    #[serde(default, deserialize_with = "present")]
    metadata: Option<Option<Map<String, Value>>>,
    #[serde(flatten)]
    limits: LimitChanges,
    /// Members that have no effect here.
    #[serde(flatten)]
    others: Map<String, Value>,
}

/// Changes of the limits of a key, a user or a team.
#[derive(Deserialize)]
pub(in crate::routes) struct LimitChanges {
    #[serde(default, deserialize_with = "present")]
    models: Option<Option<Vec<String>>>,
    #[serde(default, deserialize_with = "present")]
    max_budget: Option<Option<Money>>,
    #[serde(default, deserialize_with = "present")]
    soft_budget: Option<Option<Money>>,
    /// What was spent in the current period.
    #[serde(default)]
    spend: Option<Money>,
    #[serde(default, deserialize_with = "present")]
    budget_duration: Option<Option<Period>>,
    #[serde(default, deserialize_with = "present")]
    rpm_limit: Option<Option<u64>>,
    #[serde(default, deserialize_with = "present")]
    tpm_limit: Option<Option<u64>>,
    #[serde(default, deserialize_with = "present")]
    max_parallel_requests: Option<Option<u64>>,
    #[serde(default, deserialize_with = "present")]
    blocked: Option<Option<bool>>,
}

impl LimitChanges {
    /// Sets the spend if the request does.
    pub(in crate::routes) async fn set_spend(
        &self,
        store: &Store,
        budget: &BudgetId,
    ) -> Result<(), ApiError> {
        match self.spend {
            Some(spend) => Ok(store.set_spend(budget, spend).await?),
            None => Ok(()),
        }
    }

    pub(in crate::routes) fn apply(&self, limits: &mut LimitSettings) {
        set_or_clear(&mut limits.models, self.models.as_ref());
        set(&mut limits.max_budget, self.max_budget.as_ref());
        set(&mut limits.soft_budget, self.soft_budget.as_ref());
        set(&mut limits.budget_duration, self.budget_duration.as_ref());
        set(&mut limits.rpm_limit, self.rpm_limit.as_ref());
        set(&mut limits.tpm_limit, self.tpm_limit.as_ref());
        let parallel = self.max_parallel_requests.as_ref();
        set(&mut limits.max_parallel_requests, parallel);
        set_or_clear(&mut limits.blocked, self.blocked.as_ref());
    }
}

pub(in crate::routes) fn present<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

impl Changes {
    pub(super) fn check(&self) -> Result<(), ApiError> {
        check_others(&self.others, DESCRIPTIVE, "key")
    }

    pub(super) async fn set_spend(&self, store: &Store, key: &Key) -> Result<(), ApiError> {
        self.limits.set_spend(store, &BudgetId::key(&key.id)).await
    }

    pub(super) fn apply(&self, settings: &mut KeySettings, now: Timestamp) {
        set(&mut settings.key_alias, self.key_alias.as_ref());
        set(&mut settings.user_id, self.user_id.as_ref());
        set(&mut settings.team_id, self.team_id.as_ref());
        let expires = |period: Period| now.after(period.duration());
        let expires = self.duration.map(|duration| duration.map(expires));
        set(&mut settings.expires, expires.as_ref());
        set_or_clear(&mut settings.aliases, self.aliases.as_ref());
        set_or_clear(&mut settings.tags, self.tags.as_ref());
        set_or_clear(&mut settings.metadata, self.metadata.as_ref());
        describe(&mut settings.metadata, &self.others, DESCRIPTIVE);
        self.limits.apply(&mut settings.limits);
    }
}

/// Rejects members without effect, so that no operator relies on them. Clients of LiteLLM send some of
/// them with empty values.
pub(in crate::routes) fn check_others(
    others: &Map<String, Value>,
    descriptive: &[&str],
    what: &str,
) -> Result<(), ApiError> {
    let mut others = others.iter();
    let is_other = |(name, value): &(&String, &Value)| {
        !is_empty(value) && !descriptive.contains(&name.as_str())
    };
    let Some((name, _)) = others.find(is_other) else {
        return Ok(());
    };
    let name = excerpt(name).into_owned();
    let message = format!("`{name}` is not supported for a {what}: remove it");
    Err(ApiError::invalid(message)
        .with_param(name)
        .with_code("unsupported_parameter"))
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(members) => members.is_empty(),
        _ => false,
    }
}

/// Keeps members that only describe a key, a user or a team in its metadata; empty ones are removed.
pub(in crate::routes) fn describe(
    metadata: &mut Map<String, Value>,
    others: &Map<String, Value>,
    descriptive: &[&str],
) {
    for name in descriptive {
        match others.get(*name) {
            None => {}
            Some(value) if is_empty(value) => drop(metadata.remove(*name)),
            Some(value) => drop(metadata.insert((*name).to_owned(), value.clone())),
        }
    }
}

/// LiteLLM's members of a key that are kept in its metadata.
const DESCRIPTIVE: &[&str] = &["permissions"];

pub(in crate::routes) fn set<T: Clone>(setting: &mut T, value: Option<&T>) {
    if let Some(value) = value {
        setting.clone_from(value);
    }
}

pub(in crate::routes) fn set_or_clear<T: Clone + Default>(
    setting: &mut T,
    value: Option<&Option<T>>,
) {
    if let Some(value) = value {
        *setting = value.clone().unwrap_or_default();
    }
}

/// The body of the other routes.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Selected {
    key: Option<String>,
    keys: Option<Vec<String>>,
    /// Only for deletions.
    key_aliases: Option<Vec<String>>,
}

impl Selected {
    pub(super) fn key(&self) -> Result<&str, ApiError> {
        let missing = || ApiError::invalid("give `key`").with_param("key");
        self.key.as_deref().ok_or_else(missing)
    }

    /// The keys to delete, by their secrets or hashes and by their aliases.
    pub(super) fn keys(&self) -> Result<(Vec<&str>, &[String]), ApiError> {
        let listed = self.keys.iter().flatten().map(String::as_str);
        let all: Vec<_> = listed.chain(self.key.as_deref()).collect();
        let aliases = self.key_aliases.as_deref().unwrap_or_default();
        if (1..=MOST_KEYS).contains(&(all.len() + aliases.len())) {
            return Ok((all, aliases));
        }
        let message = format!("`keys` or `key_aliases`: give 1 to {MOST_KEYS} keys");
        Err(ApiError::invalid(message).with_param("keys"))
    }
}

/// Keys that one request may delete.
const MOST_KEYS: usize = 1000;

pub(in crate::routes) fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, ApiError> {
    if body.trim_ascii().is_empty() {
        return Err(ApiError::invalid("the body is empty: send a JSON object"));
    }
    llm_types::parse(body).map_err(|error| {
        let text = error.to_string();
        ApiError::invalid(format!("the body is invalid: {}", excerpt(&text)))
    })
}
