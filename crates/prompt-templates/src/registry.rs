//! Templates by model name.

use alloc::string::String;
use alloc::vec::Vec;

use crate::template::Template;

/// Templates registered for models, like LiteLLM's `register_prompt_template`.
///
/// ```
/// use prompt_templates::{Family, NameMatch, TemplateRegistry};
///
/// let mut registry = TemplateRegistry::new();
/// registry.register("acme/llama", Family::LLAMA_3);
/// registry.register("acme/*", Family::CHATML);
///
/// let found = registry.find("replicate/acme/llama").ok_or("nothing registered")?;
/// assert_eq!((found.pattern, found.name_match), ("acme/llama", NameMatch::WithoutProvider));
/// # Ok::<(), &str>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct TemplateRegistry {
    entries: Vec<(String, Template)>,
}

impl TemplateRegistry {
    /// Creates an empty registry.
    pub const fn new() -> Self {
        Self {
            entries: Vec::new(),
        }
    }

    /// Registers a template for the models with this name, in which `*` matches any characters.
    /// Replaces and returns the template that had the same name.
    pub fn register(
        &mut self,
        pattern: impl Into<String>,
        template: impl Into<Template>,
    ) -> Option<Template> {
        let (pattern, template) = (pattern.into(), template.into());
        match self.entries.iter_mut().find(|(known, _)| *known == pattern) {
            Some((_, known)) => Some(core::mem::replace(known, template)),
            None => {
                self.entries.push((pattern, template));
                None
            }
        }
    }

    /// Registers all templates of another registry, in the order of their registration.
    pub fn register_all(&mut self, templates: &Self) {
        for (model, template) in templates.iter() {
            self.register(model, template.clone());
        }
    }

    /// Finds the template for a model. The first of these counts: an equal name; a name that is
    /// equal without the provider's prefix (`replicate/`, `together_ai/`) of either; the first
    /// registered wildcard that matches, with or without the prefixes.
    pub fn find(&self, model: &str) -> Option<RegisteredTemplate<'_>> {
        let bare = without_provider(model);
        self.find_by(NameMatch::Exact, |pattern| pattern == model)
            .or_else(|| self.find_by(NameMatch::WithoutProvider, |p| without_provider(p) == bare))
            .or_else(|| {
                self.find_by(NameMatch::Wildcard, |pattern| {
                    matches(pattern, model) || matches(without_provider(pattern), bare)
                })
            })
    }

    /// The registered templates and their names, in the order of registration.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Template)> {
        self.entries
            .iter()
            .map(|(pattern, template)| (&**pattern, template))
    }

    fn find_by(
        &self,
        name_match: NameMatch,
        test: impl Fn(&str) -> bool,
    ) -> Option<RegisteredTemplate<'_>> {
        let (pattern, template) = self.iter().find(|(pattern, _)| test(pattern))?;
        Some(RegisteredTemplate {
            template,
            pattern,
            name_match,
        })
    }
}

/// The result of [`TemplateRegistry::find`].
#[non_exhaustive]
#[derive(Clone, Copy, Debug)]
pub struct RegisteredTemplate<'r> {
    /// The template.
    pub template: &'r Template,
    /// The name under which it was registered.
    pub pattern: &'r str,
    /// How this name matches the model's name.
    pub name_match: NameMatch,
}

/// How the name of a registered template matches a model's name.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum NameMatch {
    /// The names are equal.
    Exact,
    /// The name contains a `*` that matches the rest.
    Wildcard,
    /// The names are equal except for a provider's prefix.
    WithoutProvider,
}

fn without_provider(name: &str) -> &str {
    let prefix = PROVIDERS
        .iter()
        .find_map(|provider| name.strip_prefix(provider));
    prefix.unwrap_or(name)
}

/// Whether `name` matches `pattern`, in which `*` matches any characters.
fn matches(pattern: &str, name: &str) -> bool {
    let Some((head, mut rest)) = pattern.split_once('*') else {
        return pattern == name;
    };
    let Some(mut name) = name.strip_prefix(head) else {
        return false;
    };
    // Each piece matches at its first occurrence, the last one at the end.
    while let Some((piece, tail)) = rest.split_once('*') {
        let Some(at) = name.find(piece) else {
            return false;
        };
        name = &name[at + piece.len()..];
        rest = tail;
    }
    name.ends_with(rest)
}

const PROVIDERS: &[&str] = &["replicate/", "together_ai/"];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::family::Family;

    #[test]
    fn a_star_matches_any_characters() {
        for (pattern, name, wanted) in [
            ("*", "", true),
            ("a*", "abc", true),
            ("*c", "abc", true),
            ("a*c", "ac", true),
            ("a*b*c", "a-b-b-c", true),
            ("a*b*c", "a-c-b", false),
            ("ab*b", "ab", false),
            ("abc", "abcd", false),
        ] {
            assert_eq!(matches(pattern, name), wanted, "{pattern} {name}");
        }
    }

    #[test]
    fn the_closest_match_wins() {
        let mut registry = TemplateRegistry::new();
        assert!(
            registry
                .register("replicate/acme/*", Family::PLAIN)
                .is_none()
        );
        registry.register("acme/one", Family::ALPACA);
        registry.register("replicate/acme/one", Family::VICUNA);
        assert!(registry.register("acme/*", Family::CHATML).is_none());
        assert!(registry.register("acme/*", Family::CHATML).is_some());
        let check = |model: &str, pattern: &str, how| {
            let found = registry.find(model).unwrap();
            assert_eq!((found.pattern, found.name_match), (pattern, how), "{model}");
        };
        check("replicate/acme/one", "replicate/acme/one", NameMatch::Exact);
        check("acme/one", "acme/one", NameMatch::Exact);
        check(
            "together_ai/acme/one",
            "acme/one",
            NameMatch::WithoutProvider,
        );
        check(
            "together_ai/acme/two",
            "replicate/acme/*",
            NameMatch::Wildcard,
        );
        assert!(registry.find("other/one").is_none());
    }
}
