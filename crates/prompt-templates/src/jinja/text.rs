//! The methods of Python's `str` that return a string, which is counted before it is created.

use alloc::format;
use alloc::string::{String, ToString};

use minijinja::Error;
use minijinja::value::{Kwargs, Value, from_args};

use crate::python::is_space;

use super::budget::{BoundedText, Budget, ITEM};
use super::formats;
use super::methods::{invalid, unknown};

/// Methods that return a string.
pub(super) fn transform(
    budget: &mut Budget,
    text: &str,
    method: &str,
    args: &[Value],
) -> Result<String, Error> {
    match method {
        "capitalize" | "casefold" | "lower" | "upper" | "swapcase" | "title" => {
            // A letter becomes at most three.
            budget.spend(text.len().saturating_mul(3))?;
        }
        "strip" | "lstrip" | "rstrip" | "removeprefix" | "removesuffix" => {
            budget.allocate(text.len())?;
        }
        _ => {}
    }
    let none = || from_args::<()>(args);
    Ok(match method {
        "capitalize" => {
            none()?;
            let mut chars = text.chars();
            let first = chars.next().into_iter().flat_map(char::to_uppercase);
            first.chain(chars.as_str().to_lowercase().chars()).collect()
        }
        "casefold" | "lower" => {
            none()?;
            text.to_lowercase()
        }
        "upper" => {
            none()?;
            text.to_uppercase()
        }
        "swapcase" => {
            none()?;
            let swap = |c: char| -> String {
                if c.is_uppercase() {
                    c.to_lowercase().collect()
                } else {
                    c.to_uppercase().collect()
                }
            };
            text.chars().map(swap).collect()
        }
        "title" => {
            none()?;
            title(text)
        }
        "strip" | "lstrip" | "rstrip" => {
            let (set,): (Option<&str>,) = from_args(args)?;
            let strip = strip(budget, text, set)?;
            let text = if method == "rstrip" {
                text
            } else {
                text.trim_start_matches(&strip)
            };
            (if method == "lstrip" {
                text
            } else {
                text.trim_end_matches(&strip)
            })
            .to_string()
        }
        "removeprefix" => {
            let (affix,): (&str,) = from_args(args)?;
            text.strip_prefix(affix).unwrap_or(text).to_string()
        }
        "removesuffix" => {
            let (affix,): (&str,) = from_args(args)?;
            text.strip_suffix(affix).unwrap_or(text).to_string()
        }
        "replace" => {
            let (old, new, count, kwargs): (&str, &str, Option<i64>, Kwargs) = from_args(args)?;
            let count = match count {
                Some(count) => count,
                None => kwargs.get::<Option<i64>>("count")?.unwrap_or(-1),
            };
            kwargs.assert_all_used()?;
            replace(budget, text, old, new, count)?
        }
        "join" => {
            let (items,): (&Value,) = from_args(args)?;
            let mut out = BoundedText::new(budget.room());
            for (index, item) in items.try_iter()?.checked().enumerate() {
                budget.read(ITEM)?;
                if index > 0 {
                    out.push(text)?;
                }
                out.push(
                    item?
                        .as_str()
                        .ok_or_else(|| invalid("only strings can be joined"))?,
                )?;
            }
            budget.allocate(out.out.len())?;
            out.out
        }
        "center" | "ljust" | "rjust" | "zfill" => {
            let (width, fill): (i64, Option<char>) = from_args(args)?;
            pad(budget, text, method, width, fill.unwrap_or(' '))?
        }
        "format" => formats::braces(budget, text, args)?,
        _ => return Err(unknown()),
    })
}

pub(super) fn title(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut inside = false;
    for c in text.chars() {
        if inside {
            out.extend(c.to_lowercase());
        } else {
            out.extend(c.to_uppercase());
        }
        inside = c.is_alphabetic();
    }
    out
}

fn pad(
    budget: &mut Budget,
    text: &str,
    method: &str,
    width: i64,
    fill: char,
) -> Result<String, Error> {
    let missing = usize::try_from(width)
        .unwrap_or(0)
        .saturating_sub(text.chars().count());
    if missing > MAX_PADDING {
        return Err(invalid("the width is too large"));
    }
    budget.allocate(
        text.len()
            .saturating_add(missing.saturating_mul(fill.len_utf8())),
    )?;
    let run = |n: usize, c: char| core::iter::repeat_n(c, n).collect::<String>();
    Ok(match method {
        "ljust" => format!("{text}{}", run(missing, fill)),
        "rjust" => format!("{}{text}", run(missing, fill)),
        "zfill" => {
            let digits = text.trim_start_matches(['+', '-']);
            let sign = &text[..text.len() - digits.len()];
            // Only the first sign is moved before the zeros.
            let sign = sign.get(..1).unwrap_or("");
            format!("{sign}{}{}", run(missing, '0'), &text[sign.len()..])
        }
        _ => {
            // As in CPython, the extra character is on the left if the padding and the width are odd.
            let left = missing / 2 + (missing & width as usize & 1);
            format!("{}{text}{}", run(left, fill), run(missing - left, fill))
        }
    })
}

/// `text.replace(old, new, count)`; a negative count means no limit.
pub(super) fn replace(
    budget: &mut Budget,
    text: &str,
    old: &str,
    new: &str,
    count: i64,
) -> Result<String, Error> {
    budget.read(text.len())?;
    let limit = usize::try_from(count).unwrap_or(usize::MAX);
    let found = text.matches(old).take(limit).count();
    let added = found.saturating_mul(new.len());
    budget.allocate((text.len() - found * old.len()).saturating_add(added))?;
    Ok(text.replacen(old, new, limit))
}

/// What `strip` removes: these characters, or white space.
pub(super) fn strip<'s>(
    budget: &mut Budget,
    text: &str,
    set: Option<&'s str>,
) -> Result<impl Fn(char) -> bool + use<'s>, Error> {
    let reads = set.map_or(1, str::len);
    budget.read(text.len().saturating_mul(reads))?;
    Ok(move |c: char| set.map_or_else(|| is_space(c), |set| set.contains(c)))
}

/// The number of parts between separators, or between white space.
pub(super) fn split_count(text: &str, separator: Option<&str>) -> usize {
    match separator {
        Some(separator) => text.matches(separator).count() + 2,
        None => text.split(is_space).filter(|part| !part.is_empty()).count() + 1,
    }
}

/// The bytes of a list for each text in it, in addition to the text.
pub(super) const PART: usize = 2 * ITEM + 16;
const MAX_PADDING: usize = 1 << 20;
