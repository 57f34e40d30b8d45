//! [`Query`]: the parameters in a URL.

use http::Uri;
use percent_encoding::percent_decode_str;

/// The parameters in a URL.
pub(super) struct Query<'u>(&'u str);

impl<'u> Query<'u> {
    pub(super) fn of(uri: &'u Uri) -> Self {
        Self(uri.query().unwrap_or_default())
    }

    /// The value of a parameter that is not empty.
    pub(super) fn get(&self, name: &str) -> Option<String> {
        let mut pairs = self.0.split('&').filter_map(|pair| pair.split_once('='));
        let value = pairs.find(|(key, _)| *key == name)?.1.replace('+', " ");
        let value = percent_decode_str(&value).decode_utf8_lossy().into_owned();
        Some(value).filter(|value| !value.is_empty())
    }
}
