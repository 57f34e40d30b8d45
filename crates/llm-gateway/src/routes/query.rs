//! [`Query`]: the parameters in a URL.

use http::Uri;
use percent_encoding::percent_decode_str;

use crate::error::ApiError;

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

    /// The parameter `limit`, from 1 to `most`; by default `usual`.
    pub(super) fn limit(&self, usual: usize, most: usize) -> Result<usize, ApiError> {
        let Some(limit) = self.get("limit") else {
            return Ok(usual);
        };
        let limit = limit.parse().ok();
        limit
            .filter(|limit| (1..=most).contains(limit))
            .ok_or_else(|| {
                let message = format!("use a number from 1 to {most}");
                ApiError::invalid(message).with_param("limit")
            })
    }
}
