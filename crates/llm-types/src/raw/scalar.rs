//! Scanning of strings, numbers and literals.

use std::borrow::Cow;

use super::scan::Scanner;
use super::strings::{closing_quote, has_controls, next_special};
use crate::parse::ParseError;

/// A string of JSON text, without quotes; its escapes are kept and not yet checked.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RawStr<'a> {
    inner: &'a [u8],
    start: usize,
    /// The number of bytes before the first escape. A boolean would suffice, but its padding bytes
    /// make each copy of the struct slower.
    plain: usize,
}

impl RawStr<'_> {
    /// Whether it equals this string.
    #[inline(always)]
    pub(crate) fn is(self, other: &str) -> bool {
        self.inner == other.as_bytes() || self.is_escaped() && self.decodes_to(other)
    }

    /// The number of bytes between the quotes.
    pub(crate) fn len(self) -> usize {
        self.inner.len()
    }

    #[cold]
    fn decodes_to(self, other: &str) -> bool {
        unescaped(self.inner).is_ok_and(|text| text == other)
    }

    fn is_escaped(self) -> bool {
        self.plain < self.inner.len()
    }
}

impl<'a> Scanner<'a> {
    /// Scans a string and returns it.
    #[inline(always)]
    pub(crate) fn string(&mut self) -> Result<RawStr<'a>, ParseError> {
        let start = self.at + 1;
        let special = next_special(self.json(), start);
        let end = match self.json().get(special) {
            Some(b'"') if !self.strict => special,
            _ => self.uncommon_end(start, special)?,
        };
        self.at = end + 1;
        Ok(RawStr {
            inner: &self.json()[start..end],
            start,
            plain: special - start,
        })
    }

    /// The decoded string.
    pub(crate) fn decode(&self, string: RawStr<'a>) -> Result<Cow<'a, str>, ParseError> {
        let text = &self.text[string.start..string.start + string.len()];
        let escaped = self.decode_escaped(string)?;
        Ok(escaped.map_or(Cow::Borrowed(text), Cow::Owned))
    }

    /// The decoded string, if it differs from its text.
    #[inline]
    pub(crate) fn decode_escaped(&self, string: RawStr<'a>) -> Result<Option<String>, ParseError> {
        if !string.is_escaped() && !has_controls(string.inner) {
            return Ok(None);
        }
        self.check_contents(string.start, string.start + string.len())?;
        unescaped(string.inner)
            .map(Some)
            .map_err(|_| self.error_at(string.start, "a string that cannot be read"))
    }

    /// Skips a value that is neither an object nor an array.
    #[inline]
    pub(super) fn scalar(&mut self) -> Result<(), ParseError> {
        match self.peek() {
            Some(b'"') => self.string().map(drop),
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(b't') => self.literal("true"),
            Some(b'f') => self.literal("false"),
            Some(b'n') => self.literal("null"),
            _ => Err(self.unexpected("a value")),
        }
    }

    /// The end of a string, unless `next_special` already found it: the string has escapes, is not
    /// closed, or must be checked.
    fn uncommon_end(&self, start: usize, special: usize) -> Result<usize, ParseError> {
        let end = match self.json().get(special) {
            Some(b'\\') => closing_quote(self.json(), special),
            _ => special,
        };
        if end == self.text.len() {
            return Err(self.error("a string without its closing quote"));
        }
        if self.strict {
            self.check_contents(start, end)?;
        }
        Ok(end)
    }

    /// Checks the escapes of a string, and that it has no control characters.
    fn check_contents(&self, start: usize, end: usize) -> Result<(), ParseError> {
        let mut at = start;
        while at < end {
            at = match self.json()[at] {
                b'\\' => self.escape(at)?,
                0..0x20 => {
                    let message =
                        "a control character inside a string, such as a line break: escape it";
                    return Err(self.error_at(at, message));
                }
                _ => at + 1,
            };
        }
        Ok(())
    }

    fn number(&mut self) -> Result<(), ParseError> {
        let start = self.at;
        self.at += usize::from(self.json()[self.at] == b'-');
        let leading = self.at;
        self.digits(start)?;
        if self.json()[leading] == b'0' && self.at > leading + 1 {
            return Err(self.error_at(start, "a number with a leading zero"));
        }
        if self.json().get(self.at) == Some(&b'.') {
            self.at += 1;
            self.digits(start)?;
        }
        if let Some(b'e' | b'E') = self.json().get(self.at) {
            self.at += 1;
            if let Some(b'+' | b'-') = self.json().get(self.at) {
                self.at += 1;
            }
            self.digits(start)?;
        }
        Ok(())
    }

    fn digits(&mut self, number: usize) -> Result<(), ParseError> {
        let start = self.at;
        while let Some(b'0'..=b'9') = self.json().get(self.at) {
            self.at += 1;
        }
        if self.at == start {
            return Err(self.error_at(number, "a number that lacks digits"));
        }
        Ok(())
    }

    fn literal(&mut self, literal: &str) -> Result<(), ParseError> {
        if !self.json()[self.at..].starts_with(literal.as_bytes()) {
            return Err(self.unexpected("a value"));
        }
        self.at += literal.len();
        Ok(())
    }

    /// Skips an escape and returns its end.
    fn escape(&self, at: usize) -> Result<usize, ParseError> {
        match self.json().get(at + 1) {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => Ok(at + 2),
            Some(b'u') => {
                let unit = self.hex(at)?;
                match unit {
                    0xd800..=0xdbff if self.json().get(at + 6..at + 8) == Some(b"\\u") => {
                        match self.hex(at + 6)? {
                            0xdc00..=0xdfff => Ok(at + 12),
                            _ => Err(self.error_at(at, "a surrogate without its pair")),
                        }
                    }
                    0xd800..=0xdfff => Err(self.error_at(at, "a surrogate without its pair")),
                    _ => Ok(at + 6),
                }
            }
            _ => Err(self.error_at(at, "an escape that JSON does not have")),
        }
    }

    fn hex(&self, escape: usize) -> Result<u32, ParseError> {
        self.json()
            .get(escape + 2..escape + 6)
            .and_then(|digits| {
                digits.iter().try_fold(0, |unit, &digit| {
                    Some(unit << 4 | char::from(digit).to_digit(16)?)
                })
            })
            .ok_or_else(|| self.error_at(escape, "`\\u` without its four hexadecimal digits"))
    }
}

fn unescaped(inner: &[u8]) -> serde_json::Result<String> {
    serde_json::from_slice(&[b"\"", inner, b"\""].concat())
}
