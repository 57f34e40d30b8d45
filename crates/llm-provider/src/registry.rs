use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use crate::endpoint::ENDPOINTS;
use crate::text::excerpt;
use crate::{Error, ErrorKind, ParamSpec, Provider, ProviderSpec, Result, Settings, similar_name};

/// Builds a provider from settings.
type Factory = dyn Fn(Settings) -> Result<Arc<dyn Provider>> + Send + Sync;

/// The providers of a program, by the prefix of their model names.
///
/// A provider crate has one function `register(&mut Registry)`; so no list of providers has to be edited.
#[derive(Clone, Default)]
pub struct Registry {
    entries: BTreeMap<&'static str, Entry>,
}

/// A registered provider.
#[derive(Clone)]
struct Entry {
    spec: Arc<ProviderSpec>,
    factory: Arc<Factory>,
}

impl Registry {
    /// An empty registry.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a provider with its declaration, or replaces the one of the same name. A name alone
    /// declares a provider with the settings of all providers only.
    pub fn register<F>(&mut self, spec: impl Into<ProviderSpec>, factory: F)
    where
        F: Fn(Settings) -> Result<Arc<dyn Provider>> + Send + Sync + 'static,
    {
        let spec = Arc::new(spec.into());
        let factory: Arc<Factory> = Arc::new(factory);
        self.entries.insert(spec.name(), Entry { spec, factory });
    }

    /// The names of the providers, in alphabetical order.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        self.entries.keys().copied()
    }

    /// The declarations of the providers, in alphabetical order of their names.
    pub fn specs(&self) -> impl Iterator<Item = &ProviderSpec> {
        self.entries.values().map(|entry| &*entry.spec)
    }

    /// The declaration of the provider `name`.
    pub fn spec(&self, name: &str) -> Option<&ProviderSpec> {
        self.entries.get(name).map(|entry| &*entry.spec)
    }

    /// The parameters that a request may have: those of the endpoints, then those of the
    /// providers. Several may have the same name.
    pub fn params(&self) -> impl Iterator<Item = ParamSpec> {
        let of_endpoints = ENDPOINTS.iter().flat_map(|endpoint| endpoint.params());
        let of_providers = self.specs().flat_map(ProviderSpec::params);
        of_endpoints.chain(of_providers).copied()
    }

    /// Splits `replicate/meta/llama` into `replicate` and `meta/llama`.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`], with the known prefixes, if the name starts with none of them.
    pub fn split<'m>(&self, model: &'m str) -> Result<(&'static str, &'m str)> {
        let (prefix, rest) = model.split_once('/').unwrap_or((model, ""));
        match self.entries.get_key_value(prefix) {
            Some((name, _)) if !rest.is_empty() => Ok((name, rest)),
            _ => {
                let known: Vec<String> = self.names().map(|name| format!("{name}/…")).collect();
                let known = match known.as_slice() {
                    [] => NO_PROVIDER.to_owned(),
                    known => format!("it must begin with one of: {}", known.join(", ")),
                };
                let similar = self.similar(prefix).filter(|_| !rest.is_empty());
                let hint = similar.map(|name| format!("; did you mean \"{name}/…\"?"));
                let message = format!(
                    "the model name \"{}\" has no known provider prefix; {known}{}",
                    excerpt(model),
                    hint.unwrap_or_default()
                );
                Err(Error::new(ErrorKind::NotFound, message))
            }
        }
    }

    /// The registered name of the provider `name`.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`], with the known providers and the most similar one.
    pub fn find(&self, name: &str) -> Result<&'static str> {
        if let Some((known, _)) = self.entries.get_key_value(name) {
            return Ok(known);
        }
        let known: Vec<&str> = self.names().collect();
        let known = match known.as_slice() {
            [] => NO_PROVIDER.to_owned(),
            known => format!("known: {}", known.join(", ")),
        };
        let hint = self
            .similar(name)
            .map(|similar| format!("; did you mean \"{similar}\"?"));
        let message = format!(
            "unknown provider \"{}\"; {known}{}",
            excerpt(name),
            hint.unwrap_or_default()
        );
        Err(Error::new(ErrorKind::NotFound, message))
    }

    /// The provider whose name is most similar to the unknown `name`: it differs by a typing
    /// mistake, or starts with `name`.
    pub fn similar(&self, name: &str) -> Option<&'static str> {
        let begins = |known: &&str| name.len() >= 3 && known.starts_with(name);
        let similar = || similar_name(name, self.names());
        self.names().find(begins).or_else(similar)
    }

    /// Builds the provider `name`.
    ///
    /// # Errors
    /// Those of the provider for its settings, and those of [`find`](Self::find).
    pub fn build(&self, name: &str, settings: Settings) -> Result<Arc<dyn Provider>> {
        let name = self.find(name)?;
        (self.entries[name].factory)(settings)
    }
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.names()).finish()
    }
}

const NO_PROVIDER: &str = "no provider is registered: register one, or enable the feature of one";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ValueKind;

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
    fn an_unknown_provider_is_an_error_with_the_most_similar_name() {
        for (name, similar) in [
            ("together", Some("together_ai")),
            ("togetherai", Some("together_ai")),
            ("replciate", Some("replicate")),
            ("re", None),
            ("openai", None),
        ] {
            let error = registry().build(name, Settings::new()).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::NotFound, "{name}");
            assert!(error.message().contains("known: replicate, together_ai"));
            let hint = similar.map(|similar| format!("; did you mean \"{similar}\"?"));
            match hint {
                Some(hint) => assert!(error.message().ends_with(&hint), "{error}"),
                None => assert!(error.message().ends_with("together_ai"), "{error}"),
            }
        }
    }

    #[test]
    fn a_name_without_a_known_prefix_is_an_error_with_the_most_similar_one() {
        let message = |model| registry().split(model).unwrap_err().message().to_owned();
        let similar = message("together/gpt-4");
        assert!(
            similar.ends_with("did you mean \"together_ai/…\"?"),
            "{similar}"
        );
        let other = message("gpt-4");
        assert!(
            other.ends_with("one of: replicate/…, together_ai/…"),
            "{other}"
        );
        let empty = Registry::new().split("a/b").unwrap_err();
        assert!(
            empty.message().contains("no provider is registered"),
            "{empty}"
        );
    }

    #[test]
    fn a_quoted_name_is_cut_and_escaped() {
        let name = format!("a\n\u{1b}[2J{}", "b".repeat(1 << 20));
        let registry = registry();
        let model = registry.split(&name).unwrap_err();
        let provider = registry.find(&name).unwrap_err();
        for error in [model, provider] {
            assert!(error.message().len() < 500, "{}", error.message().len());
            assert!(!error.message().contains(char::is_control));
        }
    }

    #[test]
    fn the_declarations_of_all_providers_can_be_read() {
        let kind = ValueKind::Bool;
        let spec = ProviderSpec::new("acme").with_params([ParamSpec::new("watermark", kind)]);
        let mut registry = registry();
        registry.register(spec, |_| {
            Err(Error::new(ErrorKind::Auth, "there is no account"))
        });
        let names: Vec<_> = registry.specs().map(ProviderSpec::name).collect();
        assert_eq!(names, ["acme", "replicate", "together_ai"]);
        assert_eq!(registry.spec("acme").unwrap().params().len(), 1);
        assert!(registry.spec("Acme").is_none());
        let params: Vec<_> = registry.params().map(|param| param.name).collect();
        assert!(params.contains(&"temperature") && params.contains(&"watermark"));
    }
}
