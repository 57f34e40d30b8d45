//! The environment of transformers' chat templates, in minijinja.

use alloc::borrow::{Cow, ToOwned};
use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use std::sync::{Mutex, OnceLock};

use minijinja::syntax::SyntaxConfig;
use minijinja::value::{
    Enumerator, Kwargs, Object, ObjectRepr, Rest, Tuple, Value, ValueKind, ValueOrKwargs,
};
use minijinja::{AutoEscape, Environment, Error, ErrorKind, Output, State, filters};

use crate::python::is_space;

use super::{methods, python, widths};

/// A copy of the one environment, without templates: only its tables are shared.
pub(super) fn environment() -> Environment<'static> {
    static BASE: OnceLock<Environment<'static>> = OnceLock::new();
    BASE.get_or_init(base).clone()
}

fn base() -> Environment<'static> {
    let mut env = Environment::new();
    // Only unbalanced delimiters are refused here.
    if let Ok(syntax) = SyntaxConfig::builder()
        .trim_blocks(true)
        .lstrip_blocks(true)
        .build()
    {
        env.set_syntax(syntax);
    }
    env.set_auto_escape_callback(|_| AutoEscape::None);
    env.set_unknown_method_callback(methods::call);
    env.add_function("raise_exception", raise_exception);
    env.add_filter("tojson", |value: &Value, kwargs: Kwargs| {
        python::tojson(value, kwargs)
    });
    env.add_filter("string", |value: &Value| python::str(value));
    env.add_filter("int", int);
    env.add_filter("float", float);
    env.add_filter("trim", |value: &Value, set: Option<&str>| {
        let strip = |c: char| set.map_or_else(|| is_space(c), |set| set.contains(c));
        python::str(value).map(|text| text.trim_matches(strip).to_owned())
    });
    env.add_function("dict", dict);
    env.add_filter("each", each);
    env.add_filter("stored", stored);
    env.add_filter("reversed", reversed);
    for (name, builtin) in [
        ("map", Value::from_function(filters::map)),
        ("reject", Value::from_function(filters::reject)),
        ("rejectattr", Value::from_function(filters::rejectattr)),
        ("select", Value::from_function(filters::select)),
        ("selectattr", Value::from_function(filters::selectattr)),
    ] {
        env.add_filter(
            name,
            move |state: &mut State<'_, '_>, args: Rest<ValueOrKwargs>| {
                generator(&builtin.call(state, &args.into_values())?)
            },
        );
    }
    for (name, builtin) in [
        ("batch", Value::from_function(filters::batch)),
        ("indent", Value::from_function(filters::indent)),
        ("slice", Value::from_function(filters::slice)),
    ] {
        env.add_filter(
            name,
            move |state: &mut State<'_, '_>, args: Rest<ValueOrKwargs>| {
                let args = args.into_values();
                widths::check_counts(&args)?;
                builtin.call(state, &args)
            },
        );
    }
    let builtin = Value::from_function(filters::format);
    env.add_filter(
        "format",
        move |state: &mut State<'_, '_>, args: Rest<ValueOrKwargs>| {
            let args = args.into_values();
            widths::check_printf(args.first().and_then(Value::as_str).unwrap_or_default())?;
            builtin.call(state, &args)
        },
    );
    env.add_test("sequence", is_sequence);
    env.add_test("iterable", is_iterable);
    env
}

/// What a template said when it called `raise_exception`.
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

/// Prints as Python does; minijinja's own printing differs for floats, and has no end for a
/// namespace that holds itself. All that is printed must not be longer than `limit`.
pub(super) fn emit(
    out: &mut Output<'_>,
    state: &mut State<'_, '_>,
    value: &Value,
    limit: usize,
) -> Result<(), Error> {
    let printed = match value.as_str() {
        Some(_) => None,
        None => Some(python::str(value)?),
    };
    let text = printed
        .as_deref()
        .or_else(|| value.as_str())
        .unwrap_or_default();
    let written: &mut Written = state.get_or_insert_extension(Written(0));
    written.0 = written.0.saturating_add(text.len());
    if written.0 > limit {
        return Err(Error::new(
            ErrorKind::OutOfFuel,
            "the template writes too much",
        ));
    }
    Ok(out.write_str(text)?)
}

/// The bytes that a render has printed, into variables too.
struct Written(usize);

