//! `'…'.format(…)` and `'…' | format(…)`. A short format can request a huge result, so the size is
//! checked first.

use alloc::string::String;
use alloc::vec::Vec;

use minijinja::Error;
use minijinja::formatting::{FormatStyle, format as format_with};
use minijinja::value::{Kwargs, Value, ValueKind};

use super::budget::{Budget, exhausted};
use super::python;

/// `'…'.format(…)`
pub(super) fn braces(budget: &mut Budget, format: &str, args: &[Value]) -> Result<String, Error> {
    let fields = braces_fields(format)?;
    check(budget, format, &fields, args)?;
    finish(budget, format_with(FormatStyle::StrFormat, format, args)?)
}

/// `'…' | format(…)`
pub(super) fn printf(budget: &mut Budget, format: &str, args: &[Value]) -> Result<String, Error> {
    let fields = printf_fields(format)?;
    check(budget, format, &fields, args)?;
    finish(budget, format_with(FormatStyle::Printf, format, args)?)
}

fn finish(budget: &mut Budget, text: String) -> Result<String, Error> {
    budget.allocate(text.len())?;
    Ok(text)
}

/// Rejects a result that may exceed the limit. Every field counts as long as the longest value.
fn check(budget: &mut Budget, format: &str, fields: &Fields, args: &[Value]) -> Result<(), Error> {
    budget.read(format.len())?;
    let mut longest = NUMBER;
    for arg in flattened(args)? {
        budget.walk(&arg)?;
        let length = match arg.kind() {
            ValueKind::Number | ValueKind::Bool | ValueKind::None | ValueKind::Undefined => NUMBER,
            ValueKind::String => super::budget::text_len(&arg),
            // The engine escapes different characters than Python.
            _ => python::repr(&arg, budget.room())?
                .len()
                .saturating_mul(ESCAPE),
        };
        longest = longest.max(length);
    }
    let total = fields
        .count
        .saturating_mul(longest)
        .saturating_add(fields.padding)
        .saturating_add(format.len());
    if total > budget.room() {
        return Err(exhausted("the formatted text may be too long"));
    }
    Ok(())
}

/// The arguments, including the keyword arguments.
fn flattened(args: &[Value]) -> Result<Vec<Value>, Error> {
    let mut all = Vec::new();
    for arg in args {
        if arg.is_kwargs() {
            let kwargs = Kwargs::try_from(arg.clone())?;
            for name in kwargs.args() {
                all.push(kwargs.peek(name)?);
            }
        } else {
            all.push(arg.clone());
        }
    }
    Ok(all)
}

/// The number of a format's fields, and the padding that they request.
#[derive(Debug, Default, Eq, PartialEq)]
struct Fields {
    count: usize,
    /// The sum of all widths and precisions.
    padding: usize,
}

impl Fields {
    /// Adds a field with its numbers.
    fn add(&mut self, spec: &str) -> Result<(), Error> {
        self.count += 1;
        for digits in spec.split(|c: char| !c.is_ascii_digit()) {
            if digits.len() > MAX_DIGITS {
                return Err(exhausted("a width is too large"));
            }
            self.padding += digits.parse().unwrap_or(0);
        }
        Ok(())
    }
}

/// The fields of a format with `%`.
///
/// # Errors
///
/// Widths that are huge, or that are arguments themselves.
fn printf_fields(format: &str) -> Result<Fields, Error> {
    let mut fields = Fields::default();
    for field in format.split('%').skip(1) {
        let spec = match field.strip_prefix('(') {
            Some(named) => named.split_once(')').map_or("", |(_, spec)| spec),
            None => field,
        };
        let is_spec = |c: char| c.is_ascii_digit() || "#-+ .*hlL".contains(c);
        let spec = &spec[..spec.find(|c| !is_spec(c)).unwrap_or(spec.len())];
        if spec.contains('*') {
            return Err(exhausted("a width is an argument"));
        }
        fields.add(spec)?;
    }
    Ok(fields)
}

/// The fields of a format with `{}`.
///
/// # Errors
///
/// Widths that are huge, or that are fields themselves.
fn braces_fields(format: &str) -> Result<Fields, Error> {
    let mut fields = Fields::default();
    let mut rest = format;
    while let Some(open) = rest.find('{') {
        rest = &rest[open + 1..];
        if let Some(escaped) = rest.strip_prefix('{') {
            rest = escaped;
            continue;
        }
        let field = &rest[..rest.find('}').unwrap_or(rest.len())];
        let spec = field.split_once(':').map_or("", |(_, spec)| spec);
        if spec.contains('{') {
            return Err(exhausted("a width is an argument"));
        }
        fields.add(spec)?;
        rest = &rest[field.len()..];
    }
    Ok(fields)
}

const MAX_DIGITS: usize = 5;
/// The maximum length of a number without a precision.
const NUMBER: usize = 400;
/// The maximum growth of a text whose characters are escaped.
const ESCAPE: usize = 6;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_counted_with_their_widths() {
        let fields = |count, padding| Fields { count, padding };
        for (format, wanted) in [
            ("", fields(0, 0)),
            ("%", fields(1, 0)),
            ("%s %5.2f", fields(2, 7)),
            ("%99999d", fields(1, 99_999)),
            ("1234567 %s", fields(1, 0)),
            ("%(name1234567)12s 5", fields(1, 12)),
        ] {
            assert_eq!(printf_fields(format).unwrap(), wanted, "{format}");
        }
        for (format, wanted) in [
            ("", fields(0, 0)),
            ("{", fields(1, 0)),
            ("{}:{}", fields(2, 0)),
            ("{x:>99999}", fields(1, 99_999)),
            ("1234567{}", fields(1, 0)),
        ] {
            assert_eq!(braces_fields(format).unwrap(), wanted, "{format}");
        }
    }

    #[test]
    fn only_huge_widths_are_refused() {
        for format in [
            "%123456d",
            "%-0123456s",
            "%*d",
            "%.123456f",
            "%(a)123456d",
            "%l123456d",
        ] {
            assert!(printf_fields(format).is_err(), "{format}");
        }
        for format in ["{:123456}", "{:{}}", "{x:.123456f}", "{:>{w}}"] {
            assert!(braces_fields(format).is_err(), "{format}");
        }
    }
}
