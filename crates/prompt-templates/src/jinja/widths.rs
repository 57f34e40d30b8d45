//! Widths and counts by which a few letters would take up all memory.

use minijinja::value::{Kwargs, Value};
use minijinja::{Error, ErrorKind};

/// Refuses huge numbers among the arguments behind the first, which is what a filter is put to.
pub(super) fn check_counts(args: &[Value]) -> Result<(), Error> {
    for arg in args.iter().skip(1) {
        if arg.is_kwargs() {
            let kwargs = Kwargs::try_from(arg.clone())?;
            for name in kwargs.args() {
                check_count(&kwargs.peek(name)?)?;
            }
        } else {
            check_count(arg)?;
        }
    }
    Ok(())
}

/// Refuses huge widths in a format with `%`, and those that are arguments.
pub(super) fn check_printf(format: &str) -> Result<(), Error> {
    for (index, field) in format.split('%').enumerate() {
        let width = field.trim_start_matches(['#', '0', '-', '+', ' ', '.']);
        let digits = width
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .unwrap_or(width.len());
        if index > 0 && (digits > MAX_DIGITS || width[digits..].starts_with('*')) {
            return Err(too_large());
        }
    }
    Ok(())
}

/// Refuses huge widths in a format with `{}`, and those that are fields themselves.
pub(super) fn check_braces(format: &str) -> Result<(), Error> {
    let mut rest = format;
    while let Some(open) = rest.find('{') {
        rest = &rest[open + 1..];
        if let Some(escaped) = rest.strip_prefix('{') {
            rest = escaped;
            continue;
        }
        let field = &rest[..rest.find('}').unwrap_or(rest.len())];
        let spec = field.split_once(':').map_or("", |(_, spec)| spec);
        let is_huge = |digits: &str| digits.len() > MAX_DIGITS;
        if spec.contains('{') || spec.split(|c: char| !c.is_ascii_digit()).any(is_huge) {
            return Err(too_large());
        }
        rest = &rest[field.len()..];
    }
    Ok(())
}

fn check_count(value: &Value) -> Result<(), Error> {
    let is_huge = value
        .as_i64()
        .is_some_and(|number| number.unsigned_abs() > MAX_COUNT);
    if is_huge { Err(too_large()) } else { Ok(()) }
}

fn too_large() -> Error {
    Error::new(ErrorKind::OutOfFuel, "a width or a count is too large")
}

const MAX_COUNT: u64 = 100_000;
const MAX_DIGITS: usize = 5;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_huge_widths_are_refused() {
        for format in ["", "%", "%s %5.2f%%", "%99999d", "1234567 %s", "% d"] {
            assert!(check_printf(format).is_ok(), "{format}");
        }
        for format in [
            "%123456d",
            "%-0123456s",
            "%*d",
            "%.123456f",
            "%%123456d %123456s",
        ] {
            assert!(check_printf(format).is_err(), "{format}");
        }
        for format in ["", "{", "{}:{}", "{{:{}}}", "{x:>99999}", "1234567{}"] {
            assert!(check_braces(format).is_ok(), "{format}");
        }
        for format in ["{:123456}", "{:{}}", "{x:.123456f}", "{:>{w}}"] {
            assert!(check_braces(format).is_err(), "{format}");
        }
    }
}
