use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use crate::text::excerpt;
use crate::{Error, ErrorKind, Provider, Result, Settings, similar_name};

/// What turns settings into a provider.
type Factory = dyn Fn(Settings) -> Result<Arc<dyn Provider>> + Send + Sync;

/// The providers that a program knows, by the prefix of their model names.
///
/// A provider crate has one function `register(&mut Registry)`; adding a provider edits no list.
#[derive(Clone, Default)]
pub struct Registry {
    factories: BTreeMap<&'static str, Arc<Factory>>,
}

impl Registry {
    /// An empty registry.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a provider, or replaces the one of the same name.
    pub fn register<F>(&mut self, name: &'static str, factory: F)
    where
        F: Fn(Settings) -> Result<Arc<dyn Provider>> + Send + Sync + 'static,
    {
        self.factories.insert(name, Arc::new(factory));
    }

    /// The names of the providers, in alphabetical order.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        self.factories.keys().copied()
    }

    /// Cuts `replicate/meta/llama` into `replicate` and `meta/llama`.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`], naming the known prefixes, when the name begins with none.
    pub fn split<'m>(&self, model: &'m str) -> Result<(&'static str, &'m str)> {
        let (prefix, rest) = model.split_once('/').unwrap_or((model, ""));
        match self.factories.get_key_value(prefix) {
            Some((name, _)) if !rest.is_empty() => Ok((name, rest)),
            _ => {
                let known: Vec<String> = self.names().map(|name| format!("{name}/…")).collect();
                Err(Error::new(
                    ErrorKind::NotFound,
                    format!(
                        "the model name \"{}\" names no provider; it has to begin with one of: {}",
                        excerpt(model),
                        known.join(", ")
                    ),
                ))
            }
        }
    }

    /// The registered name of the provider `name`.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`], naming the known providers and the most similar one.
    pub fn find(&self, name: &str) -> Result<&'static str> {
        if let Some((known, _)) = self.factories.get_key_value(name) {
            return Ok(known);
        }
        let known: Vec<&str> = self.names().collect();
        let hint = self
            .similar(name)
            .map(|similar| format!("; did you mean \"{similar}\"?"));
        let message = format!(
            "there is no provider \"{}\"; known: {}{}",
            excerpt(name),
            known.join(", "),
            hint.unwrap_or_default()
        );
        Err(Error::new(ErrorKind::NotFound, message))
    }

    /// The provider that was probably meant by `name`, if there is none of that name: it differs
    /// by a typing mistake, or `name` is its beginning.
    pub fn similar(&self, name: &str) -> Option<&'static str> {
        let begins = |known: &&str| name.len() >= 3 && known.starts_with(name);
        let similar = || similar_name(name, self.names());
        self.names().find(begins).or_else(similar)
    }

    /// Builds the provider `name`.
    ///
    /// # Errors
    /// Those of the provider for its settings, and of [`find`](Self::find).
    pub fn build(&self, name: &str, settings: Settings) -> Result<Arc<dyn Provider>> {
        let name = self.find(name)?;
        self.factories[name](settings)
    }
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.names()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn registry() -> Registry {
        let mut registry = Registry::new();
        for name in ["replicate", "together_ai"] {
            registry.register(name, |_| {
                Err(Error::new(ErrorKind::Auth, "there is no account"))
            });
        }
        registry
    }

    #[test]
    fn an_unknown_provider_is_told_with_the_one_that_was_meant() {
        for (name, meant) in [
            ("together", Some("together_ai")),
            ("togetherai", Some("together_ai")),
            ("replciate", Some("replicate")),
            ("re", None),
            ("openai", None),
        ] {
            let error = registry().build(name, Settings::new()).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::NotFound, "{name}");
            assert!(error.message().contains("known: replicate, together_ai"));
            let hint = meant.map(|meant| format!("; did you mean \"{meant}\"?"));
            match hint {
                Some(hint) => assert!(error.message().ends_with(&hint), "{error}"),
                None => assert!(error.message().ends_with("together_ai"), "{error}"),
            }
        }
    }

    #[test]
    fn a_name_that_is_quoted_is_cut_and_escaped() {
        let name = format!("a\n\u{1b}[2J{}", "b".repeat(1 << 20));
        let registry = registry();
        let model = registry.split(&name).unwrap_err();
        let provider = registry.find(&name).unwrap_err();
        for error in [model, provider] {
            assert!(error.message().len() < 500, "{}", error.message().len());
            assert!(!error.message().contains(char::is_control));
        }
    }
}
