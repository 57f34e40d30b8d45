//! Prints text like Python: the parts of `repr` and `json.dumps`.

use alloc::format;
use alloc::string::String;
use core::fmt::Write as _;

/// White space according to `str.isspace`, which includes the four ASCII separators.
pub(crate) fn is_space(c: char) -> bool {
    c.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&c)
}

/// A string in JSON, as `json.dumps` writes it.
pub(crate) fn write_json_string(out: &mut String, text: &str, ensure_ascii: bool) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '\0'..='\u{1f}' => _ = write!(out, "\\u{:04x}", c as u32),
            '\u{7f}'.. if ensure_ascii => {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    _ = write!(out, "\\u{unit:04x}");
                }
            }
            c => out.push(c),
        }
    }
    out.push('"');
}

/// A string's `repr`: in single quotes, unless it contains single and no double ones.
pub(crate) fn write_quoted(out: &mut String, text: &str) {
    let quote = if text.contains('\'') && !text.contains('"') {
        '"'
    } else {
        '\''
    };
    out.push(quote);
    for c in text.chars() {
        match c {
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\\' => out.push_str("\\\\"),
            c if c == quote => out.extend(['\\', c]),
            ' '..='~' => out.push(c),
            c if is_printable(c) => out.push(c),
            c => {
                _ = match c as u32 {
                    code @ ..=0xff => write!(out, "\\x{code:02x}"),
                    code @ ..=0xffff => write!(out, "\\u{code:04x}"),
                    code => write!(out, "\\U{code:08x}"),
                }
            }
        }
    }
    out.push(quote);
}

/// A float's `repr`: the shortest digits, with an exponent below 1e-4 and from 1e16.
pub(crate) fn write_float(out: &mut String, float: f64) {
    let text = format!("{float:e}");
    let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if (-4..16).contains(&exponent) {
        _ = write!(out, "{float:?}");
    } else {
        let sign = if exponent < 0 { '-' } else { '+' };
        _ = write!(out, "{digits}e{sign}{:02}", exponent.unsigned_abs());
    }
}

/// `str.isprintable` for one character: what Rust's `escape_debug` does not escape. Rust escapes a
/// combining character at the start of a string, and Python does not, so a letter precedes it.
fn is_printable(c: char) -> bool {
    format!("a{c}").escape_debug().count() == 2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_float(float: f64, wanted: &str) {
        let mut out = String::new();
        write_float(&mut out, float);
        assert_eq!(out, wanted);
    }

    #[test]
    fn floats_equal_pythons() {
        check_float(1.0, "1.0");
        check_float(-0.0, "-0.0");
        check_float(0.1, "0.1");
        check_float(1e15, "1000000000000000.0");
        check_float(1e16, "1e+16");
        check_float(1.5e300, "1.5e+300");
        check_float(0.0001, "0.0001");
        check_float(0.00001, "1e-05");
    }

    #[test]
    fn strings_are_printed_like_pythons() {
        let mut out = String::new();
        write_quoted(&mut out, "é\u{a0}\u{301}'\"\n\u{7f}\u{200b}😀\u{e000}");
        assert_eq!(out, "'é\\xa0\u{301}\\'\"\\n\\x7f\\u200b😀\\ue000'");
    }
}
