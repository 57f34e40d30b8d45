//! The methods of Python's values that templates call.

use alloc::format;
use alloc::vec::Vec;

use minijinja::value::{Tuple, Value, ValueKind, from_args};
use minijinja::{Error, ErrorKind, State};

use super::budget::{self, Budget};
use super::strings;

/// Calls a method that minijinja does not support.
pub(super) fn call(
    state: &mut State<'_, '_>,
    value: &Value,
    method: &str,
    args: &[Value],
) -> Result<Value, Error> {
    let budget = Budget::of(state);
    match value.kind() {
        ValueKind::String => {
            strings::call(budget, value.as_str().unwrap_or_default(), method, args)
        }
        ValueKind::Map => on_dict(budget, value, method, args),
        ValueKind::Seq | ValueKind::Iterable => on_list(budget, value, method, args),
        _ => Err(unknown()),
    }
}

fn on_dict(
    budget: &mut Budget,
    dict: &Value,
    method: &str,
    args: &[Value],
) -> Result<Value, Error> {
    if matches!(method, "keys" | "values" | "items") {
        budget.allocate_items(budget::len(dict).saturating_mul(4))?;
    }
    match method {
        "get" => {
            let (key, default): (&Value, Option<&Value>) = from_args(args)?;
            budget.walk(key)?;
            let found = dict
                .get_item(key)
                .ok()
                .filter(|value| !value.is_undefined());
            Ok(found
                .or_else(|| default.cloned())
                .unwrap_or_else(|| Value::from(())))
        }
        "keys" => {
            let () = from_args(args)?;
            dict.try_iter()?
                .checked()
                .collect::<Result<Vec<_>, _>>()
                .map(Value::from)
        }
        "values" => {
            let () = from_args(args)?;
            let keys = dict.try_iter()?.checked();
            let values = keys.map(|key| dict.get_item(&key?));
            values.collect::<Result<Vec<_>, _>>().map(Value::from)
        }
        "items" => {
            let () = from_args(args)?;
            let pairs = dict.try_iter()?.checked().map(|key| {
                let key = key?;
                let value = dict.get_item(&key)?;
                Ok(Value::from(Tuple::from([key, value])))
            });
            pairs.collect::<Result<Vec<_>, _>>().map(Value::from)
        }
        "copy" => {
            let () = from_args(args)?;
            Ok(dict.clone())
        }
        // The sandbox of transformers forbids methods that change a value.
        "clear" | "pop" | "popitem" | "setdefault" | "update" => Err(immutable(method)),
        _ => Err(unknown()),
    }
}

fn on_list(
    budget: &mut Budget,
    list: &Value,
    method: &str,
    args: &[Value],
) -> Result<Value, Error> {
    if matches!(method, "count" | "index") {
        budget.walk(list)?;
    }
    match method {
        "count" => {
            let (wanted,): (&Value,) = from_args(args)?;
            let mut count = 0;
            for item in list.try_iter()?.checked() {
                count += u64::from(item? == *wanted);
            }
            Ok(Value::from(count))
        }
        "index" => {
            let (wanted,): (&Value,) = from_args(args)?;
            for (index, item) in list.try_iter()?.checked().enumerate() {
                if item? == *wanted {
                    return Ok(Value::from(index));
                }
            }
            Err(invalid("the value is not in the list"))
        }
        "copy" => {
            let () = from_args(args)?;
            Ok(list.clone())
        }
        "append" | "clear" | "extend" | "insert" | "pop" | "remove" | "reverse" | "sort" => {
            Err(immutable(method))
        }
        _ => Err(unknown()),
    }
}

pub(super) fn invalid(detail: &'static str) -> Error {
    Error::new(ErrorKind::InvalidOperation, detail)
}

fn immutable(method: &str) -> Error {
    let detail = format!("{method} would change the value, which the sandbox forbids");
    Error::new(ErrorKind::InvalidOperation, detail)
}

pub(super) fn unknown() -> Error {
    Error::from(ErrorKind::UnknownMethod)
}
