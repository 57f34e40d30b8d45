//! The operators of Jinja as filters that count their costs: `a + b` is `a|op.add(b)`.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use minijinja::value::{Rest, Tuple, Value, ValueKind};
use minijinja::{Environment, Error, ErrorKind, State};

use super::budget::{self, Budget};
use super::methods::invalid;
use super::namespace::Namespace;
use super::{python, slices};

/// Adds the filters that rewritten expressions and statements call. Templates cannot call them,
/// because their names contain a dot.
pub(super) fn add_to(env: &mut Environment<'_>) {
    type S<'a, 'b> = State<'a, 'b>;
    env.add_filter("op.add", add);
    env.add_filter("op.mul", mul);
    env.add_filter("op.concat", concat);
    env.add_filter("op.slice", slices::slice);
    env.add_filter("op.item", item);
    env.add_filter("op.chain", chain);
    env.add_filter("op.eq", |s: &mut S<'_, '_>, a: &Value, b: &Value| {
        compare(s, a, "==", b)
    });
    env.add_filter("op.ne", |s: &mut S<'_, '_>, a: &Value, b: &Value| {
        compare(s, a, "!=", b)
    });
    env.add_filter("op.lt", |s: &mut S<'_, '_>, a: &Value, b: &Value| {
        compare(s, a, "<", b)
    });
    env.add_filter("op.le", |s: &mut S<'_, '_>, a: &Value, b: &Value| {
        compare(s, a, "<=", b)
    });
    env.add_filter("op.gt", |s: &mut S<'_, '_>, a: &Value, b: &Value| {
        compare(s, a, ">", b)
    });
    env.add_filter("op.ge", |s: &mut S<'_, '_>, a: &Value, b: &Value| {
        compare(s, a, ">=", b)
    });
    env.add_filter("op.in", |s: &mut S<'_, '_>, a: &Value, b: &Value| {
        compare(s, a, "in", b)
    });
    env.add_filter("op.not_in", |s: &mut S<'_, '_>, a: &Value, b: &Value| {
        compare(s, a, "not in", b)
    });
    env.add_filter("op.each", each);
    env.add_filter("op.keep", keep);
    env.add_filter("op.key", keep);
    env.add_filter("op.scalar", scalar);
    env.add_filter("op.splat", splat);
    env.add_filter("op.text", |s: &mut S<'_, '_>, length: usize| {
        Budget::of(s).spend(length).map(|()| "")
    });
    env.add_filter("op.assign", assign);
    env.add_filter(
        "op.capture",
        |s: &mut S<'_, '_>, text: Value, namespace: &Value, name: &str| {
            assign(s, namespace, name, text)
        },
    );
}

/// `first + …`
fn add(state: &mut State<'_, '_>, first: &Value, rest: Rest<Value>) -> Result<Value, Error> {
    let budget = Budget::of(state);
    let all = || core::iter::once(first).chain(rest.iter());
    if all().all(|value| value.kind() == ValueKind::String) {
        let length = all().map(budget::text_len).fold(0, usize::saturating_add);
        budget.allocate(length)?;
        let mut text = String::with_capacity(length);
        text.extend(all().filter_map(Value::as_str));
        return Ok(Value::from(text));
    }
    let mut sum = first.clone();
    for value in rest.iter() {
        sum = add_two(budget, &sum, value)?;
    }
    Ok(sum)
}

pub(super) fn add_two(budget: &mut Budget, a: &Value, b: &Value) -> Result<Value, Error> {
    if let (ValueKind::String, ValueKind::String) = (a.kind(), b.kind()) {
        let (a, b) = (
            a.as_str().unwrap_or_default(),
            b.as_str().unwrap_or_default(),
        );
        budget.allocate(a.len().saturating_add(b.len()))?;
        return Ok(Value::from([a, b].concat()));
    }
    if is_list(a) && is_list(b) && a.is_tuple() == b.is_tuple() {
        let mut items = Vec::new();
        budget.allocate_items(budget::len(a).saturating_add(budget::len(b)))?;
        for list in [a, b] {
            items.extend(list.try_iter()?.checked().collect::<Result<Vec<_>, _>>()?);
        }
        return Ok(list_like(a, items));
    }
    match numbers(a, b) {
        Some(Numbers::Floats(a, b)) => Ok(Value::from(a + b)),
        Some(Numbers::Ints(a, b)) => a
            .checked_add(b)
            .map(int)
            .ok_or_else(|| invalid("the sum is too large")),
        None => Err(unsupported("+", a, b)),
    }
}

