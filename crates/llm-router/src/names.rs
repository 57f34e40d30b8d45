//! Resolves the model name of a call to a model group.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::group::Group;

/// The model groups and the other names by which calls reach them.
#[derive(Debug, Default)]
pub(crate) struct Names {
    groups: BTreeMap<String, Arc<Group>>,
    aliases: BTreeMap<String, Alias>,
    /// Those with the longest fixed text first.
    patterns: Vec<Pattern>,
    default: Option<String>,
}

/// Another name of a model group.
#[derive(Clone, Debug)]
pub(crate) struct Alias {
    pub(crate) group: String,
    /// Whether the list of models leaves it out.
    pub(crate) is_hidden: bool,
}

/// The name of a group with a `*`.
#[derive(Debug)]
struct Pattern {
    prefix: String,
    suffix: String,
    group: Arc<Group>,
}

/// What a model name stands for.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct ModelTarget {
    /// The name without an alias.
    pub model: String,
    /// The name of the model group.
    pub group: String,
    /// What the `*` of the group's name matched; `None` if the name has none.
    pub matched: Option<String>,
}

/// The group of a call.
#[derive(Clone, Debug)]
pub(crate) struct Resolved {
    pub(crate) group: Arc<Group>,
    /// What the `*` of the group's name matched.
    pub(crate) matched: Option<String>,
}

impl Names {
    pub(crate) fn new(
        groups: BTreeMap<String, Arc<Group>>,
        aliases: BTreeMap<String, Alias>,
        default: Option<String>,
    ) -> Self {
        let patterns = groups.iter().filter_map(|(name, group)| {
            let (prefix, suffix) = name.split_once('*')?;
            Some(Pattern {
                prefix: prefix.to_owned(),
                suffix: suffix.to_owned(),
                group: Arc::clone(group),
            })
        });
        let mut patterns: Vec<Pattern> = patterns.collect();
        patterns.sort_by_key(|pattern| std::cmp::Reverse(pattern.fixed()));
        Self {
            groups,
            aliases,
            patterns,
            default,
        }
    }

    /// The group of a model name: of that name, of an alias, of the pattern with the longest fixed
    /// text, else the default.
    pub(crate) fn resolve(&self, name: &str) -> Option<Resolved> {
        let found = self.find(name);
        found.or_else(|| self.find(self.default.as_deref()?))
    }

    fn find(&self, name: &str) -> Option<Resolved> {
        let name = self.aliases.get(name).map_or(name, |alias| &alias.group);
        if let Some(group) = self.groups.get(name) {
            return Some(Resolved {
                group: Arc::clone(group),
                matched: None,
            });
        }
        self.patterns.iter().find_map(|pattern| {
            let matched = matched(&pattern.prefix, &pattern.suffix, name)?;
            Some(Resolved {
                group: Arc::clone(&pattern.group),
                matched: Some(matched.to_owned()),
            })
        })
    }

    /// What a model name stands for.
    pub(crate) fn target_of(&self, name: &str) -> Option<ModelTarget> {
        let (name, found) = match (self.find(name), self.default.as_deref()) {
            (Some(found), _) => (name, found),
            (None, default) => (default?, self.find(default?)?),
        };
        let name = self.aliases.get(name).map_or(name, |alias| &alias.group);
        Some(ModelTarget {
            model: name.to_owned(),
            group: found.group.name.clone(),
            matched: found.matched,
        })
    }

    /// The group of exactly this name.
    pub(crate) fn group(&self, name: &str) -> Option<&Arc<Group>> {
        self.groups.get(name)
    }

    pub(crate) fn groups(&self) -> impl Iterator<Item = &Arc<Group>> {
        self.groups.values()
    }

    /// The names that clients can use, sorted.
    pub(crate) fn visible(&self) -> impl Iterator<Item = &str> {
        let aliases = self.aliases.iter().filter(|(_, alias)| !alias.is_hidden);
        let mut aliases = aliases.map(|(name, _)| name.as_str()).peekable();
        let mut groups = self.groups.keys().map(String::as_str).peekable();
        // Both are sorted; a name is a group or an alias, never both.
        std::iter::from_fn(move || match (groups.peek(), aliases.peek()) {
            (Some(group), Some(alias)) if alias < group => aliases.next(),
            (Some(_), _) => groups.next(),
            (None, _) => aliases.next(),
        })
    }
}

impl Pattern {
    fn fixed(&self) -> usize {
        self.prefix.len() + self.suffix.len()
    }
}

/// What the `*` between `prefix` and `suffix` matches in a name: at least one character.
pub(crate) fn matched<'n>(prefix: &str, suffix: &str, name: &'n str) -> Option<&'n str> {
    let matched = name.strip_prefix(prefix)?.strip_suffix(suffix)?;
    (!matched.is_empty()).then_some(matched)
}
