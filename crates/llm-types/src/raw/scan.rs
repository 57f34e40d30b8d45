//! A scanner that validates JSON without building anything from it.

use super::numbers::closing_bracket;
use super::scalar::RawStr;
use crate::parse::ParseError;

/// A cursor over JSON text.
///
/// Each step validates what it scans according to RFC 8259, except the content of a string that is
/// skipped. Such a string ends at the next quote after an even number of backslashes; its reader
/// checks escapes and control characters.
#[derive(Clone, Debug)]
pub(crate) struct Scanner<'a> {
    pub(super) text: &'a str,
    pub(super) at: usize,
    /// Whether skipped strings are checked, too.
    pub(super) strict: bool,
    /// Whether the text has been validated before, so that numbers need no second look.
    pub(super) is_valid: bool,
}

impl<'a> Scanner<'a> {
    /// Creates a scanner over bytes, which must be UTF-8.
    pub(crate) fn new(json: &'a [u8]) -> Result<Self, ParseError> {
        if let Ok(text) = simdutf8::basic::from_utf8(json) {
            return Ok(Self::of(text));
        }
        // Slower, but it reports the position.
        std::str::from_utf8(json).map(Self::of).map_err(|error| {
            let at = error.valid_up_to();
            ParseError::at(json, at, "the text is not UTF-8")
        })
    }

    pub(crate) fn of(text: &'a str) -> Self {
        Self {
            text,
            at: 0,
            strict: false,
            is_valid: false,
        }
    }

    /// Creates a scanner over text that has been validated.
    pub(super) fn of_valid(text: &'a str) -> Self {
        Self {
            is_valid: true,
            ..Self::of(text)
        }
    }

    /// Checks that the text is valid JSON of any type, including the contents of its strings.
    pub(crate) fn check(json: &'a [u8]) -> Result<(), ParseError> {
        let mut scanner = Self::new(json)?;
        scanner.strict = true;
        scanner.skip()?;
        scanner.end()
    }

    /// The next byte that is not white space.
    #[inline]
    pub(crate) fn peek(&mut self) -> Option<u8> {
        while let Some(&byte) = self.json().get(self.at) {
            if !matches!(byte, b' ' | b'\n' | b'\r' | b'\t') {
                return Some(byte);
            }
            self.at += 1;
        }
        None
    }

    /// The position of the cursor, in bytes.
    pub(crate) fn position(&self) -> usize {
        self.at
    }

    /// Consumes the opening bracket of an object, or reports what was found instead.
    pub(crate) fn open_object(&mut self) -> Result<(), ParseError> {
        match self.peek() {
            Some(b'{') => {
                self.at += 1;
                Ok(())
            }
            Some(byte) => {
                Err(self.error(format!("expected a JSON object, found {}", describe(byte))))
            }
            None => Err(self.error("expected a JSON object, found nothing")),
        }
    }

