//! Counts tokens when the server does not.

use std::path::Path;
#[cfg(feature = "tokenizer")]
use std::sync::Arc;

use crate::error::Error;
use crate::record::TokenSource;
use crate::workload::Access;

/// A model's own tokenizer, from its `tokenizer.json`.
///
/// It needs the feature `tokenizer`; without it, [`Tokenizer::read`] is an error.
#[derive(Clone)]
pub struct Tokenizer {
    #[cfg(feature = "tokenizer")]
    inner: Arc<tokenizers::Tokenizer>,
    #[cfg(not(feature = "tokenizer"))]
    never: std::convert::Infallible,
}

impl Tokenizer {
    /// Reads a `tokenizer.json`, or the one in a folder.
    ///
    /// # Errors
    ///
    /// [`Error::Usage`] if it is invalid; [`Error::Read`]; [`Error::NotAllowed`].
    #[cfg(feature = "tokenizer")]
    pub fn read(path: &Path, access: &Access) -> Result<Self, Error> {
        let file = if path.is_dir() {
            path.join("tokenizer.json")
        } else {
            path.to_owned()
        };
        let inner = tokenizers::Tokenizer::from_bytes(access.read(&file, MAX_FILE)?)
            .map_err(|error| Error::usage(OPTION, path.display().to_string(), error.to_string()))?;
        let inner = Arc::new(inner);
        Ok(Self { inner })
    }

    /// Reads a `tokenizer.json`; always an error in this build.
    ///
    /// # Errors
    ///
    /// Always [`Error::Usage`].
    #[cfg(not(feature = "tokenizer"))]
    pub fn read(path: &Path, _access: &Access) -> Result<Self, Error> {
        let reason = "needs the feature `tokenizer`, which is not part of this build";
        Err(Error::usage(OPTION, path.display().to_string(), reason))
    }

    /// The number of tokens of a text, without those of a chat template.
    #[cfg(feature = "tokenizer")]
    pub fn count(&self, text: &str) -> u64 {
        self.ids(text).len() as u64
    }

    /// The number of tokens of a text.
    #[cfg(not(feature = "tokenizer"))]
    pub fn count(&self, _text: &str) -> u64 {
        match self.never {}
    }

    /// The text of the first `count` tokens.
    #[cfg(feature = "tokenizer")]
    pub(crate) fn cut(&self, text: &str, count: usize) -> String {
        let ids = self.ids(text);
        let kept = &ids[..count.min(ids.len())];
        // A tokenizer can decode what it encoded; otherwise the text stays unchanged.
        self.inner
            .decode(kept, true)
            .unwrap_or_else(|_| text.to_owned())
    }

    #[cfg(not(feature = "tokenizer"))]
    pub(crate) fn cut(&self, _text: &str, _count: usize) -> String {
        match self.never {}
    }

    #[cfg(feature = "tokenizer")]
    fn ids(&self, text: &str) -> Vec<u32> {
        match self.inner.encode_fast(text, false) {
            Ok(encoding) => encoding.get_ids().to_vec(),
            Err(_) => Vec::new(),
        }
    }
}

impl std::fmt::Debug for Tokenizer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Tokenizer")
    }
}

/// Counts the tokens of a text with the tokenizer, or estimates them.
pub(crate) fn count(tokenizer: Option<&Tokenizer>, text: &str) -> (u64, TokenSource) {
    match tokenizer {
        Some(tokenizer) => (tokenizer.count(text), TokenSource::Tokenizer),
        None => (estimate(text), TokenSource::Estimate),
    }
}

/// The beginning of `text`, at most `count` tokens.
pub(crate) fn cut(tokenizer: Option<&Tokenizer>, text: &str, count: u64) -> String {
    if let Some(tokenizer) = tokenizer {
        return tokenizer.cut(text, usize::try_from(count).unwrap_or(usize::MAX));
    }
    let mut spent = 0;
    let mut end = 0;
    for word in text.split_inclusive(char::is_whitespace) {
        spent += word_estimate(word);
        if spent > count {
            break;
        }
        end += word.len();
    }
    text[..end].trim_end().to_owned()
}

/// Common words are one token; byte-pair encodings split long words every few letters.
fn estimate(text: &str) -> u64 {
    text.split_whitespace().map(word_estimate).sum()
}

fn word_estimate(word: &str) -> u64 {
    let word = word.trim();
    let letters = word.chars().filter(|c| c.is_alphanumeric()).count() as u64;
    let marks = word.chars().count() as u64 - letters;
    letters.div_ceil(LETTERS_PER_TOKEN) + marks
}

const LETTERS_PER_TOKEN: u64 = 9;

/// The longest `tokenizer.json`, in bytes.
#[cfg(feature = "tokenizer")]
const MAX_FILE: u64 = 512 << 20;

const OPTION: &str = "--model-tokenizer";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_estimate_is_marked_as_such() {
        let (count, source) = count(None, "How are you, extraordinarily?");
        assert_eq!((count, source), (7, TokenSource::Estimate));
    }

    #[test]
    fn a_text_is_cut_between_words() {
        assert_eq!(cut(None, "one two three", 2), "one two");
        assert_eq!(cut(None, "one two", 9), "one two");
        assert_eq!(cut(None, "one", 0), "");
    }
}
