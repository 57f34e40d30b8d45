//! `base[start:stop:step]`, as in Python.

use alloc::string::String;
use alloc::vec::Vec;

use minijinja::value::{Value, ValueKind};
use minijinja::{Error, ErrorKind, State};

use super::budget::{self, Budget};
use super::methods::invalid;
use super::operators::list_like;

/// A slice, which is never lazy: slices of slices would be nested without a limit.
pub(super) fn slice(
    state: &mut State<'_, '_>,
    base: &Value,
    start: Option<i64>,
    stop: Option<i64>,
    step: Option<i64>,
) -> Result<Value, Error> {
    let budget = Budget::of(state);
    let step = step.unwrap_or(1);
    if step == 0 {
        return Err(invalid("the step of a slice is zero"));
    }
    match base.kind() {
        ValueKind::String => {
            let text = base.as_str().unwrap_or_default();
            budget.read(text.len())?;
            let length = if text.is_ascii() {
                text.len()
            } else {
                text.chars().count()
            };
            let indices = Indices::new(length, start, stop, step);
            if step == 1 {
                let part = part(text, indices.first, indices.count);
                budget.allocate(part.len())?;
                return Ok(Value::from(part));
            }
            budget.allocate(text.len().saturating_mul(4))?;
            let chars: Vec<char> = text.chars().collect();
            Ok(Value::from(
                indices
                    .iter()
                    .filter_map(|at| chars.get(at))
                    .collect::<String>(),
            ))
        }
        ValueKind::Seq => {
            let indices = Indices::new(base.len().unwrap_or(0), start, stop, step);
            budget.allocate_items(indices.count)?;
            let items = indices.iter().map(|at| base.get_item_by_index(at));
            Ok(list_like(base, items.collect::<Result<_, _>>()?))
        }
        ValueKind::Iterable => {
            budget.allocate_items(budget::len(base))?;
            let all = base.try_iter()?.checked().collect::<Result<Vec<_>, _>>()?;
            let indices = Indices::new(all.len(), start, stop, step);
            let items = indices.iter().filter_map(|at| all.get(at).cloned());
            Ok(Value::from(items.collect::<Vec<_>>()))
        }
        kind => Err(Error::new(
            ErrorKind::InvalidOperation,
            alloc::format!("a value of type {kind} cannot be sliced"),
        )),
    }
}

/// The items of a slice, as in Python's `slice.indices`.
struct Indices {
    first: usize,
    step: i64,
    count: usize,
}

impl Indices {
    fn new(length: usize, start: Option<i64>, stop: Option<i64>, step: i64) -> Self {
        let length = length as i128;
        let (lowest, highest) = if step > 0 {
            (0, length)
        } else {
            (-1, length - 1)
        };
        let place = |place: Option<i64>, default| match place {
            None => default,
            Some(place) if place < 0 => (i128::from(place) + length).max(lowest),
            Some(place) => i128::from(place).min(highest),
        };
        let wide = i128::from(step);
        let (start, stop) = if step > 0 {
            (place(start, lowest), place(stop, highest))
        } else {
            (place(start, highest), place(stop, lowest))
        };
        let distance = if step > 0 { stop - start } else { start - stop };
        let count = if distance > 0 {
            (distance - 1) / wide.abs() + 1
        } else {
            0
        };
        Self {
            first: usize::try_from(start).unwrap_or(0),
            step,
            count: usize::try_from(count).unwrap_or(0),
        }
    }

    fn iter(&self) -> impl Iterator<Item = usize> {
        let (first, step) = (self.first as i128, i128::from(self.step));
        (0..self.count).map(move |n| (first + step * n as i128) as usize)
    }
}

/// The selected characters of a text.
fn part(text: &str, first: usize, count: usize) -> &str {
    if text.is_ascii() {
        return &text[first..first + count];
    }
    let place = |text: &str, n| text.char_indices().nth(n).map_or(text.len(), |(at, _)| at);
    let rest = &text[place(text, first)..];
    &rest[..place(rest, count)]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn indices(start: Option<i64>, stop: Option<i64>, step: i64) -> Vec<usize> {
        Indices::new(5, start, stop, step).iter().collect()
    }

    #[test]
    fn slices_are_pythons() {
        assert_eq!(indices(None, None, 1), [0, 1, 2, 3, 4]);
        assert_eq!(indices(None, None, -1), [4, 3, 2, 1, 0]);
        assert_eq!(indices(None, None, -2), [4, 2, 0]);
        assert_eq!(indices(Some(1), Some(-1), 1), [1, 2, 3]);
        assert_eq!(indices(Some(-2), None, 1), [3, 4]);
        assert_eq!(indices(Some(-9), Some(9), 2), [0, 2, 4]);
        assert_eq!(indices(Some(3), Some(0), -1), [3, 2, 1]);
        assert_eq!(indices(Some(9), Some(-9), -3), [4, 1]);
        assert_eq!(indices(Some(3), Some(1), 1), [0; 0]);
        assert_eq!(indices(Some(i64::MIN), Some(i64::MAX), i64::MAX), [0]);
        assert_eq!(indices(Some(i64::MAX), Some(i64::MIN), i64::MIN), [4]);
        assert_eq!(Indices::new(0, None, None, -1).count, 0);
    }
}
