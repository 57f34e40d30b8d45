//! The methods of Python's `str` that templates call.

use alloc::vec::Vec;

use minijinja::Error;
use minijinja::value::{Kwargs, Tuple, Value, from_args};

use crate::python::is_space;

use super::budget::{Budget, text_len};
use super::methods::invalid;
use super::text::{self, title};

/// Calls a method of `str`.
pub(super) fn call(
    budget: &mut Budget,
    text: &str,
    method: &str,
    args: &[Value],
) -> Result<Value, Error> {
    let length = args
        .iter()
        .map(text_len)
        .fold(text.len(), usize::saturating_add);
    budget.read(length)?;
    if let Some(value) = predicate(text, method, args)? {
        return Ok(Value::from(value));
    }
    if let Some(value) = search(text, method, args)? {
        return Ok(value);
    }
    if let Some(value) = split_methods(budget, text, method, args)? {
        return Ok(value);
    }
    text::transform(budget, text, method, args).map(Value::from)
}

/// Methods that return a boolean.
fn predicate(text: &str, method: &str, args: &[Value]) -> Result<Option<bool>, Error> {
    let all = |test: fn(char) -> bool| !text.is_empty() && text.chars().all(test);
    let cased = || text.chars().any(|c| c.is_lowercase() || c.is_uppercase());
    let answer = match method {
        "startswith" => return affix(args, |affix| text.starts_with(affix)).map(Some),
        "endswith" => return affix(args, |affix| text.ends_with(affix)).map(Some),
        "isalnum" => all(char::is_alphanumeric),
        "isalpha" => all(char::is_alphabetic),
        "isascii" => text.is_ascii(),
        // Exact for ASCII; digits of other scripts only count as numeric.
        "isdecimal" | "isdigit" => all(|c| c.is_ascii_digit()),
        "isnumeric" => all(char::is_numeric),
        "isspace" => all(is_space),
        "islower" => cased() && !text.chars().any(char::is_uppercase),
        "isupper" => cased() && !text.chars().any(char::is_lowercase),
        "istitle" => cased() && title(text) == text,
        _ => return Ok(None),
    };
    let () = from_args(args)?;
    Ok(Some(answer))
}

