//! The scanner's steps for strings, numbers and literals.

use std::borrow::Cow;

use super::scan::{Scanner, utf8};
use super::strings::{closing_quote, has_controls, next_special};
use crate::parse::ParseError;

/// A string of JSON text, without its quotes and with its escapes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RawStr<'a> {
    inner: &'a [u8],
    /// How many bytes come before the first escape. (A boolean would do, but its padding makes
    /// every copy of the struct stall.)
    plain: usize,
}

impl<'a> RawStr<'a> {
    /// The string itself.
    pub(crate) fn decode(self) -> Cow<'a, str> {
        let inner = utf8(self.inner);
        if self.is_escaped() {
            Cow::Owned(serde_json::from_str(&format!("\"{inner}\"")).unwrap_or_default())
        } else {
            Cow::Borrowed(inner)
        }
    }

    /// Whether it is this string.
    #[inline(always)]
    pub(crate) fn is(self, other: &str) -> bool {
        self.inner == other.as_bytes() || self.is_escaped() && self.decodes_to(other)
    }

    /// Whether it is the empty string.
    pub(crate) fn is_empty(self) -> bool {
        self.inner.is_empty()
    }

    #[cold]
    fn decodes_to(self, other: &str) -> bool {
        self.decode() == other
    }

    fn is_escaped(self) -> bool {
        self.plain < self.inner.len()
    }
}

impl<'a> Scanner<'a> {
    /// Passes a string and returns it.
    #[inline(always)]
    pub(crate) fn string(&mut self) -> Result<RawStr<'a>, ParseError> {
        let start = self.at + 1;
        let end = next_special(self.json, start);
        if self.json.get(end) != Some(&b'"') || self.controls {
            return self.uncommon_string(start, end);
        }
        self.at = end + 1;
        let inner = &self.json[start..end];
        Ok(RawStr {
            inner,
            plain: inner.len(),
        })
    }

    /// Passes a value that is neither an object nor an array.
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

    /// Passes a string that has escapes, or no end, or that may have control characters.
    fn uncommon_string(&mut self, start: usize, special: usize) -> Result<RawStr<'a>, ParseError> {
        let escaped = self.json.get(special) == Some(&b'\\');
        let mut end = special;
        if escaped {
            end = closing_quote(self.json, special, |at| self.escape(at).ok());
        }
        match self.json.get(end) {
            Some(b'\\') => self.escape(end).map(drop)?,
            Some(_) => {}
            None => return Err(self.error("a string without its closing quote")),
        }
        let inner = &self.json[start..end];
        if self.controls && has_controls(inner) {
            let at = inner.iter().position(|&byte| byte < 0x20).unwrap_or(0);
            let message = "a control character inside a string, such as a line break: escape it";
            return Err(self.error_at(start + at, message));
        }
        self.at = end + 1;
        Ok(RawStr {
            inner,
            plain: special - start,
        })
    }

    fn number(&mut self) -> Result<(), ParseError> {
        let start = self.at;
        self.at += usize::from(self.json[self.at] == b'-');
        let leading = self.at;
        self.digits(start)?;
        if self.json[leading] == b'0' && self.at > leading + 1 {
            return Err(self.error_at(start, "a number with a leading zero"));
        }
        if self.json.get(self.at) == Some(&b'.') {
            self.at += 1;
            self.digits(start)?;
        }
        if let Some(b'e' | b'E') = self.json.get(self.at) {
            self.at += 1;
            if let Some(b'+' | b'-') = self.json.get(self.at) {
                self.at += 1;
            }
            self.digits(start)?;
        }
        Ok(())
    }

    fn digits(&mut self, number: usize) -> Result<(), ParseError> {
        let start = self.at;
        while let Some(b'0'..=b'9') = self.json.get(self.at) {
            self.at += 1;
        }
        if self.at == start {
            return Err(self.error_at(number, "a number that lacks digits"));
        }
        Ok(())
    }

    fn literal(&mut self, literal: &str) -> Result<(), ParseError> {
        if !self.json[self.at..].starts_with(literal.as_bytes()) {
            return Err(self.unexpected("a value"));
        }
        self.at += literal.len();
        Ok(())
    }

    /// Passes an escape and returns where it ends.
    fn escape(&self, at: usize) -> Result<usize, ParseError> {
        match self.json.get(at + 1) {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => Ok(at + 2),
            Some(b'u') => {
                let unit = self.hex(at)?;
                match unit {
                    0xd800..=0xdbff if self.json.get(at + 6..at + 8) == Some(b"\\u") => {
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
        self.json
            .get(escape + 2..escape + 6)
            .and_then(|digits| {
                digits.iter().try_fold(0, |unit, &digit| {
                    Some(unit << 4 | char::from(digit).to_digit(16)?)
                })
            })
            .ok_or_else(|| self.error_at(escape, "`\\u` without its four hexadecimal digits"))
    }
}
