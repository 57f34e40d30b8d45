//! Checks the settings of keys and owners.

use serde_json::{Map, Value};

use super::{KeySettings, LimitSettings, OwnerSettings};
use crate::{Error, Money, Result};

pub(super) fn key(settings: &KeySettings) -> Result<()> {
    name("key_alias", settings.key_alias.as_deref())?;
    name("user_id", settings.user_id.as_deref())?;
    name("team_id", settings.team_id.as_deref())?;
    names("tags", &settings.tags)?;
    names("aliases", settings.aliases.keys())?;
    names("aliases", settings.aliases.values())?;
    limits(&settings.limits)?;
    metadata(&settings.metadata)
}

pub(super) fn owner(id: &str, settings: &OwnerSettings) -> Result<()> {
    name("id", Some(id))?;
    name("alias", settings.alias.as_deref())?;
    limits(&settings.limits)?;
    metadata(&settings.metadata)
}

fn limits(limits: &LimitSettings) -> Result<()> {
    names("models", &limits.models)?;
    amount("max_budget", limits.max_budget)?;
    amount("soft_budget", limits.soft_budget)?;
    limit("rpm_limit", limits.rpm_limit)?;
    limit("tpm_limit", limits.tpm_limit)?;
    limit("max_parallel_requests", limits.max_parallel_requests)
}

/// Names are shown in logs and reports, so they must not hold control characters.
fn name(field: &str, name: Option<&str>) -> Result<()> {
    let Some(name) = name else { return Ok(()) };
    let is_shown_as_it_is = llm_provider::text::printable(name) == name;
    if name.trim().is_empty() || name.len() > LONGEST_NAME || !is_shown_as_it_is {
        return Err(Error::invalid(format!(
            "`{field}`: give 1 to {LONGEST_NAME} bytes without control characters"
        )));
    }
    Ok(())
}

fn names<'a>(field: &str, names: impl IntoIterator<Item = &'a String>) -> Result<()> {
    for (index, text) in names.into_iter().enumerate() {
        if index >= MOST_NAMES {
            let message = format!("`{field}`: give at most {MOST_NAMES} entries");
            return Err(Error::invalid(message));
        }
        name(field, Some(text))?;
    }
    Ok(())
}

/// Checks an amount of a budget.
pub(crate) fn amount(field: &str, amount: Option<Money>) -> Result<()> {
    match amount {
        Some(amount) if !(Money::ZERO..=Money::MAX_BUDGET).contains(&amount) => {
            let most = Money::MAX_BUDGET;
            let message = format!("`{field}`: give 0 to {most} dollars");
            Err(Error::invalid(message))
        }
        _ => Ok(()),
    }
}

fn limit(field: &str, limit: Option<u64>) -> Result<()> {
    match limit {
        Some(count) if !(1..=HIGHEST_LIMIT).contains(&count) => {
            let message =
                format!("`{field}`: give 1 to {HIGHEST_LIMIT}; to stop all calls, block the key");
            Err(Error::invalid(message))
        }
        _ => Ok(()),
    }
}

fn metadata(metadata: &Map<String, Value>) -> Result<()> {
    // Maps of texts and numbers can always be written.
    let length = serde_json::to_string(metadata).map_or(usize::MAX, |text| text.len());
    if length > LONGEST_METADATA {
        let message = format!("`metadata`: give at most {LONGEST_METADATA} bytes of JSON");
        return Err(Error::invalid(message));
    }
    Ok(())
}

const LONGEST_NAME: usize = 256;
const MOST_NAMES: usize = 1000;
const LONGEST_METADATA: usize = 64 * 1024;
const HIGHEST_LIMIT: u64 = 1_000_000_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn invalid_settings_are_rejected_with_the_name_of_the_field() {
        let settings = |change: fn(&mut KeySettings)| {
            let mut settings = KeySettings::default();
            change(&mut settings);
            settings
        };
        assert!(key(&settings(|_| {})).is_ok());
        let quotes = settings(|s| s.key_alias = Some("Robert'); DROP TABLE keys;--".into()));
        assert!(key(&quotes).is_ok());
        for (field, settings) in [
            (
                "key_alias",
                settings(|s| s.key_alias = Some("a\u{1b}[2J".into())),
            ),
            ("key_alias", settings(|s| s.key_alias = Some("  ".into()))),
            ("user_id", settings(|s| s.user_id = Some("x".repeat(257)))),
            ("team_id", settings(|s| s.team_id = Some("a\0b".into()))),
            (
                "models",
                settings(|s| s.limits.models = vec!["m".into(); 1001]),
            ),
            ("tags", settings(|s| s.tags = vec![String::new()])),
            (
                "max_budget",
                settings(|s| s.limits.max_budget = Some(Money::from_nanos(-1))),
            ),
            (
                "max_budget",
                settings(|s| s.limits.max_budget = Some(Money::from_nanos(i64::MAX))),
            ),
            ("rpm_limit", settings(|s| s.limits.rpm_limit = Some(0))),
            (
                "tpm_limit",
                settings(|s| s.limits.tpm_limit = Some(u64::MAX)),
            ),
            (
                "metadata",
                settings(|s| {
                    s.metadata.insert("k".into(), "v".repeat(70_000).into());
                }),
            ),
        ] {
            let error = key(&settings).unwrap_err().to_string();
            assert!(error.starts_with(&format!("`{field}`")), "{error}");
        }
    }
}
