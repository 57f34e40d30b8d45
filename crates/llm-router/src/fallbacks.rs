//! Which model groups take over when a group cannot serve a call.

use std::collections::BTreeMap;

use llm_provider::{Error, ErrorKind};

/// The model groups that take over from others, as in LiteLLM's settings of the same names.
///
/// ```
/// use llm_router::Fallbacks;
///
/// let fallbacks = Fallbacks::default()
///     .with("large", ["medium", "small"])
///     .with_context_window("medium", ["long-context"])
///     .with_default(["small"]);
/// ```
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub struct Fallbacks {
    /// By group, for failures that another group may not have.
    pub general: BTreeMap<String, Vec<String>>,
    /// By group, for prompts that are too long; otherwise as `general`.
    pub context_window: BTreeMap<String, Vec<String>>,
    /// By group, for prompts or replies that a filter refused; otherwise as `general`.
    pub content_policy: BTreeMap<String, Vec<String>>,
    /// For groups without fallbacks of their own.
    pub default: Vec<String>,
    /// The most groups that are tried after the first; 5 by default.
    pub max: usize,
}

impl Default for Fallbacks {
    fn default() -> Self {
        Self {
            general: BTreeMap::new(),
            context_window: BTreeMap::new(),
            content_policy: BTreeMap::new(),
            default: Vec::new(),
            max: 5,
        }
    }
}

/// The list of the first name that has one.
fn list_of<'l>(
    lists: &'l BTreeMap<String, Vec<String>>,
    names: [&str; 2],
) -> Option<&'l Vec<String>> {
    names.into_iter().find_map(|name| lists.get(name))
}

/// Names as a list of strings.
fn list(names: impl IntoIterator<Item = impl Into<String>>) -> Vec<String> {
    names.into_iter().map(Into::into).collect()
}

impl Fallbacks {
    /// Sets the groups that take over from `group`, in order.
    #[must_use]
    pub fn with(
        mut self,
        group: impl Into<String>,
        names: impl IntoIterator<Item = impl Into<String>>,
    ) -> Self {
        self.general.insert(group.into(), list(names));
        self
    }

    /// Sets the groups that take over from `group` when a prompt is too long.
    #[must_use]
    pub fn with_context_window(
        mut self,
        group: impl Into<String>,
        names: impl IntoIterator<Item = impl Into<String>>,
    ) -> Self {
        self.context_window.insert(group.into(), list(names));
        self
    }

    /// Sets the groups that take over from `group` when a filter refuses a prompt or a reply.
    #[must_use]
    pub fn with_content_policy(
        mut self,
        group: impl Into<String>,
        names: impl IntoIterator<Item = impl Into<String>>,
    ) -> Self {
        self.content_policy.insert(group.into(), list(names));
        self
    }

    /// Sets the groups that take over from groups without fallbacks of their own.
    #[must_use]
    pub fn with_default(mut self, names: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.default = list(names);
        self
    }

    /// Sets the most groups that are tried after the first.
    #[must_use]
    pub fn with_max(mut self, groups: usize) -> Self {
        self.max = groups;
        self
    }

    /// The groups that take over after `error` from a group with these names: that of the request,
    /// whose own fallbacks come first, and that of the group. `None` if no other group can serve the
    /// call, since the request is at fault.
    pub(crate) fn of(&self, names: [&str; 2], error: &Error) -> Option<&[String]> {
        let special = match error.kind() {
            ErrorKind::ContextWindow => list_of(&self.context_window, names),
            ErrorKind::ContentFilter => list_of(&self.content_policy, names),
            _ if error.is_retryable_elsewhere() => None,
            // The client's mistake.
            _ => return None,
        };
        let own = special.or_else(|| list_of(&self.general, names));
        Some(own.unwrap_or(&self.default))
    }

    /// The groups that take over from a group with these names after any error.
    pub(crate) fn all_of(&self, names: [&str; 2]) -> impl Iterator<Item = &String> {
        let special = [&self.context_window, &self.content_policy];
        let special = special
            .into_iter()
            .filter_map(move |lists| list_of(lists, names));
        let own = list_of(&self.general, names).unwrap_or(&self.default);
        special.flatten().chain(own)
    }

    /// Whether a group takes over from one with these names if a filter stopped its reply.
    pub(crate) fn replaces_filtered(&self, names: [&str; 2]) -> bool {
        list_of(&self.content_policy, names).is_some()
    }

    /// All lists, each with the setting and the group that it belongs to.
    pub(crate) fn lists(&self) -> impl Iterator<Item = (&'static str, &str, &[String])> {
        let lists = [
            ("fallbacks", &self.general),
            ("context_window_fallbacks", &self.context_window),
            ("content_policy_fallbacks", &self.content_policy),
        ];
        let lists = lists.into_iter().flat_map(|(setting, lists)| {
            let of = move |(group, names): (_, _)| (setting, group, names);
            lists
                .iter()
                .map(|(group, names)| (group.as_str(), names.as_slice()))
                .map(of)
        });
        let default = ("default_fallbacks", "", self.default.as_slice());
        lists.chain([default])
    }
}
