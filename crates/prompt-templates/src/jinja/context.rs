//! The variables that a chat template sees.

use alloc::borrow::ToOwned;
use alloc::collections::BTreeMap;
use alloc::string::String;

use minijinja::value::{Serde, Value};
use serde::Serialize;

use crate::now::Now;

/// The variables that a chat template sees: for whoever wants exactly what `apply_chat_template`
/// gives for the same arguments.
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
    variables: BTreeMap<String, Value>,
}

impl Context {
    /// A conversation, which is whatever serializes as a list of messages; with a generation
    /// prompt, and without tools and documents. [`Context::default`] has no variable at all.
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
        self.with_value(name, Value::from(Serde(value)))
    }

    /// Sets the clock of `strftime_now`, which is not defined without.
    #[must_use]
    pub fn with_now(self, now: Now) -> Self {
        let strftime_now = move |format: &str| now.format(format);
        self.with_value("strftime_now", Value::from_function(strftime_now))
    }

    pub(super) fn with_value(mut self, name: &str, value: Value) -> Self {
        self.variables.insert(name.to_owned(), value);
        self
    }

    pub(super) fn has_tools(&self) -> bool {
        self.variables.get("tools").is_some_and(Value::is_true)
    }

    /// The variables, with others where they are not set.
    pub(super) fn root<'c>(&'c self, others: impl Iterator<Item = (&'c str, Value)>) -> Value {
        let others = others.filter(|(name, _)| !self.variables.contains_key(*name));
        let own = self
            .variables
            .iter()
            .map(|(name, value)| (name.as_str(), value.clone()));
        Value::from_pairs(own.chain(others))
    }
}