/// The filter `int`, which gives its default where minijinja's fails.
fn int(
    value: &Value,
    default: Option<Value>,
    base: Option<u32>,
    kwargs: Kwargs,
) -> Result<Value, Error> {
    let default = match default {
        Some(default) => default,
        None => kwargs
            .get::<Option<Value>>("default")?
            .unwrap_or_else(|| Value::from(0)),
    };
    let base = match base {
        Some(base) => base,
        None => kwargs.get::<Option<u32>>("base")?.unwrap_or(10),
    };
    kwargs.assert_all_used()?;
    if !(2..=36).contains(&base) {
        return Err(invalid(format!("no such base: {base}")));
    }
    Ok(match value.kind() {
        ValueKind::Bool => Value::from(i64::from(value.is_true())),
        ValueKind::Number if value.is_integer() => value.clone(),
        ValueKind::Number => match f64::try_from(value.clone()) {
            Ok(float) if float.is_finite() => Value::from(float as i128),
            _ => default,
        },
        ValueKind::String => {
            let text = value.as_str().unwrap_or_default().trim().replace('_', "");
            match (i128::from_str_radix(&text, base), text.parse::<f64>()) {
                (Ok(int), _) => Value::from(int),
                (_, Ok(float)) if float.is_finite() => Value::from(float as i128),
                _ => default,
            }
        }
        _ => default,
    })
}

/// The filter `float`, which gives its default where minijinja's fails.
fn float(value: &Value, default: Option<Value>, kwargs: Kwargs) -> Result<Value, Error> {
    let default = match default {
        Some(default) => default,
        None => kwargs
            .get::<Option<Value>>("default")?
            .unwrap_or_else(|| Value::from(0.0)),
    };
    kwargs.assert_all_used()?;
    let float = match value.as_str() {
        Some(text) => text.trim().parse().ok(),
        None if value.kind() == ValueKind::Bool => Some(f64::from(u8::from(value.is_true()))),
        None => f64::try_from(value.clone()).ok(),
    };
    Ok(float.map_or(default, Value::from))
}

/// `dict`, of another mapping or of pairs, with more by keywords.
fn dict(of: Option<Value>, kwargs: Kwargs) -> Result<Value, Error> {
    let mut pairs = Vec::new();
    if let Some(of) = of {
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

/// What a `for` walks through; Python has nothing to walk through in `None`.
fn each(value: Value) -> Result<Value, Error> {
    if value.is_none() {
        return Err(Error::new(
            ErrorKind::InvalidOperation,
            "none is not iterable",
        ));
    }
    Ok(value)
}

/// What a `set` stores: fuel alone does not keep `x + x` from growing without end.
fn stored(value: Value) -> Result<Value, Error> {
    let is_too_long = match value.as_str() {
        Some(text) => text.len() > MAX_TEXT,
        None => value.kind() == ValueKind::Iterable && value.len().is_some_and(|n| n > MAX_ITEMS),
    };
    if is_too_long {
        return Err(Error::new(
            ErrorKind::OutOfFuel,
            "a variable grew too large",
        ));
    }
    Ok(value)
}

fn generator(list: &Value) -> Result<Value, Error> {
    let items = list.try_iter()?.checked().collect::<Result<Vec<_>, _>>()?;
    Ok(Value::from_object(Generator(Mutex::new(items))))
}

/// What some filters give in Jinja: without length, no JSON, and empty the second time.
#[derive(Debug)]
pub(super) struct Generator(Mutex<Vec<Value>>);

impl Object for Generator {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Iterable
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        let items = self.0.lock().map(|mut items| core::mem::take(&mut *items));
        Enumerator::Iter(Box::new(items.unwrap_or_default().into_iter()))
    }

    fn enumerator_len(self: &Arc<Self>) -> Option<usize> {
        None
    }

    fn is_true(self: &Arc<Self>) -> bool {
        true
    }
}

/// `[::-1]`.
fn reversed(value: &Value) -> Result<Value, Error> {
    if let Some(text) = value.as_str() {
        return Ok(Value::from(text.chars().rev().collect::<String>()));
    }
    if !matches!(value.kind(), ValueKind::Iterable | ValueKind::Seq) {
        return Err(invalid(format!("{} cannot be reversed", value.kind())));
    }
    let mut items = value.try_iter()?.checked().collect::<Result<Vec<_>, _>>()?;
    items.reverse();
    Ok(if value.is_tuple() {
        Value::from(Tuple::from(items))
    } else {
        Value::from(items)
    })
}

/// As in Jinja, a string and a mapping are sequences too: templates tell content parts from text
/// by more than this.
fn is_sequence(value: &Value) -> bool {
    matches!(
        value.kind(),
        ValueKind::Map | ValueKind::Seq | ValueKind::String | ValueKind::Undefined
    ) || value.kind() == ValueKind::Iterable && !is_generator(value)
}

pub(super) fn is_generator(value: &Value) -> bool {
    value.downcast_object_ref::<Generator>().is_some()
}

fn is_iterable(value: &Value) -> bool {
    matches!(
        value.kind(),
        ValueKind::Iterable
            | ValueKind::Map
            | ValueKind::Seq
            | ValueKind::String
            | ValueKind::Undefined
    )
}

fn invalid(detail: impl Into<Cow<'static, str>>) -> Error {
    Error::new(ErrorKind::InvalidOperation, detail)
}

const MAX_TEXT: usize = 32 << 20;
const MAX_ITEMS: usize = 1 << 20;
