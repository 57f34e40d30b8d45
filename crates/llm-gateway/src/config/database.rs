//! `database_url`: where keys, spend and responses are kept; `store_responses`: for how long.

use std::time::Duration;

use gateway_store::{DatabaseUrl, Period};

use super::reader::{Reader, Section};

/// The database that the file names.
///
/// LiteLLM also reads the environment variable `DATABASE_URL`. Many programs use that name, and the
/// gateway would create its tables in their databases, so a file has to refer to it.
pub(super) fn database_url(
    reader: &mut Reader<'_>,
    general: Option<&mut Section>,
) -> Option<DatabaseUrl> {
    let (url, at) = reader.take_text(general?, "database_url")?;
    match url.parse::<DatabaseUrl>() {
        Ok(url) => Some(url),
        Err(error) => {
            reader.error(at, error.to_string());
            None
        }
    }
}

/// How long responses of the Responses API are kept. LiteLLM has no such key.
pub(super) fn store_responses(
    reader: &mut Reader<'_>,
    general: Option<&mut Section>,
) -> Option<Duration> {
    let entry = reader.take(general?, "store_responses")?;
    let (time, at) = (reader.plain_text(&entry)?, entry.value.at);
    match time.parse::<Period>() {
        Ok(period) => Some(period.duration()),
        Err(error) => {
            reader.error(at, format!("`store_responses` is {error}"));
            None
        }
    }
}