/// `startswith` and `endswith` take one string or a tuple of them.
fn affix(args: &[Value], test: impl Fn(&str) -> bool) -> Result<bool, Error> {
    let (affix,): (&Value,) = from_args(args)?;
    if let Some(affix) = affix.as_str() {
        return Ok(test(affix));
    }
    if !affix.is_tuple() {
        return Err(invalid(
            "the argument must be a string or a tuple of strings",
        ));
    }
    for affix in affix.try_iter()?.checked() {
        if test(
            affix?
                .as_str()
                .ok_or_else(|| invalid("the tuple must contain only strings"))?,
        ) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Methods that count or find characters; positions are in code points.
fn search(text: &str, method: &str, args: &[Value]) -> Result<Option<Value>, Error> {
    if !matches!(method, "count" | "find" | "index" | "rfind" | "rindex") {
        return Ok(None);
    }
    let (wanted, start, end): (&str, Option<i64>, Option<i64>) = from_args(args)?;
    let length = text.chars().count();
    let place = |place: Option<i64>, default: usize| match place {
        None => default,
        Some(place) if place < 0 => length.saturating_sub(place.unsigned_abs() as usize),
        Some(place) => (place as usize).min(length),
    };
    let (start, end) = (place(start, 0), place(end, length));
    let window = slice(text, start, end.max(start));
    if method == "count" {
        return Ok(Some(Value::from(match wanted {
            "" => window.chars().count() + 1,
            wanted => window.matches(wanted).count(),
        })));
    }
    let found = if method.starts_with('r') {
        window.rfind(wanted)
    } else {
        window.find(wanted)
    };
    match found {
        Some(at) => Ok(Some(Value::from(start + window[..at].chars().count()))),
        None if method.ends_with("find") => Ok(Some(Value::from(-1))),
        None => Err(invalid("the substring was not found")),
    }
}

/// The characters from `start` to `end`.
fn slice(text: &str, start: usize, end: usize) -> &str {
    let place = |n| text.char_indices().nth(n).map_or(text.len(), |(at, _)| at);
    &text[place(start)..place(end)]
}

/// Methods that return lists and tuples.
fn split_methods(
    budget: &mut Budget,
    text: &str,
    method: &str,
    args: &[Value],
) -> Result<Option<Value>, Error> {
    let mut parts = |separator| {
        let count = text::split_count(text, separator);
        budget.spend(count.saturating_mul(text::PART))?;
        budget.allocate(text.len())
    };
    Ok(Some(match method {
        "split" | "rsplit" => {
            let (separator, limit, kwargs): (Option<Value>, Option<i64>, Kwargs) = from_args(args)?;
            let separator = match separator {
                Some(separator) => Some(separator),
                None => kwargs.get("sep")?,
            };
            let limit = match limit {
                Some(limit) => limit,
                None => kwargs.get::<Option<i64>>("maxsplit")?.unwrap_or(-1),
            };
            kwargs.assert_all_used()?;
            let limit = usize::try_from(limit).unwrap_or(usize::MAX - 1);
            let from_right = method == "rsplit";
            let parts = match separator.as_ref().filter(|separator| !separator.is_none()) {
                None => {
                    parts(None)?;
                    split_space(text, limit, from_right)
                }
                Some(separator) => match separator.as_str() {
                    Some("") => return Err(invalid("empty separator")),
                    Some(separator) => {
                        parts(Some(separator))?;
                        split(text, separator, limit, from_right)
                    }
                    None => return Err(invalid("the separator must be a string")),
                },
            };
            Value::from(parts.into_iter().map(Value::from).collect::<Vec<_>>())
        }
        "partition" | "rpartition" => {
            let (separator,): (&str,) = from_args(args)?;
            if separator.is_empty() {
                return Err(invalid("empty separator"));
            }
            budget.allocate(text.len().saturating_add(separator.len()))?;
            let parts = match method {
                "partition" => match text.split_once(separator) {
                    Some((head, tail)) => [head, separator, tail],
                    None => [text, "", ""],
                },
                _ => match text.rsplit_once(separator) {
                    Some((head, tail)) => [head, separator, tail],
                    None => ["", "", text],
                },
            };
            Value::from(Tuple::from(parts.map(Value::from)))
        }
        "splitlines" => {
            let (keep, kwargs): (Option<bool>, Kwargs) = from_args(args)?;
            let keep = match keep {
                Some(keep) => keep,
                None => kwargs.get::<Option<bool>>("keepends")?.unwrap_or(false),
            };
            kwargs.assert_all_used()?;
            let count = text.matches(is_break).count() + 1;
            budget.spend(count.saturating_mul(text::PART))?;
            budget.allocate(text.len())?;
            Value::from(
                lines(text, keep)
                    .into_iter()
                    .map(Value::from)
                    .collect::<Vec<_>>(),
            )
        }
        _ => return Ok(None),
    }))
}

fn split<'t>(text: &'t str, separator: &str, limit: usize, from_right: bool) -> Vec<&'t str> {
    if from_right {
        let mut parts: Vec<_> = text.rsplitn(limit + 1, separator).collect();
        parts.reverse();
        parts
    } else {
        text.splitn(limit + 1, separator).collect()
    }
}

/// Splits at runs of white space, without empty parts; the rest after `limit` splits keeps its
/// inner white space.
fn split_space(text: &str, limit: usize, from_right: bool) -> Vec<&str> {
    let mut parts = Vec::new();
    let mut rest = text;
    loop {
        rest = if from_right {
            rest.trim_end_matches(is_space)
        } else {
            rest.trim_start_matches(is_space)
        };
        if rest.is_empty() {
            break;
        }
        let (part, left) = if parts.len() == limit {
            (rest, "")
        } else if from_right {
            let space = rest.char_indices().rev().find(|(_, c)| is_space(*c));
            let at = space.map_or(0, |(at, c)| at + c.len_utf8());
            (&rest[at..], &rest[..at])
        } else {
            rest.split_at(rest.find(is_space).unwrap_or(rest.len()))
        };
        parts.push(part);
        rest = left;
    }
    if from_right {
        parts.reverse();
    }
    parts
}

fn is_break(c: char) -> bool {
    matches!(
        c,
        '\n' | '\r' | '\u{b}' | '\u{c}' | '\u{1c}'..='\u{1e}' | '\u{85}' | '\u{2028}' | '\u{2029}'
    )
}

fn lines(text: &str, keep: bool) -> Vec<&str> {
    let mut lines = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let at = rest.find(is_break).unwrap_or(rest.len());
        let tail = &rest[at..];
        let width = match tail.strip_prefix("\r\n") {
            Some(_) => 2,
            None => tail.chars().next().map_or(0, char::len_utf8),
        };
        lines.push(&rest[..if keep { at + width } else { at }]);
        rest = &rest[at + width..];
    }
    lines
}