    /// The next key of an open object, or its end.
    #[inline(always)]
    pub(crate) fn next_key(&mut self, first: &mut bool) -> Result<Option<RawStr<'a>>, ParseError> {
        if self.next_item(first, b'}')? {
            self.key().map(Some)
        } else {
            Ok(None)
        }
    }

    /// Consumes a key and its colon.
    #[inline(always)]
    pub(crate) fn key(&mut self) -> Result<RawStr<'a>, ParseError> {
        if self.peek() != Some(b'"') {
            return Err(self.unexpected("a key in double quotes"));
        }
        let key = self.string()?;
        if self.peek() != Some(b':') {
            return Err(self.unexpected("`:` after the key"));
        }
        self.at += 1;
        Ok(key)
    }

    /// Consumes the comma before the next item, or the closing bracket.
    #[inline(always)]
    pub(crate) fn next_item(&mut self, first: &mut bool, close: u8) -> Result<bool, ParseError> {
        let found = self.peek();
        if found == Some(close) {
            self.at += 1;
            return Ok(false);
        }
        if std::mem::take(first) {
            return match found {
                Some(_) => Ok(true),
                None => Err(self.unexpected("an item or a closing bracket")),
            };
        }
        if found != Some(b',') {
            return Err(self.unexpected(if close == b'}' {
                "`,` or `}`"
            } else {
                "`,` or `]`"
            }));
        }
        let comma = self.at;
        self.at += 1;
        if self.peek() == Some(close) {
            return Err(self.error_at(comma, "trailing comma"));
        }
        Ok(true)
    }

    /// Consumes the opening bracket of an array, if there is one.
    pub(crate) fn open_array(&mut self) -> bool {
        let opens = self.peek() == Some(b'[');
        self.at += usize::from(opens);
        opens
    }

    /// Skips any value. Returns its text.
    #[inline]
    pub(crate) fn value(&mut self) -> Result<&'a str, ParseError> {
        self.peek();
        let start = self.at;
        self.skip()?;
        Ok(&self.text[start..self.at])
    }

    /// Skips any value.
    pub(crate) fn skip(&mut self) -> Result<(), ParseError> {
        match self.peek() {
            Some(b'{' | b'[') => self.nested(),
            _ => self.scalar(),
        }
    }

    /// Checks that nothing follows.
    pub(crate) fn end(&mut self) -> Result<(), ParseError> {
        match self.peek() {
            None => Ok(()),
            Some(_) => Err(self.error("text after the end of the JSON value")),
        }
    }

    #[cold]
    pub(super) fn unexpected(&mut self, expected: &str) -> ParseError {
        match self.peek() {
            Some(byte) => self.error(format!("expected {expected}, found {}", describe(byte))),
            None => self.error(format!("expected {expected}, but the text ends here")),
        }
    }

    /// Skips an object or an array with its contents.
    fn nested(&mut self) -> Result<(), ParseError> {
        let mut open = Open::default();
        loop {
            // Skip a scalar, or enter a container.
            let opened = match self.peek() {
                Some(b'{') => Some(true),
                Some(b'[') => Some(false),
                _ => None,
            };
            if let Some(object) = opened {
                if !open.push(object) {
                    return Err(self.error("nested too deeply"));
                }
                self.at += 1;
                let end = match object {
                    true => None,
                    false if self.is_valid => flat_end(self.json(), self.at),
                    false => closing_bracket(self.json(), self.at),
                };
                if let Some(end) = end {
                    self.at = end + 1;
                } else if self.next_in(object, true)? {
                    continue;
                }
                open.pop();
            } else {
                self.scalar()?;
            }
            // Move to the next item. At the end of a container, continue with its parent.
            loop {
                let Some(object) = open.top() else {
                    return Ok(());
                };
                if self.next_in(object, false)? {
                    break;
                }
                open.pop();
            }
        }
    }

    fn next_in(&mut self, object: bool, mut first: bool) -> Result<bool, ParseError> {
        if object {
            self.next_key(&mut first).map(|key| key.is_some())
        } else {
            self.next_item(&mut first, b']')
        }
    }

    #[inline(always)]
    pub(super) fn json(&self) -> &'a [u8] {
        self.text.as_bytes()
    }

    pub(super) fn error(&self, message: impl Into<String>) -> ParseError {
        self.error_at(self.at, message)
    }

    #[cold]
    pub(super) fn error_at(&self, at: usize, message: impl Into<String>) -> ParseError {
        ParseError::at(self.json(), at, message)
    }
}

/// The open brackets: one bit each, set for objects.
#[derive(Default)]
struct Open {
    bits: u128,
    depth: u32,
}

impl Open {
    /// Adds a bracket; false if there are too many. The limit is that of serde_json, so that both
    /// accept the same texts.
    fn push(&mut self, object: bool) -> bool {
        if self.depth == MAX_DEPTH {
            return false;
        }
        self.bits = self.bits << 1 | u128::from(object);
        self.depth += 1;
        true
    }

    fn pop(&mut self) {
        self.bits >>= 1;
        self.depth -= 1;
    }

    fn top(&self) -> Option<bool> {
        (self.depth > 0).then_some(self.bits & 1 == 1)
    }
}

/// The offset of the closing bracket of a valid array, if no string or array is in it.
fn flat_end(json: &[u8], at: usize) -> Option<usize> {
    let rest = json.get(at..)?;
    let found = memchr::memchr3(b']', b'[', b'"', rest)?;
    (rest[found] == b']').then_some(at + found)
}

/// Describes what starts with this byte.
fn describe(byte: u8) -> String {
    match byte {
        b'{' => "an object".to_owned(),
        b'[' => "an array".to_owned(),
        b'"' => "a string".to_owned(),
        b'-' | b'0'..=b'9' => "a number".to_owned(),
        b'\'' => "a single quote: JSON strings have double quotes".to_owned(),
        0xef => "a byte-order mark or another character that is not JSON".to_owned(),
        0x21..=0x7e => format!("`{}`", char::from(byte)),
        _ => "a character that is not JSON".to_owned(),
    }
}

const MAX_DEPTH: u32 = 126;
