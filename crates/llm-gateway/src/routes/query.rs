//! [`Query`]: the parameters in a URL.

use http::Uri;
use llm_provider::text::excerpt;
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
        let most = u32::try_from(most).unwrap_or(u32::MAX);
        let limit = self.number("limit", most)?;
        Ok(limit.map_or(usual, |limit| usize::try_from(limit).unwrap_or(usual)))
    }

    /// The page of a list and the entries of a page, by the first of `sizes` that the query has.
    pub(super) fn page(&self, sizes: &[&'static str]) -> Result<Page, ApiError> {
        let number = self.number("page", MAX_PAGE)?;
        if number.is_some() && self.get("after").is_some() {
            return Err(ApiError::invalid("give `page` or `after`").with_param("page"));
        }
        let mut size = None;
        for name in sizes {
            size = size.or(self.number(name, MAX_SIZE)?);
        }
        Ok(Page { number, size })
    }

    fn number(&self, name: &'static str, most: u32) -> Result<Option<u32>, ApiError> {
        let Some(value) = self.get(name) else {
            return Ok(None);
        };
        let number = value.parse().ok();
        let number = number.filter(|number| (1..=most).contains(number));
        let invalid = || {
            let message = format!("`{}`: use a number from 1 to {most}", excerpt(name));
            ApiError::invalid(message).with_param(name)
        };
        number.ok_or_else(invalid).map(Some)
    }
}

/// The part of a list that a client asks for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Page {
    /// From 1.
    pub(super) number: Option<u32>,
    pub(super) size: Option<u32>,
}

impl Page {
    /// The number of entries before the page.
    pub(super) fn skip(self, size: u32) -> u32 {
        self.number
            .map_or(0, |number| (number - 1).saturating_mul(size))
    }
}

const MAX_PAGE: u32 = 1_000_000;
const MAX_SIZE: u32 = 1000;
