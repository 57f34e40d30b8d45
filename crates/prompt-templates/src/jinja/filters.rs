//! The filters of Jinja, with their costs counted.

use alloc::string::String;
use alloc::vec::Vec;

use minijinja::value::{Kwargs, Rest, Value, ValueOrKwargs};
use minijinja::{Environment, Error, State, filters as builtin};

use super::budget::{self, Budget, exhausted};
use super::convert::{float, int};
use super::formats;
use super::generator::Generator;
use super::text::{self, replace, split_count};
use super::{lists, methods, python};

type Args = Rest<ValueOrKwargs>;
type S<'a, 'b> = State<'a, 'b>;

/// Adds all filters to an environment without filters.
pub(super) fn add_to(env: &mut Environment<'_>) {
    // These cost no more than an instruction.
    env.add_filter("abs", builtin::abs);
    env.add_filter("bool", builtin::bool);
    env.add_filter("d", builtin::default);
    env.add_filter("default", builtin::default);
    env.add_filter("round", builtin::round);

    add_for_text(env);
    add_for_lists(env);
    add_for_functions(env);

    env.add_filter("attr", |s: &mut S<'_, '_>, value: &Value, key: &Value| {
        Budget::of(s).walk(key)?;
        value.get_item(key)
    });
    env.add_filter("float", float);
    env.add_filter("int", int);
    env.add_filter("pprint", |s: &mut S<'_, '_>, value: &Value| {
        let budget = Budget::of(s);
        let text = python::repr(value, budget.room())?;
        budget.allocate(text.len()).map(|()| text)
    });
    env.add_filter("tojson", python::tojson);
    env.add_filter("sum", lists::sum);
}

fn add_for_text(env: &mut Environment<'_>) {
    for name in ["safe", "string"] {
        env.add_filter(name, |s: &mut S<'_, '_>, value: &Value| string(s, value));
    }
    counted(
        env,
        "capitalize",
        Value::from_function(builtin::capitalize),
        cased,
    );
    counted(env, "lower", Value::from_function(builtin::lower), cased);
    counted(env, "title", Value::from_function(builtin::title), cased);
    counted(env, "upper", Value::from_function(builtin::upper), cased);
    for name in ["e", "escape"] {
        let escape = Value::from_function(builtin::escape);
        env.add_filter(name, move |s: &mut S<'_, '_>, value: &Value| {
            let text = string(s, value)?;
            Budget::of(s).spend(text.len().saturating_mul(6))?;
            escape.call(s, &[Value::from(text)])
        });
    }
    let format = |s: &mut S<'_, '_>, format: &str, args: Args| {
        formats::printf(Budget::of(s), format, &args.into_values())
    };
    env.add_filter("format", format);
    counted(
        env,
        "indent",
        Value::from_function(builtin::indent),
        |budget, args| {
            let width = largest_count(args)?;
            let text = args.first().map_or(0, budget::text_len);
            let lines = args.first().and_then(Value::as_str).unwrap_or_default();
            let lines = lines.matches('\n').count() + 2;
            budget.allocate(lines.saturating_mul(width + 1).saturating_add(text))
        },
    );
    env.add_filter("join", lists::join);
    for name in ["lines", "split"] {
        let split = match name {
            "lines" => Value::from_function(builtin::lines),
            _ => Value::from_function(builtin::split),
        };
        counted(env, name, split, |budget, args| {
            let text = args.first().and_then(Value::as_str).unwrap_or_default();
            budget.read(text.len())?;
            let separator = match args.get(1) {
                Some(separator) => separator.as_str(),
                None => None,
            };
            budget.spend(split_count(text, separator).saturating_mul(text::PART))?;
            budget.spend(text.len())
        });
    }
    env.add_filter(
        "replace",
        |s: &mut S<'_, '_>, value: &Value, old: &Value, new: &Value, count: Option<i64>| {
            let (value, old, new) = (string(s, value)?, string(s, old)?, string(s, new)?);
            replace(Budget::of(s), &value, &old, &new, count.unwrap_or(-1))
        },
    );
    env.add_filter("trim", trim);
}

fn add_for_lists(env: &mut Environment<'_>) {
    for name in ["count", "length"] {
        counted(
            env,
            name,
            Value::from_function(builtin::length),
            |budget, args| budget.read(args.first().map_or(0, budget::text_len)),
        );
    }
    counted(
        env,
        "dictsort",
        Value::from_function(builtin::dictsort),
        sorted,
    );
    counted(
        env,
        "groupby",
        Value::from_function(builtin::groupby),
        sorted,
    );
    counted(env, "max", Value::from_function(builtin::max), sorted);
    counted(env, "min", Value::from_function(builtin::min), sorted);
    counted(env, "sort", Value::from_function(builtin::sort), sorted);
    counted(env, "unique", Value::from_function(builtin::unique), sorted);
    counted(
        env,
        "first",
        Value::from_function(builtin::first),
        collected,
    );
    counted(env, "last", Value::from_function(builtin::last), collected);
    counted(env, "list", Value::from_function(builtin::list), collected);
    counted(env, "batch", Value::from_function(builtin::batch), grouped);
    counted(env, "slice", Value::from_function(builtin::slice), grouped);
    env.add_filter("chain", lists::chain);
    env.add_filter("zip", lists::zip);
    env.add_filter("items", |s: &mut S<'_, '_>, value: &Value| {
        methods::call(s, value, "items", &[])
    });
    env.add_filter("reverse", lists::reverse);
}

