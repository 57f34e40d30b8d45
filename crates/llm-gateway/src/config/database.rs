//! `database_url`: where keys and spend are kept.

use gateway_store::DatabaseUrl;

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
