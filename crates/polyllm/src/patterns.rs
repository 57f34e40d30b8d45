//! The prompt templates of a client, by provider.

use std::collections::{BTreeMap, BTreeSet};

use llm_provider::text::excerpt;
use llm_provider::{Error, ErrorKind, Registry, Result};
use prompt_templates::{NameMatch, Template, TemplateRegistry};

/// The templates of a client.
///
/// Each provider decides which of its templates matches a model.
#[derive(Clone, Debug, Default)]
pub(crate) struct Templates {
    by_provider: BTreeMap<&'static str, TemplateRegistry>,
    /// The patterns that were registered with a provider's name.
    with_provider: BTreeSet<(&'static str, String)>,
}

impl Templates {
    /// Registers a template for the models that match `pattern`, with or without a provider.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidRequest`] for a pattern that cannot match any model.
    pub(crate) fn register(
        &mut self,
        registry: &Registry,
        pattern: &str,
        template: &Template,
    ) -> Result<()> {
        let (providers, models, is_named) = match provider_of(registry, pattern)? {
            Some((provider, models)) => (vec![provider], models, true),
            None => (registry.names().collect(), pattern, false),
        };
        let mut hidden = None;
        let mut is_used = false;
        for provider in providers {
            let known = self.by_provider.entry(provider).or_default();
            let key = (provider, models.to_owned());
            if !is_named && self.with_provider.contains(&key) {
                // The more specific name wins, regardless of the order of registration.
                hidden = Some(format!("{provider}/{models}"));
                continue;
            }
            if let Some(before) = hidden_by(known, models) {
                hidden = Some(before);
                continue;
            }
            is_used = true;
            known.register(models, template.clone());
            if is_named {
                self.with_provider.insert(key);
            }
        }
        match hidden {
            Some(before) if !is_used => Err(never(
                pattern,
                format_args!(
                    "`{}`, registered before, matches all of its models",
                    excerpt(&before)
                ),
            )),
            _ => Ok(()),
        }
    }

    /// The templates for the models of `provider`, by the provider's own names.
    pub(crate) fn of(&self, provider: &str) -> Option<&TemplateRegistry> {
        self.by_provider.get(provider)
    }
}

/// The provider in a pattern, and the rest of the pattern.
fn provider_of<'p>(
    registry: &Registry,
    pattern: &'p str,
) -> Result<Option<(&'static str, &'p str)>> {
    if pattern.trim().is_empty() {
        return Err(never(pattern, format_args!("it names no model")));
    }
    let (prefix, models) = pattern.split_once('/').unwrap_or((pattern, ""));
    if let Some(provider) = registry.names().find(|name| *name == prefix) {
        if models.is_empty() {
            let hint = format_args!("`{provider}/*` is for all models of {provider}");
            return Err(never(pattern, hint));
        }
        return Ok(Some((provider, models)));
    }
    // A model name has an owner and a name, so the first of three parts is a provider.
    if models.contains('/')
        && let Some(similar) = registry.similar(prefix)
    {
        let models = excerpt(models);
        let hint = format_args!("there is no such provider; did you mean `{similar}/{models}`?");
        return Err(never(pattern, hint));
    }
    Ok(None)
}

/// An earlier wildcard that matches everything that `pattern` matches; the first one wins.
fn hidden_by(known: &TemplateRegistry, pattern: &str) -> Option<String> {
    if !pattern.contains('*') {
        return None; // a name in full goes before wildcards
    }
    // A `*` in the new pattern can only be matched by a `*` in the other.
    let found = known.find(pattern)?;
    (found.name_match == NameMatch::Wildcard).then(|| found.pattern.to_owned())
}

fn never(pattern: &str, why: std::fmt::Arguments<'_>) -> Error {
    let message = format!(
        "the template for `{}` would never be used: {why}",
        excerpt(pattern)
    );
    Error::new(ErrorKind::InvalidRequest, message)
}
