//! Counts tokens when the server does not.

use std::path::Path;
#[cfg(feature = "tokenizer")]
use std::sync::Arc;

use crate::error::Error;
use crate::huggingface::{Hub, Repository, encoded_name, is_name, snapshot};
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
        Self::of(&access.read(&file, MAX_FILE)?, &path.to_string_lossy())
    }

    #[cfg(feature = "tokenizer")]
    fn of(json: &[u8], name: &str) -> Result<Self, Error> {
        let inner = tokenizers::Tokenizer::from_bytes(json)
            .map_err(|error| Error::usage(OPTION, name, error.to_string()))?;
        let inner = Arc::new(inner);
        Ok(Self { inner })
    }

    #[cfg(not(feature = "tokenizer"))]
    fn of(_json: &[u8], name: &str) -> Result<Self, Error> {
        Self::read(Path::new(name), &Access::all())
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
        let encoding = self.inner.encode_fast(text, false);
        encoding.map_or(0, |encoding| encoding.len() as u64)
    }

    /// The number of tokens of a text.
    #[cfg(not(feature = "tokenizer"))]
    pub fn count(&self, _text: &str) -> u64 {
        match self.never {}
    }

    /// The ends of the tokens in bytes of the text; fewer than counted if they are not known.
    #[cfg(feature = "tokenizer")]
    pub(crate) fn ends(&self, text: &str) -> Vec<u32> {
        let Ok(encoding) = self.inner.encode(text, false) else {
            return Vec::new();
        };
        let ends = encoding.get_offsets().iter().map(|(_, end)| *end);
        ends.map(|end| u32::try_from(end).unwrap_or(u32::MAX))
            .collect()
    }

    #[cfg(not(feature = "tokenizer"))]
    pub(crate) fn ends(&self, _text: &str) -> Vec<u32> {
        match self.never {}
    }
}

/// The result of a search for a model's tokenizer.
#[non_exhaustive]
#[derive(Clone, Debug)]
pub enum TokenizerLookup {
    /// It was found.
    Found(Tokenizer),
    /// It was not found, for this reason: tokens can only be estimated.
    Missing(String),
}

impl TokenizerLookup {
    /// Reads a `tokenizer.json` at a path, or that of a model by its name on Hugging Face: from
    /// the cache on this machine, else from the hub.
    ///
    /// # Errors
    ///
    /// [`Error::Usage`] if the file is invalid or this build has no tokenizers; [`Error::Read`] for
    /// a missing file that is not a name; [`Error::NotAllowed`].
    pub async fn of(text: &Path, access: &Access) -> Result<Self, Error> {
        let name = text.to_string_lossy();
        let is_file = text.extension().is_some_and(|ending| ending == "json");
        if is_file || access.has(text) || !is_name(&name) {
            return Tokenizer::read(text, access).map(Self::Found);
        }
        access.check_hub(&format!("the tokenizer of {name}"))?;
        if !cfg!(feature = "tokenizer") {
            let reason = "this build has no tokenizers";
            return Ok(Self::Missing(reason.to_owned()));
        }
        let cached = snapshot(Repository::Model, &name).map(|folder| folder.join("tokenizer.json"));
        if let Some(file) = cached.filter(|file| file.is_file()) {
            return Tokenizer::read(&file, &Access::all()).map(Self::Found);
        }
        let path = format!("/{}/resolve/main/tokenizer.json", encoded_name(&name));
        match Hub::models().get(&path).await {
            Ok(bytes) => Tokenizer::of(&bytes, &name).map(Self::Found),
            Err(error) => Ok(Self::Missing(error.message)),
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

/// The end of each token in bytes of the text, as counted by [`count`]. A word of several estimated
/// tokens ends with the last of them.
pub(crate) fn ends(tokenizer: Option<&Tokenizer>, text: &str) -> Vec<u32> {
    if let Some(tokenizer) = tokenizer {
        return tokenizer.ends(text);
    }
    let mut ends: Vec<u32> = Vec::new();
    let mut at = 0;
    for word in text.split_inclusive(char::is_whitespace) {
        let before = ends.last().copied().unwrap_or(0);
        at += word.len();
        let end = u32::try_from(at - (word.len() - word.trim_end().len())).unwrap_or(u32::MAX);
        if let Some(earlier) = word_estimate(word).checked_sub(1) {
            ends.extend((0..earlier).map(|_| before));
            ends.push(end);
        }
    }
    ends
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
    fn tokens_end_with_their_words() {
        let text = "one  extraordinarily two\n";
        assert_eq!(ends(None, text), [3, 3, 20, 24]);
        assert_eq!(ends(None, " \n").len(), 0);
        for text in [text, "How are you?", ""] {
            assert_eq!(ends(None, text).len() as u64, count(None, text).0);
        }
    }
}
