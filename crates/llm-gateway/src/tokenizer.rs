//! [`Tokenizers`]: counts the tokens of prompts by the models' own `tokenizer.json`.

use std::collections::HashMap;
use std::fmt;
use std::path::Path;
#[cfg(feature = "tokenizer")]
use std::sync::Arc;

use llm_types::ChatRequest;

/// The tokenizers of model groups, from their `tokenizer.json`.
///
/// They need the feature `tokenizer`; without it, [`add`](Self::add) is an error.
#[derive(Clone, Default)]
pub struct Tokenizers {
    #[cfg(feature = "tokenizer")]
    groups: HashMap<String, Arc<counted::Tokenizer>>,
    #[cfg(not(feature = "tokenizer"))]
    groups: HashMap<String, std::convert::Infallible>,
}

/// A tokenizer that cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TokenizerError {
    /// This build has no tokenizers.
    #[error(
        "a tokenizer needs the feature tokenizer, which is not part of this build; \
         `cargo install --path crates/polyllm-cli --features tokenizer` adds it"
    )]
    NotBuilt,
    /// The file cannot be read.
    #[error("the tokenizer cannot be read: {0}")]
    Read(#[from] std::io::Error),
    /// The file is not a `tokenizer.json`.
    #[error("the file is not a tokenizer.json: {0}")]
    Invalid(String),
}

impl Tokenizers {
    /// Reads the `tokenizer.json` of a model group, with blocking I/O.
    ///
    /// # Errors
    /// See [`TokenizerError`].
    #[cfg(feature = "tokenizer")]
    pub fn add(&mut self, group: impl Into<String>, file: &Path) -> Result<(), TokenizerError> {
        let tokenizer = counted::Tokenizer::read(file)?;
        self.groups.insert(group.into(), Arc::new(tokenizer));
        Ok(())
    }

    /// Reads the `tokenizer.json` of a model group; always an error in this build.
    ///
    /// # Errors
    /// Always [`TokenizerError::NotBuilt`].
    #[cfg(not(feature = "tokenizer"))]
    pub fn add(&mut self, _group: impl Into<String>, _file: &Path) -> Result<(), TokenizerError> {
        Err(TokenizerError::NotBuilt)
    }

    /// The tokens of a prompt; `None` if its model has no tokenizer.
    #[cfg(feature = "tokenizer")]
    pub(crate) async fn count(&self, chat: &ChatRequest) -> Option<u64> {
        let tokenizer = Arc::clone(self.groups.get(&chat.model)?);
        let chat = chat.clone();
        // A long prompt takes longer than a task may.
        let count = tokio::task::spawn_blocking(move || {
            llm_adapters::count_tokens(&chat, |text| tokenizer.count(text))
        });
        count.await.ok()
    }

    #[cfg(not(feature = "tokenizer"))]
    #[expect(clippy::unused_async, reason = "as with the feature")]
    pub(crate) async fn count(&self, chat: &ChatRequest) -> Option<u64> {
        match *self.groups.get(&chat.model)? {}
    }
}

impl fmt::Debug for Tokenizers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.groups.keys()).finish()
    }
}

#[cfg(feature = "tokenizer")]
mod counted {
    use std::collections::HashMap;
    use std::hash::{BuildHasher, RandomState};
    use std::path::Path;
    use std::sync::{Mutex, PoisonError};

    use super::TokenizerError;

    /// A tokenizer, and the counts of texts that it saw: agents send the same texts at every turn.
    pub(super) struct Tokenizer {
        inner: tokenizers::Tokenizer,
        hasher: RandomState,
        /// By the hash and the length of a text.
        seen: Mutex<HashMap<(u64, usize), u64>>,
    }

    impl Tokenizer {
        pub(super) fn read(file: &Path) -> Result<Self, TokenizerError> {
            let json = std::fs::read(file)?;
            let inner = tokenizers::Tokenizer::from_bytes(json)
                .map_err(|error| TokenizerError::Invalid(error.to_string()))?;
            Ok(Self {
                inner,
                hasher: RandomState::new(),
                seen: Mutex::default(),
            })
        }

        /// The tokens of a text. Beyond [`MAX_TEXT`], they are extrapolated from its beginning.
        pub(super) fn count(&self, text: &str) -> u64 {
            if text.len() < MIN_KEPT {
                return self.encode(text);
            }
            let key = (self.hasher.hash_one(text), text.len());
            let seen = || self.seen.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(count) = seen().get(&key) {
                return *count;
            }
            let begin = &text[..text.floor_char_boundary(MAX_TEXT)];
            let (length, begin_length) = (text.len() as u64, begin.len() as u64);
            let count = (self.encode(begin) * length).div_ceil(begin_length.max(1));
            let mut seen = seen();
            if seen.len() >= MAX_KEPT {
                seen.clear();
            }
            seen.insert(key, count);
            count
        }

        fn encode(&self, text: &str) -> u64 {
            let encoding = self.inner.encode_fast(text, false);
            encoding.map_or(0, |encoding| encoding.len() as u64)
        }
    }

    /// The longest text that is tokenized, in bytes.
    const MAX_TEXT: usize = 256 << 10;
    /// Shorter texts take less time than remembering them.
    const MIN_KEPT: usize = 256;
    /// How many counts are kept.
    const MAX_KEPT: usize = 8192;
}