/// `a * b`
fn mul(state: &mut State<'_, '_>, a: &Value, b: &Value) -> Result<Value, Error> {
    let budget = Budget::of(state);
    for (value, count) in [(a, b), (b, a)] {
        let repeated = value.kind() == ValueKind::String || is_list(value);
        if !repeated || !count.is_integer() {
            continue;
        }
        let count = match i128::try_from(count.clone()) {
            Ok(count) => usize::try_from(count.max(0)).unwrap_or(usize::MAX),
            Err(_) => usize::MAX,
        };
        if let Some(text) = value.as_str() {
            budget.allocate(text.len().saturating_mul(count))?;
            return Ok(Value::from(text.repeat(count)));
        }
        budget.allocate_items(budget::len(value).saturating_mul(count))?;
        let items = value.try_iter()?.checked().collect::<Result<Vec<_>, _>>()?;
        // An empty list costs nothing, but repeating it takes time.
        let count = if items.is_empty() { 0 } else { count };
        let total = items.len().saturating_mul(count);
        let repeated = items.iter().cycle().take(total).cloned().collect();
        return Ok(list_like(value, repeated));
    }
    match numbers(a, b) {
        Some(Numbers::Floats(a, b)) => Ok(Value::from(a * b)),
        Some(Numbers::Ints(a, b)) => a
            .checked_mul(b)
            .map(int)
            .ok_or_else(|| invalid("the product is too large")),
        None => Err(unsupported("*", a, b)),
    }
}

/// `first ~ …`
fn concat(state: &mut State<'_, '_>, first: &Value, rest: Rest<Value>) -> Result<String, Error> {
    let budget = Budget::of(state);
    let mut text = budget::BoundedText::new(budget.room());
    for value in core::iter::once(first).chain(rest.iter()) {
        python::write_str(&mut text, value)?;
    }
    budget.allocate(text.out.len())?;
    Ok(text.out)
}

/// `base[key]`
fn item(state: &mut State<'_, '_>, base: &Value, key: &Value) -> Result<Value, Error> {
    let budget = Budget::of(state);
    budget.walk(key)?;
    if matches!(base.kind(), ValueKind::String | ValueKind::Iterable) {
        budget.read(budget::len(base).saturating_mul(8))?;
    }
    base.get_item(key)
}

/// `a < b <= c …`
fn chain(state: &mut State<'_, '_>, first: &Value, rest: Rest<Value>) -> Result<bool, Error> {
    let mut left = first;
    for pair in rest.chunks_exact(2) {
        if !compare(state, left, pair[0].as_str().unwrap_or_default(), &pair[1])? {
            return Ok(false);
        }
        left = &pair[1];
    }
    Ok(true)
}

/// A comparison. Its cost is bounded by the smaller operand, and so by the left one.
pub(super) fn compare(
    state: &mut State<'_, '_>,
    left: &Value,
    sign: &str,
    right: &Value,
) -> Result<bool, Error> {
    let budget = Budget::of(state);
    match sign {
        "in" => return contains(budget, left, right),
        "not in" => return contains(budget, left, right).map(|is_in| !is_in),
        _ => {}
    }
    budget.walk(left)?;
    Ok(match sign {
        "==" => left == right,
        "!=" => left != right,
        "<" => left < right,
        "<=" => left <= right,
        ">" => left > right,
        _ => left >= right,
    })
}

