//! Hugging Face: the cache on this machine, its hub, and the viewer of its datasets.
//!
//! They are used only if an option or a config refers to them. `HF_TOKEN` gives access to what is
//! private.

mod cache;
mod client;

pub(crate) use cache::{Repository, snapshot};
pub(crate) use client::{Hub, HubError};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, PercentEncode, utf8_percent_encode};

/// A text as a part of a URL. Names with a slash keep it.
pub(crate) fn encoded_name(text: &str) -> PercentEncode<'_> {
    utf8_percent_encode(text, NAME)
}

/// A text as the value of a query parameter.
pub(crate) fn encoded(text: &str) -> PercentEncode<'_> {
    utf8_percent_encode(text, NON_ALPHANUMERIC)
}

/// Whether a text has the form of a name on the hub: `owner/name` or `name`.
pub(crate) fn is_name(text: &str) -> bool {
    let plain = |part: &str| {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        !part.is_empty() && !part.starts_with('.') && part.bytes().all(plain)
    };
    let parts: Vec<&str> = text.split('/').collect();
    parts.len() <= 2 && parts.into_iter().all(plain)
}

const NAME: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'/')
    .remove(b'-')
    .remove(b'_')
    .remove(b'.');

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_not_paths() {
        for name in ["squad", "meta-llama/Llama-3.1-8B", "a/b_c"] {
            assert!(is_name(name), "{name}");
        }
        for path in [
            "", ".", "..", "./a", "/a/b", "a/b/c", "~/a", "a/../b", "a b", "a/",
        ] {
            assert!(!is_name(path), "{path}");
        }
        let name = encoded_name("lmms-lab/llava?x").to_string();
        assert_eq!(name, "lmms-lab/llava%3Fx");
    }
}
