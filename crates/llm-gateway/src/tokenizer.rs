//! [`Tokenizers`]: counts the tokens of prompts by the models' own `tokenizer.json`.

#[cfg(feature = "tokenizer")]
mod counted;
#[cfg(feature = "tokenizer")]
mod pieces;

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

    /// The tokens of a prompt; `None` if its model group has no tokenizer.
    #[cfg(feature = "tokenizer")]
    pub(crate) async fn count(&self, group: Option<&str>, chat: &ChatRequest) -> Option<u64> {
        let tokenizer = Arc::clone(self.groups.get(group?)?);
        let chat = chat.clone();
        // A long prompt takes longer than a task may.
        let count = tokio::task::spawn_blocking(move || {
            llm_adapters::count_tokens(&chat, |text| tokenizer.count(text))
        });
        count.await.ok()
    }

    #[cfg(not(feature = "tokenizer"))]
    #[expect(clippy::unused_async, reason = "as with the feature")]
    pub(crate) async fn count(&self, group: Option<&str>, _chat: &ChatRequest) -> Option<u64> {
        match *self.groups.get(group?)? {}
    }
}

impl fmt::Debug for Tokenizers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.groups.keys()).finish()
    }
}
