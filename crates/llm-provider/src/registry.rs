use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use crate::{Error, ErrorKind, Provider, Result, Settings};

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
    /// A registry that knows nobody.
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

    /// The names that are known, in alphabetical order.
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
                        "the model name \"{model}\" names no provider; it has to begin with one of: {}",
                        known.join(", ")
                    ),
                ))
            }
        }
    }

    /// Builds the provider `name`.
    ///
    /// # Errors
    /// What the provider has against its settings; [`ErrorKind::NotFound`] for an unknown name.
    pub fn build(&self, name: &str, settings: Settings) -> Result<Arc<dyn Provider>> {
        let factory = self.factories.get(name).ok_or_else(|| {
            Error::new(
                ErrorKind::NotFound,
                format!("there is no provider \"{name}\""),
            )
        })?;
        factory(settings)
    }
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.names()).finish()
    }
}
