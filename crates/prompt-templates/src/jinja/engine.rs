//! One compiled template, and its limits.

use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use std::io;
use std::panic::AssertUnwindSafe;

use minijinja::value::Value;
use minijinja::{Environment, ErrorKind as EngineErrorKind};

use crate::error::{Error, ErrorKind};

use super::budget::Budget;
use super::environment::{self, Raised};
use super::source::{self, Prepared};

/// The limits of a template in one render.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct RenderLimits {
    /// Instructions.
    pub fuel: u64,
    /// Nested calls.
    pub recursion: usize,
    /// Bytes of output, and of any single value that the template creates.
    pub output: usize,
    /// Bytes of all values that the template's operations create, in total. Bytes that they only
    /// read count as one eighth.
    pub memory: usize,
}

impl Default for RenderLimits {
    /// Five million instructions, a depth of 200, 32 MiB of output and 512 MiB of memory: about a
    /// hundred times the needs of a conversation with thousands of messages.
    fn default() -> Self {
        Self {
            fuel: 5_000_000,
            recursion: 200,
            output: 32 << 20,
            memory: 512 << 20,
        }
    }
}

pub(super) struct Engine {
    name: String,
    env: Environment<'static>,
    limits: RenderLimits,
}

impl Engine {
    pub(super) fn compile(name: &str, source: &str, limits: RenderLimits) -> Result<Self, Error> {
        let Prepared {
            source,
            uncounted_text,
        } = source::prepare(source).map_err(|error| error.in_template(name))?;
        let mut env = environment::environment();
        // Short texts captured in a variable are not counted one by one. Instead, the number of
        // instructions is limited, each of which writes at most `uncounted_text` bytes.
        let writes = (limits.memory / uncounted_text.max(1)) as u64;
        env.set_fuel(Some(limits.fuel.min(writes)));
        env.set_recursion_limit(limits.recursion);
        catch_panic(|| env.add_template_owned(name.to_owned(), source))
            .map_err(|error| convert(&error, ErrorKind::Syntax, name))?;
        Ok(Self {
            name: name.to_owned(),
            env,
            limits,
        })
    }

    /// Appends the rendered output to `out`. On failure, `out` is left unchanged.
    pub(super) fn render_into(&self, out: &mut String, variables: Value) -> Result<(), Error> {
        let start = out.len();
        let mut sink = Sink {
            bytes: core::mem::take(out).into_bytes(),
            limit: start.saturating_add(self.limits.output),
            is_full: false,
        };
        Budget::begin(self.limits);
        let result = catch_panic(|| {
            let template = self.env.get_template(&self.name)?;
            template.render_captured_to(variables, &mut sink).map(drop)
        });
        // Only complete strings were written.
        *out = String::from_utf8(sink.bytes).unwrap_or_default();
        result.map_err(|error| {
            out.truncate(start);
            if sink.is_full {
                let error = Error::new(ErrorKind::Limit, "the prompt is longer than the limit");
                error.in_template(&self.name)
            } else {
                convert(&error, ErrorKind::Render, &self.name)
            }
        })
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
        if bytes.len() > self.limit.saturating_sub(self.bytes.len()) {
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

/// Converts a panic to an error: minijinja 3.0.5 panics on some slices and on huge widths, and a
/// template must not end the process.
fn catch_panic<T>(
    render: impl FnOnce() -> Result<T, minijinja::Error>,
) -> Result<T, minijinja::Error> {
    std::panic::catch_unwind(AssertUnwindSafe(render)).unwrap_or_else(|_| {
        let detail = "the template engine panicked";
        Err(minijinja::Error::new(
            EngineErrorKind::InvalidOperation,
            detail,
        ))
    })
}

fn convert(error: &minijinja::Error, otherwise: ErrorKind, name: &str) -> Error {
    let line = error.line();
    let (kind, detail) = match raised(error) {
        Some(message) => (ErrorKind::Raised, message.to_owned()),
        None => {
            let kind = match error.kind() {
                EngineErrorKind::OutOfFuel => ErrorKind::Limit,
                _ if is_too_deep(error) => ErrorKind::Limit,
                _ => otherwise,
            };
            let detail = match (error.kind(), error.detail()) {
                (EngineErrorKind::OutOfFuel, Some(detail)) => detail.to_owned(),
                (kind, Some(detail)) => format!("{kind}: {detail}"),
                (kind, None) => kind.to_string(),
            };
            (kind, detail)
        }
    };
    Error::new(kind, shortened(detail))
        .in_template(name)
        .at_line(line)
}

/// A template may put any text into an error, even a prompt, so only its start is kept.
fn shortened(mut detail: String) -> String {
    if let Some((end, _)) = detail.char_indices().nth(MAX_DETAIL) {
        detail.truncate(end);
        detail.push('…');
    }
    detail
}

const MAX_DETAIL: usize = 200;

/// The message that the template passed to `raise_exception`.
fn raised(error: &minijinja::Error) -> Option<&str> {
    let mut source = core::error::Error::source(error);
    while let Some(inner) = source {
        if let Some(Raised(message)) = inner.downcast_ref() {
            return Some(message);
        }
        source = inner.source();
    }
    None
}

/// The engine has no error kind for this.
fn is_too_deep(error: &minijinja::Error) -> bool {
    error
        .detail()
        .is_some_and(|detail| detail.contains("recursion limit"))
}
