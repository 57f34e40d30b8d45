//! The environment of transformers' chat templates, in minijinja.

use alloc::borrow::Cow;
use alloc::string::String;
use alloc::vec::Vec;
use std::sync::OnceLock;

use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Kwargs, Value, ValueKind};
use minijinja::{AutoEscape, Environment, Error, ErrorKind, Output, State, functions};

use super::budget::{self, BoundedText, Budget};
use super::namespace::Namespace;
use super::{filters, methods, operators, python, tests};

/// A copy of the shared environment, without templates: only its tables are shared.
pub(super) fn environment() -> Environment<'static> {
    static BASE: OnceLock<Environment<'static>> = OnceLock::new();
    BASE.get_or_init(base).clone()
}

/// An environment that contains only what is named here, so that everything is counted.
fn base() -> Environment<'static> {
    let mut env = Environment::empty();
    // Only unbalanced delimiters are rejected here.
    if let Ok(syntax) = SyntaxConfig::builder()
        .trim_blocks(true)
        .lstrip_blocks(true)
        .build()
    {
        env.set_syntax(syntax);
    }
    env.set_auto_escape_callback(|_| AutoEscape::None);
    env.set_formatter(emit);
    env.set_unknown_method_callback(methods::call);
    filters::add_to(&mut env);
    operators::add_to(&mut env);
    tests::add_to(&mut env);
    env.add_function("dict", dict);
    env.add_function("namespace", Namespace::create);
    env.add_function("raise_exception", raise_exception);
    env.add_function("range", functions::range);
    env
}

/// The message that a template passed to `raise_exception`.
#[derive(Debug)]
pub(super) struct Raised(pub(super) String);

impl core::fmt::Display for Raised {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(&self.0)
    }
}

impl core::error::Error for Raised {}

fn raise_exception(message: Cow<'_, str>) -> Result<Value, Error> {
    Err(Error::new(
        ErrorKind::InvalidOperation,
        "the template raised an exception",
    )
    .with_source(Raised(message.into_owned())))
}

/// Prints values like Python, since minijinja prints them differently.
fn emit(out: &mut Output<'_>, state: &mut State<'_, '_>, value: &Value) -> Result<(), Error> {
    let budget = Budget::of(state);
    if let Some(text) = value.as_str() {
        budget.spend(text.len())?;
        return Ok(out.write_str(text)?);
    }
    let mut text = BoundedText::new(budget.room());
    python::write_str(&mut text, value)?;
    budget.spend(text.out.len())?;
    Ok(out.write_str(&text.out)?)
}

/// `dict` of another mapping or of pairs, with additional keyword arguments.
fn dict(state: &mut State<'_, '_>, of: Option<Value>, kwargs: Kwargs) -> Result<Value, Error> {
    let budget = Budget::of(state);
    let mut pairs = Vec::new();
    if let Some(of) = of {
        budget.allocate_items(budget::len(&of).saturating_mul(4))?;
        let is_map = of.kind() == ValueKind::Map;
        for item in of.try_iter()?.checked() {
            let item = item?;
            pairs.push(if is_map {
                (item.clone(), of.get_item(&item)?)
            } else {
                (item.get_item_by_index(0)?, item.get_item_by_index(1)?)
            });
        }
    }
    for name in kwargs.args() {
        pairs.push((Value::from(name), kwargs.peek(name)?));
    }
    Ok(Value::from_pairs(pairs))
}
