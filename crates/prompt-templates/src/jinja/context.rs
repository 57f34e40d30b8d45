//! The variables that a chat template sees.

use alloc::borrow::{Cow, ToOwned};
use alloc::sync::Arc;
use alloc::vec::Vec;
use std::sync::OnceLock;

use minijinja::value::{Enumerator, Object, Serde, Value};
use serde::Serialize;

use crate::now::Now;

use super::budget::WalkCost;

/// The variables of a chat template, to reproduce exactly what `apply_chat_template` renders for
/// the same arguments.
///
/// ```
/// # #[cfg(feature = "jinja")] {
/// use prompt_templates::{ChatTemplate, Context};
/// use serde_json::json;
///
/// let source = "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}{{ mood }}";
/// let template = ChatTemplate::compile("example", source)?;
/// let context = Context::new(json!([{"role": "user", "content": "Hi"}]))
///     .with_variable("mood", "cheerful");
/// assert_eq!(template.render_context(&context)?, "user: Hi\ncheerful");
/// # }
/// # Ok::<(), prompt_templates::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Context {
    variables: Fields,
}

impl Context {
    /// Creates the variables for a conversation, which is any value that serializes as a list of
    /// messages. There is a generation prompt, and there are no tools and documents.
    /// [`Context::default`] has no variables.
    pub fn new(messages: impl Serialize) -> Self {
        Self::default()
            .with_variable("messages", messages)
            .with_variable("tools", ())
            .with_variable("documents", ())
            .with_variable("add_generation_prompt", true)
    }

    /// Sets any variable: `tools`, `documents`, `add_generation_prompt`, `bos_token`, …
    #[must_use]
    pub fn with_variable(self, name: &str, value: impl Serialize) -> Self {
        self.with_value(name.to_owned(), Value::from(Serde(value)))
    }

    /// Sets the clock of `strftime_now`, which is otherwise undefined.
    #[must_use]
    pub fn with_now(self, now: Now) -> Self {
        let strftime_now = move |format: &str| now.format(format);
        self.with_value("strftime_now", Value::from_function(strftime_now))
    }

    pub(super) fn with_capacity(capacity: usize) -> Self {
        Self {
            variables: Fields::with_capacity(capacity),
        }
    }

    pub(super) fn with_value(mut self, name: impl Into<Cow<'static, str>>, value: Value) -> Self {
        self.variables.set(name.into(), value);
        self
    }

    pub(super) fn has_tools(&self) -> bool {
        self.variables.get("tools").is_some_and(Value::is_true)
    }

    /// The variables, with defaults where they are not set.
    pub(super) fn root<'c>(self, others: impl Iterator<Item = (&'c str, &'c str)>) -> Value {
        let mut fields = self.variables;
        for (name, value) in others {
            if fields.get(name).is_none() {
                fields.set(Cow::Owned(name.to_owned()), Value::from(value));
            }
        }
        Value::from_object(fields)
    }
}

/// A mapping with few names, for which a linear search is faster than hashing.
#[derive(Clone, Debug, Default)]
pub(super) struct Fields {
    pairs: Vec<(Cow<'static, str>, Value)>,
    walk_cost: OnceLock<WalkCost>,
}

impl Fields {
    pub(super) fn with_capacity(capacity: usize) -> Self {
        Self {
            pairs: Vec::with_capacity(capacity),
            walk_cost: OnceLock::new(),
        }
    }

    /// Adds a value under a name that is not there yet.
    pub(super) fn push(&mut self, name: &'static str, value: Value) {
        self.pairs.push((Cow::Borrowed(name), value));
    }

    pub(super) fn set(&mut self, name: impl Into<Cow<'static, str>>, value: Value) {
        let name = name.into();
        self.walk_cost = OnceLock::new();
        match self.pairs.iter_mut().find(|(known, _)| *known == name) {
            Some((_, known)) => *known = value,
            None => self.pairs.push((name, value)),
        }
    }

    /// The cost of a walk through the values, computed once.
    pub(super) fn walk_cost(&self) -> WalkCost {
        *self
            .walk_cost
            .get_or_init(|| WalkCost::of(self.pairs.iter().map(|(_, value)| value)))
    }

    fn get(&self, name: &str) -> Option<&Value> {
        self.pairs
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value)
    }
}

impl Object for Fields {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        self.get(key.as_str()?).cloned()
    }

    fn get_value_by_str(self: &Arc<Self>, key: &str) -> Option<Value> {
        self.get(key).cloned()
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Values(
            self.pairs
                .iter()
                .map(|(name, _)| Value::from(&**name))
                .collect(),
        )
    }

    fn enumerator_len(self: &Arc<Self>) -> Option<usize> {
        Some(self.pairs.len())
    }
}
