//! The database of keys and spend: the one that the configuration names, or a SQLite file beside the
//! configuration.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use llm_gateway::{Config, DatabaseUrl, ResponseOptions, StoredResponses, VirtualKeys};

use crate::output::{Colour, note};

/// The file beside the configuration.
const FILE: &str = "polyllm.db";

/// The database of a configuration, and whether it is the default. Without a master key nobody can
/// manage keys, so there is no default.
pub(crate) fn url(config: &Config, file: Option<&Path>) -> Option<(DatabaseUrl, bool)> {
    if let Some(url) = &config.database_url {
        return Some((url.clone(), false));
    }
    config.master_key.as_ref()?;
    let beside = file.map(|file| file.with_file_name(FILE));
    let url = beside.and_then(|path| DatabaseUrl::file(&path));
    Some((url.unwrap_or_else(DatabaseUrl::memory), true))
}

/// Opens the database of a configuration.
pub(crate) async fn open(config: &Config, file: Option<&Path>) -> Result<Option<VirtualKeys>> {
    let Some((url, is_default)) = url(config, file) else {
        return Ok(None);
    };
    match VirtualKeys::open(&url).await {
        Ok(keys) => Ok(Some(keys)),
        // The folder of the configuration may be read-only, as in a container.
        Err(error) if is_default && error.is_outage() && !exists(file) => {
            let url = url.redacted();
            let text = format!(
                "{url} cannot be created ({error}): virtual keys and spend are kept in memory and \
                 lost at the end; set `general_settings.database_url`, such as \
                 sqlite:/var/lib/polyllm.db"
            );
            note("warning", Colour::Yellow, text);
            let keys = VirtualKeys::open(&DatabaseUrl::memory()).await;
            Ok(Some(keys.context("cannot open a database in memory")?))
        }
        Err(error) => Err(error).with_context(|| {
            let url = url.redacted();
            format!("cannot open the database {url} (`general_settings.database_url`)")
        }),
    }
}

/// Keeps responses in the database of the keys, or else in memory.
pub(crate) async fn stored_responses(
    keys: Option<&VirtualKeys>,
    time_to_live: Duration,
) -> Result<StoredResponses> {
    let Some(keys) = keys else {
        let stored = StoredResponses::in_memory(time_to_live).await;
        return stored.context("cannot open a database in memory");
    };
    let options = ResponseOptions::default().with_time_to_live(time_to_live);
    Ok(StoredResponses::new(keys.store(), options))
}

fn exists(config: Option<&Path>) -> bool {
    config.is_some_and(|config| config.with_file_name(FILE).exists())
}
