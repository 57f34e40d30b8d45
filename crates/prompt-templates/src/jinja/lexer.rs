//! The tokens of a tag, read exactly as minijinja 3 reads them.

use alloc::borrow::Cow;
use alloc::vec::Vec;

use super::source::Fault;

/// A token of a tag.
#[derive(Clone, Copy, Debug)]
pub(super) struct Token<'s> {
    pub(super) kind: Kind,
    pub(super) text: &'s str,
    /// The start in the source.
    pub(super) at: usize,
    /// The line breaks before it.
    pub(super) breaks: usize,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Kind {
    Name,
    Number,
    Sign,
    Text,
}

/// The content between the delimiters of a tag.
#[derive(Debug)]
pub(super) struct Tag<'s> {
    pub(super) tokens: Vec<Token<'s>>,
    /// The line breaks after the last token.
    pub(super) breaks: usize,
    /// The closing delimiter, with its white-space control.
    pub(super) close: &'s str,
    /// The offset after the closing delimiter.
    pub(super) end: usize,
}

/// Reads a tag whose content starts at `open`.
///
/// # Errors
///
/// If a tag is not closed, contains a character or text that Jinja does not support, or has
/// expressions that might exhaust the stack.
pub(super) fn tag<'s>(source: &'s str, open: usize, close: &str) -> Result<Tag<'s>, Fault> {
    let bytes = source.as_bytes();
    let mut tokens = Vec::new();
    let mut brackets = 0_usize;
    let mut breaks = 0;
    let mut at = open;
    loop {
        let rest = &source[at..];
        let Some(&byte) = bytes.get(at) else {
            return Err(Fault::syntax(open, "the tag is not closed"));
        };
        if byte.is_ascii_whitespace() {
            breaks += usize::from(byte == b'\n');
            at += 1;
            continue;
        }
        let control = usize::from(matches!(byte, b'-' | b'+'));
        if brackets == 0 && rest[control..].starts_with(close) {
            let end = at + control + close.len();
            return Ok(Tag {
                tokens,
                breaks,
                close: &source[at..end],
                end,
            });
        }
        let (kind, length) = match byte {
            b'\'' | b'"' => (Kind::Text, text(rest.as_bytes())),
            b'0'..=b'9' => {
                let is_index = bytes[..at].last() == Some(&b'.');
                (Kind::Number, Some(number(rest.as_bytes(), is_index)))
            }
            b'a'..=b'z' | b'A'..=b'Z' | b'_' => (Kind::Name, Some(name(rest.as_bytes()))),
            _ => (Kind::Sign, sign(rest.as_bytes())),
        };
        let Some(length) = length else {
            let detail: Cow<'static, str> = match kind {
                Kind::Text => "a string is not closed".into(),
                _ => "unexpected character".into(),
            };
            return Err(Fault::syntax(at, detail));
        };
        match byte {
            b'(' | b'[' | b'{' => brackets += 1,
            b')' | b']' | b'}' => {
                brackets = brackets
                    .checked_sub(1)
                    .ok_or_else(|| Fault::syntax(at, "unexpected closing bracket"))?;
            }
            _ => {}
        }
        tokens.push(Token {
            kind,
            text: &rest[..length],
            at,
            breaks,
        });
        if tokens.len() > MAX_TOKENS || brackets > MAX_DEPTH {
            return Err(Fault::complex(open));
        }
        breaks = 0;
        at += length;
    }
}

fn name(bytes: &[u8]) -> usize {
    let is_word = |b: &u8| b.is_ascii_alphanumeric() || *b == b'_';
    bytes.iter().take_while(|b| is_word(b)).count()
}

fn text(bytes: &[u8]) -> Option<usize> {
    let mut at = 1;
    loop {
        match *bytes.get(at)? {
            b'\\' => at += 2,
            b if b == bytes[0] => return Some(at + 1),
            _ => at += 1,
        }
    }
}

fn sign(bytes: &[u8]) -> Option<usize> {
    match bytes {
        [b'/', b'/', ..] | [b'*', b'*', ..] | [b'=' | b'!' | b'<' | b'>', b'=', ..] => Some(2),
        [sign, ..] if b"+-*/%.,:~|=<>()[]{}".contains(sign) => Some(1),
        _ => None,
    }
}

/// The length of a number. After a dot it is an index, which has no fraction.
fn number(bytes: &[u8], is_index: bool) -> usize {
    #[derive(Clone, Copy)]
    enum State {
        Radix,
        Integer,
        Fraction,
        Exponent,
        Power,
    }
    let radix = matches!(bytes, [b'0', b'b' | b'B' | b'o' | b'O' | b'x' | b'X', ..]);
    let is_hex = radix && matches!(bytes[1], b'x' | b'X');
    let (mut state, start) = if radix {
        (State::Radix, 2)
    } else {
        (State::Integer, 0)
    };
    let digits = bytes[start..].iter().take_while(|b| b.is_ascii_digit());
    let mut at = start + digits.count();
    while let Some(&byte) = bytes.get(at) {
        state = match (byte, state) {
            (b'.', State::Integer) if is_index => break,
            (b'.', State::Integer) => {
                let is_power = matches!(
                    bytes[at + 1..],
                    [b'e' | b'E', b'+' | b'-' | b'0'..=b'9', ..]
                );
                let next = bytes.get(at + 1);
                if !is_power && next.is_some_and(|b| b.is_ascii_alphabetic() || *b == b'_') {
                    break;
                }
                State::Fraction
            }
            (b'e' | b'E', State::Integer | State::Fraction) => State::Exponent,
            (b'+' | b'-' | b'0'..=b'9', State::Exponent) => State::Power,
            (b'0'..=b'9' | b'_', state) => state,
            (b'a'..=b'f' | b'A'..=b'F', State::Radix) if is_hex => state,
            _ => break,
        };
        at += 1;
    }
    at
}

// Each of these may cost frames of the compiler's stack, which is two megabytes on a thread. The
// published templates have at most 60 tokens in a tag, and a depth of 10.
const MAX_TOKENS: usize = 1_000;
const MAX_DEPTH: usize = 50;

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(source: &str) -> Vec<&str> {
        let tag = tag(source, 0, "%}").unwrap();
        tag.tokens.into_iter().map(|token| token.text).collect()
    }

    #[test]
    fn tokens_are_those_of_the_engine() {
        assert_eq!(
            texts(r#"a.0.1 1.5e-3 0xfF_0 1_0 'it\'s' "%}" ** // != { } -%}"#),
            [
                "a", ".", "0", ".", "1", "1.5e-3", "0xfF_0", "1_0", r"'it\'s'", "\"%}\"", "**",
                "//", "!=", "{", "}",
            ],
        );
        assert_eq!(texts("{'a': {}}%}"), ["{", "'a'", ":", "{", "}", "}"]);
        assert_eq!(
            texts("1.e5 1.x 1..2%}"),
            ["1.e5", "1", ".", "x", "1.", ".", "2"]
        );
    }

    #[test]
    fn what_is_not_closed_is_refused() {
        for source in ["a", "'a%}", "'a\\", "(a %}", "a ) %}", "é %}", "! %}"] {
            assert!(tag(source, 0, "%}").is_err(), "{source}");
        }
    }
}
