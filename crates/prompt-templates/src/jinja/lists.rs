//! The filters that combine the items of a list, or several lists.

use alloc::borrow::Cow;
use alloc::string::String;
use alloc::vec::Vec;

use minijinja::value::{Kwargs, Rest, Tuple, Value, ValueKind};
use minijinja::{Error, ErrorKind, State};

use super::budget::{self, Budget, ITEM, exhausted};
use super::filters::{MAX_PATH, string};
use super::methods::invalid;
use super::operators::{add_two, float as as_float, is_list};
use super::python;

/// Joins texts with a separator.
pub(super) fn join(
    state: &mut State<'_, '_>,
    list: &Value,
    joiner: Option<&Value>,
    attribute: Option<Cow<'_, str>>,
    kwargs: Kwargs,
) -> Result<String, Error> {
    let named: Option<Value> = kwargs.get("d")?;
    let joiner = match joiner.or(named.as_ref()) {
        Some(joiner) => string(state, joiner)?,
        None => String::new(),
    };
    let attribute = match attribute {
        Some(attribute) => Some(attribute.into_owned()),
        None => kwargs.get::<Option<String>>("attribute")?,
    };
    kwargs.assert_all_used()?;
    let budget = Budget::of(state);
    let mut text = budget::BoundedText::new(budget.room());
    for (index, item) in list.try_iter()?.checked().enumerate() {
        let item = item?;
        budget.read(ITEM)?;
        if index > 0 {
            text.push(&joiner)?;
        }
        match &attribute {
            Some(path) => python::write_str(&mut text, &at_path(item, path)?)?,
            None => python::write_str(&mut text, &item)?,
        }
    }
    budget.allocate(text.out.len())?;
    Ok(text.out)
}

/// A sum, with the cost of `+`.
pub(super) fn sum(
    state: &mut State<'_, '_>,
    list: &Value,
    attribute: Option<Cow<'_, str>>,
    start: Option<Value>,
    kwargs: Kwargs,
) -> Result<Value, Error> {
    let attribute = match attribute {
        Some(attribute) => Some(attribute.into_owned()),
        None => kwargs.get::<Option<String>>("attribute")?,
    };
    let start = match start {
        Some(start) => Some(start),
        None => kwargs.get("start")?,
    };
    kwargs.assert_all_used()?;
    let mut sum = start.unwrap_or_else(|| Value::from(0));
    let budget = Budget::of(state);
    for item in list.try_iter()?.checked() {
        let mut item = item?;
        budget.read(ITEM)?;
        if let Some(path) = &attribute {
            item = at_path(item, path)?;
        }
        if as_float(&sum).is_some() && as_float(&item).is_none() {
            let detail = alloc::format!("can only sum numbers, got {}", item.kind());
            return Err(Error::new(ErrorKind::InvalidOperation, detail));
        }
        sum = add_two(budget, &sum, &item)?;
    }
    Ok(sum)
}

/// `item.a.b`, in which the names may be list indices.
fn at_path(mut item: Value, path: &str) -> Result<Value, Error> {
    if path.len() > MAX_PATH {
        return Err(exhausted("the path of an attribute is too long"));
    }
    for name in path.split('.') {
        item = match name.parse::<usize>() {
            Ok(index) => item.get_item_by_index(index)?,
            Err(_) => item.get_attr(name)?,
        };
    }
    Ok(item)
}

/// Concatenates lists, or merges mappings.
pub(super) fn chain(
    state: &mut State<'_, '_>,
    first: &Value,
    others: Rest<Value>,
) -> Result<Value, Error> {
    let budget = Budget::of(state);
    let all = || core::iter::once(first).chain(others.iter());
    budget.allocate_items(all().map(budget::len).fold(0, usize::saturating_add))?;
    if all().all(|value| value.kind() == ValueKind::Map) {
        let mut pairs = Vec::new();
        for map in all() {
            for key in map.try_iter()?.checked() {
                let key = key?;
                let value = map.get_item(&key)?;
                pairs.push((key, value));
            }
        }
        return Ok(Value::from_pairs(pairs));
    }
    let mut items = Vec::new();
    for list in all() {
        items.extend(list.try_iter()?.checked().collect::<Result<Vec<_>, _>>()?);
    }
    Ok(Value::from(items))
}

/// Tuples of the first items, the second items and so on.
pub(super) fn zip(
    state: &mut State<'_, '_>,
    first: &Value,
    others: Rest<Value>,
) -> Result<Value, Error> {
    let budget = Budget::of(state);
    let mut lists = Vec::new();
    for list in core::iter::once(first).chain(others.iter()) {
        lists.push(list.try_iter()?.checked());
    }
    let mut rows = Vec::new();
    loop {
        let row = lists.iter_mut().map_while(Iterator::next);
        let row = row.collect::<Result<Vec<_>, _>>()?;
        if row.len() < lists.len() {
            return Ok(Value::from(rows));
        }
        budget.allocate_items(row.len() + 4)?;
        rows.push(Value::from(Tuple::from(row)));
    }
}

/// A text, a list or the keys of a mapping in reverse.
pub(super) fn reverse(state: &mut State<'_, '_>, value: &Value) -> Result<Value, Error> {
    let budget = Budget::of(state);
    if let (ValueKind::String, Some(text)) = (value.kind(), value.as_str()) {
        budget.allocate(text.len())?;
        return Ok(Value::from(text.chars().rev().collect::<String>()));
    }
    if !is_list(value) && value.kind() != ValueKind::Map {
        return Err(invalid("only texts, lists and mappings can be reversed"));
    }
    budget.allocate_items(budget::len(value))?;
    let mut items = value.try_iter()?.checked().collect::<Result<Vec<_>, _>>()?;
    items.reverse();
    Ok(Value::from(items))
}