/// `value in container`
pub(super) fn contains(
    budget: &mut Budget,
    value: &Value,
    container: &Value,
) -> Result<bool, Error> {
    budget.walk(value)?;
    match container.kind() {
        ValueKind::Undefined => Ok(false),
        ValueKind::String => {
            let text = container.as_str().unwrap_or_default();
            budget.read(text.len())?;
            match value.as_str() {
                Some(part) => Ok(text.contains(part)),
                None => Ok(text.contains(&*python::str(value, budget.room())?)),
            }
        }
        ValueKind::Map => {
            let object = container.as_object();
            Ok(object.is_some_and(|object| object.get_value(value).is_some()))
        }
        ValueKind::Seq | ValueKind::Iterable => {
            budget.walk(container)?;
            for item in container.try_iter()?.checked() {
                if item? == *value {
                    return Ok(true);
                }
            }
            Ok(false)
        }
        kind => Err(Error::new(
            ErrorKind::InvalidOperation,
            format!("a value of type {kind} cannot contain another value"),
        )),
    }
}

/// The iterable of a `for`; in Python, `None` is not iterable.
fn each(state: &mut State<'_, '_>, value: Value) -> Result<Value, Error> {
    if value.is_none() {
        return Err(invalid("none is not iterable"));
    }
    Budget::of(state).read(budget::len(&value).saturating_mul(8))?;
    Ok(value)
}

/// A value that is stored and may become part of another value.
fn keep(state: &mut State<'_, '_>, value: Value) -> Result<Value, Error> {
    if value.as_object().is_some() {
        Budget::of(state).walk(&value)?;
    }
    Ok(value)
}

fn scalar(value: Value) -> Result<Value, Error> {
    match value.as_object() {
        Some(_) => Err(invalid("`changed` supports only texts and numbers")),
        None => Ok(value),
    }
}

/// The values spread over the arguments of a call.
fn splat(state: &mut State<'_, '_>, value: Value) -> Result<Value, Error> {
    let budget = Budget::of(state);
    budget.allocate_items(budget::len(&value))?;
    budget.walk(&value)?;
    Ok(value)
}

/// `{% set namespace.name = value %}`
fn assign(
    state: &mut State<'_, '_>,
    namespace: &Value,
    name: &str,
    value: Value,
) -> Result<Value, Error> {
    match namespace.downcast_object_ref::<Namespace>() {
        Some(namespace) => {
            namespace.set(state, name, value)?;
            Ok(Value::UNDEFINED)
        }
        None => Err(Error::new(
            ErrorKind::InvalidOperation,
            format!("can only assign to namespaces, not {}", namespace.kind()),
        )),
    }
}

pub(super) fn is_list(value: &Value) -> bool {
    matches!(value.kind(), ValueKind::Seq | ValueKind::Iterable)
}

/// A list, or a tuple if the other value is one.
pub(super) fn list_like(like: &Value, items: Vec<Value>) -> Value {
    if like.is_tuple() {
        Value::from(Tuple::from(items))
    } else {
        Value::from(items)
    }
}

enum Numbers {
    Floats(f64, f64),
    Ints(i128, i128),
}

fn numbers(a: &Value, b: &Value) -> Option<Numbers> {
    let is_float = |value: &Value| value.kind() == ValueKind::Number && !value.is_integer();
    if is_float(a) || is_float(b) {
        return Some(Numbers::Floats(float(a)?, float(b)?));
    }
    let int = |value: &Value| match value.kind() {
        ValueKind::Bool => Some(i128::from(value.is_true())),
        _ => i128::try_from(value.clone()).ok(),
    };
    Some(Numbers::Ints(int(a)?, int(b)?))
}

pub(super) fn float(value: &Value) -> Option<f64> {
    match value.kind() {
        ValueKind::Bool => Some(f64::from(u8::from(value.is_true()))),
        ValueKind::Number => match f64::try_from(value.clone()) {
            Ok(float) => Some(float),
            Err(_) => Some(i128::try_from(value.clone()).ok()? as f64),
        },
        _ => None,
    }
}

fn int(int: i128) -> Value {
    i64::try_from(int).map_or_else(|_| Value::from(int), Value::from)
}

fn unsupported(sign: &str, a: &Value, b: &Value) -> Error {
    let (a, b) = (a.kind(), b.kind());
    let detail = format!("tried to use {sign} operator on unsupported types {a} and {b}");
    Error::new(ErrorKind::InvalidOperation, detail)
}
