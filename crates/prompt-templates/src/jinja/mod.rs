//! Hugging Face chat templates, rendered as transformers renders them.

mod environment;
mod methods;
mod python;
mod source;
mod time;

use alloc::borrow::ToOwned;
use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use std::io;
use std::panic::AssertUnwindSafe;

use minijinja::Environment;
use minijinja::value::{Serde, Value};
use serde::Serialize;

use crate::error::{Error, ErrorKind};
use environment::Raised;

pub use time::Now;

/// A compiled chat template.
#[derive(Clone)]
pub struct ChatTemplate(Arc<Inner>);

struct Inner {
    name: String,
    env: Environment<'static>,
    limits: Limits,
}

impl ChatTemplate {
    /// Compiles the Jinja source of a chat template; `name` is what errors call it.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Syntax`], with the line.
    pub fn compile(name: &str, source: &str) -> Result<Self, Error> {
        Self::compile_with(name, source, Limits::default())
    }

    /// As [`compile`](Self::compile), with other limits than the default ones.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Syntax`], with the line.
    pub fn compile_with(name: &str, source: &str, limits: Limits) -> Result<Self, Error> {
        let mut env = environment::environment();
        env.set_fuel(Some(limits.fuel));
        env.set_recursion_limit(limits.recursion);
        let source = source::prepare(source).map_err(|error| error.in_template(name))?;
        env.add_template_owned(name.to_owned(), source)
            .map_err(|error| from_engine(error, ErrorKind::Syntax, name))?;
        Ok(Self(Arc::new(Inner {
            name: name.to_owned(),
            env,
            limits,
        })))
    }

    /// The template's name.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// The prompt for exactly this context: what `apply_chat_template` gives for the same
    /// arguments.
    ///
    /// # Errors
    ///
    /// What the template raises, what goes wrong in it, and a limit that was passed.
    pub fn render_context(&self, context: &Context) -> Result<String, Error> {
        let mut out = String::new();
        self.render_context_into(&mut out, context)?;
        Ok(out)
    }

    /// Appends the prompt for exactly this context to `out`, which keeps its length when this
    /// fails.
    ///
    /// # Errors
    ///
    /// As [`render_context`](Self::render_context).
    pub fn render_context_into(&self, out: &mut String, context: &Context) -> Result<(), Error> {
        let Inner { name, env, limits } = &*self.0;
        let start = out.len();
        let mut sink = Sink {
            bytes: core::mem::take(out).into_bytes(),
            limit: start.saturating_add(limits.output),
            is_full: false,
        };
        let result = unwinding(|| {
            let template = env.get_template(name)?;
            template
                .render_captured_to(context.root(), &mut sink)
                .map(drop)
        });
        // Only whole strings are ever written.
        *out = String::from_utf8(sink.bytes).unwrap_or_default();
        result.map_err(|error| {
            out.truncate(start);
            if sink.is_full {
                Error::new(ErrorKind::Limit, "the prompt is longer than the limit")
                    .in_template(name)
            } else {
                from_engine(error, ErrorKind::Render, name)
            }
        })
    }
}

impl fmt::Debug for ChatTemplate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChatTemplate")
            .field("name", &self.0.name)
            .finish_non_exhaustive()
    }
}

/// What a template may use up in one render.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Limits {
    /// Instructions.
    pub fuel: u64,
    /// Nested calls.
    pub recursion: usize,
    /// Bytes of output.
    pub output: usize,
}

impl Default for Limits {
    /// Ten million instructions, a depth of 200, and 32 MiB: a hundred times what a conversation
    /// of thousands of messages needs.
    fn default() -> Self {
        Self {
            fuel: 10_000_000,
            recursion: 200,
            output: 32 << 20,
        }
    }
}

/// The variables that a chat template sees.
#[derive(Clone, Debug, Default)]
pub struct Context {
    variables: BTreeMap<String, Value>,
}

impl Context {
    /// A conversation: whatever serializes as a list of messages.
    pub fn new(messages: impl Serialize) -> Self {
        let this = Self::default();
        this.with_variable("messages", messages)
            .with_variable("tools", ())
            .with_variable("documents", ())
            .with_generation_prompt(true)
    }

    /// Sets `add_generation_prompt`.
    #[must_use]
    pub fn with_generation_prompt(self, generation_prompt: bool) -> Self {
        self.with_variable("add_generation_prompt", generation_prompt)
    }

    /// Sets any variable: `tools`, `documents`, `bos_token`, `enable_thinking`, …
    #[must_use]
    pub fn with_variable(mut self, name: &str, value: impl Serialize) -> Self {
        self.variables
            .insert(name.to_owned(), Value::from(Serde(value)));
        self
    }

    /// Sets the clock of `strftime_now`, which is not defined without.
    #[must_use]
    pub fn with_now(mut self, now: Now) -> Self {
        let strftime_now = Value::from_function(move |format: &str| now.format(format));
        self.variables.insert("strftime_now".into(), strftime_now);
        self
    }

    fn root(&self) -> Value {
        Value::from_pairs(self.variables.iter().map(|(k, v)| (k.as_str(), v.clone())))
    }
}

/// Output that ends at a limit.
struct Sink {
    bytes: Vec<u8>,
    limit: usize,
    is_full: bool,
}

impl io::Write for &mut Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.bytes.len().saturating_add(bytes.len()) > self.limit {
            self.is_full = true;
            return Err(io::Error::from(io::ErrorKind::StorageFull));
        }
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// minijinja 3.0.5 panics on some slices and on huge widths; a template must not take the process
/// with it.
fn unwinding<T>(
    render: impl FnOnce() -> Result<T, minijinja::Error>,
) -> Result<T, minijinja::Error> {
    std::panic::catch_unwind(AssertUnwindSafe(render)).unwrap_or_else(|_| {
        Err(minijinja::Error::new(
            minijinja::ErrorKind::InvalidOperation,
            "the engine panicked",
        ))
    })
}

fn from_engine(error: minijinja::Error, otherwise: ErrorKind, name: &str) -> Error {
    let mut source = core::error::Error::source(&error);
    while let Some(inner) = source {
        if let Some(Raised(message)) = inner.downcast_ref() {
            return Error::new(ErrorKind::Raised, message.clone())
                .in_template(name)
                .at_line(error.line());
        }
        source = inner.source();
    }
    let kind = match error.kind() {
        minijinja::ErrorKind::OutOfFuel => ErrorKind::Limit,
        _ => otherwise,
    };
    let line = error.line();
    Error::new(kind, alloc::format!("{error:#}"))
        .in_template(name)
        .at_line(line)
}