/// The filters that run other filters and return generators.
fn add_for_functions(env: &mut Environment<'_>) {
    for (name, filter) in [
        ("map", Value::from_function(builtin::map)),
        ("reject", Value::from_function(builtin::reject)),
        ("rejectattr", Value::from_function(builtin::rejectattr)),
        ("select", Value::from_function(builtin::select)),
        ("selectattr", Value::from_function(builtin::selectattr)),
    ] {
        env.add_filter(name, move |state: &mut S<'_, '_>, args: Args| {
            let args = args.into_values();
            let budget = Budget::of(state);
            budget.allocate_items(args.first().map_or(0, budget::len))?;
            check_paths(&args)?;
            let list = Budget::nested(state, |state| filter.call(state, &args))?;
            let items = list.try_iter()?.checked().collect::<Result<_, _>>()?;
            Ok::<_, Error>(Generator::value(items))
        });
    }
}

/// Adds a filter of the engine. `count` reserves its cost, which depends on the arguments.
fn counted(
    env: &mut Environment<'_>,
    name: &'static str,
    filter: Value,
    count: fn(&mut Budget, &[Value]) -> Result<(), Error>,
) {
    env.add_filter(name, move |state: &mut S<'_, '_>, args: Args| {
        let args = args.into_values();
        count(Budget::of(state), &args)?;
        filter.call(state, &args)
    });
}

/// Changing the case of a letter produces at most three letters.
fn cased(budget: &mut Budget, args: &[Value]) -> Result<(), Error> {
    budget.spend(args.first().map_or(0, budget::text_len).saturating_mul(3))
}

fn collected(budget: &mut Budget, args: &[Value]) -> Result<(), Error> {
    budget.allocate_items(args.first().map_or(0, budget::len))
}

/// A sort reads each item about log2(count) times.
fn sorted(budget: &mut Budget, args: &[Value]) -> Result<(), Error> {
    let Some((list, others)) = args.split_first() else {
        return Ok(());
    };
    for other in others {
        let cost = budget.cost_of_walk(other)?;
        if cost > MAX_ARGUMENT {
            return Err(exhausted("an argument of a filter is too large"));
        }
    }
    let count = budget::len(list);
    budget.allocate_items(count.saturating_mul(2))?;
    let reads = 16 * (count.checked_ilog2().unwrap_or(0) as usize + 2);
    let cost = budget.cost_of_walk(list)?;
    budget.spend(cost.saturating_mul(reads))
}

fn grouped(budget: &mut Budget, args: &[Value]) -> Result<(), Error> {
    let count = largest_count(args)?;
    let items = args.first().map_or(0, budget::len).saturating_mul(3);
    budget.allocate_items(items.saturating_add(count.saturating_mul(4)))
}

/// The largest number after the first argument, which is a width or a count.
fn largest_count(args: &[Value]) -> Result<usize, Error> {
    let mut largest = 4;
    for arg in args.iter().skip(1) {
        let kwargs = match arg.is_kwargs() {
            true => Some(Kwargs::try_from(arg.clone())?),
            false => None,
        };
        let named = kwargs
            .iter()
            .flat_map(|kwargs| kwargs.args().map(|name| kwargs.peek(name)));
        for value in named.chain([Ok(arg.clone())]) {
            let number = value.ok().filter(|value: &Value| value.is_integer());
            let number = number.map_or(0, |number| {
                i128::try_from(number).map_or(u128::MAX, i128::unsigned_abs)
            });
            largest = largest.max(usize::try_from(number).unwrap_or(usize::MAX));
        }
    }
    if largest > MAX_COUNT {
        return Err(exhausted("a width or a count is too large"));
    }
    Ok(largest)
}

/// Rejects long attribute paths, which are looked up for every item.
fn check_paths(args: &[Value]) -> Result<(), Error> {
    let mut paths: Vec<Value> = args.get(1).cloned().into_iter().collect();
    if let Some(last) = args.last().filter(|last| last.is_kwargs()) {
        let kwargs = Kwargs::try_from(last.clone())?;
        if kwargs.has("attribute") {
            paths.push(kwargs.peek("attribute")?);
        }
    }
    if paths.iter().any(|path| budget::text_len(path) > MAX_PATH) {
        return Err(exhausted("the path of an attribute is too long"));
    }
    Ok(())
}

/// `trim`; a text that does not change is not copied.
fn trim(state: &mut State<'_, '_>, value: &Value, set: Option<&str>) -> Result<Value, Error> {
    let Some(text) = value.as_str() else {
        let text = Value::from(string(state, value)?);
        return trim(state, &text, set);
    };
    let budget = Budget::of(state);
    let strip = text::strip(budget, text, set)?;
    let trimmed = text.trim_matches(strip);
    if trimmed.len() == text.len() {
        return Ok(value.clone());
    }
    budget.allocate(trimmed.len())?;
    Ok(Value::from(trimmed))
}

/// `str(value)`, counted.
pub(super) fn string(state: &mut State<'_, '_>, value: &Value) -> Result<String, Error> {
    let budget = Budget::of(state);
    let text = python::str(value, budget.room())?;
    budget.allocate(text.len())?;
    Ok(text)
}

const MAX_ARGUMENT: usize = 1 << 10;
const MAX_COUNT: usize = 100_000;
pub(super) const MAX_PATH: usize = 256;
