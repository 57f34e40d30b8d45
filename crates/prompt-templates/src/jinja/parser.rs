//! Reads the tokens of a tag, and represents the pieces of the rewritten text.

use alloc::borrow::Cow;
use alloc::format;
use alloc::string::String;

use super::lexer::{Kind, Token};
use super::source::Fault;

/// Reads the tokens of one tag.
pub(super) struct Parser<'t, 's> {
    pub(super) tokens: &'t [Token<'s>],
    pub(super) at: usize,
    /// The end of the tag in the source.
    end: usize,
}

/// A piece of a rewritten expression.
#[derive(Debug)]
pub(super) struct Piece {
    pub(super) text: String,
    pub(super) level: Level,
    /// It adds no nesting: its value is nested no deeper than its variables.
    pub(super) flat: bool,
    /// It is a number, or fails.
    pub(super) number: bool,
    /// It is a short literal, with which a comparison needs no count.
    pub(super) literal: bool,
    /// It is a list of such literals.
    pub(super) literals: bool,
}

/// What may follow a piece.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Level {
    /// Anything.
    Primary,
    /// Filters and operators.
    Piped,
    /// Operators.
    Loose,
}

impl Piece {
    pub(super) fn new(text: String, level: Level) -> Self {
        Self {
            text,
            level,
            flat: true,
            number: false,
            literal: false,
            literals: false,
        }
    }

    /// The piece as the operand of a filter.
    pub(super) fn piped(&self) -> Cow<'_, str> {
        match self.level {
            Level::Loose => Cow::Owned(format!("({})", self.text)),
            _ => Cow::Borrowed(&self.text),
        }
    }

    /// The piece as a value to store.
    pub(super) fn kept(&self) -> Cow<'_, str> {
        if self.flat {
            Cow::Borrowed(&self.text)
        } else {
            Cow::Owned(format!("{}|op.keep", self.piped()))
        }
    }

    /// The piece as the iterable of a loop.
    pub(super) fn each(&self) -> String {
        let filter = if self.flat {
            "op.each"
        } else {
            "op.keep|op.each"
        };
        format!("{}|{filter}", self.piped())
    }

    pub(super) fn filtered(&self, filter: &str, args: &str) -> Self {
        let text = format!("{}|{filter}({args})", self.piped());
        Self::new(text, Level::Piped)
    }
}

impl<'t, 's> Parser<'t, 's> {
    pub(super) fn new(tokens: &'t [Token<'s>], end: usize) -> Self {
        Self { tokens, at: 0, end }
    }

    pub(super) fn is_at_end(&self) -> bool {
        self.at == self.tokens.len()
    }

    pub(super) fn peek(&self) -> Option<&'t Token<'s>> {
        self.tokens.get(self.at)
    }

    pub(super) fn is_name(&self, name: &str) -> bool {
        self.peek()
            .is_some_and(|token| token.kind == Kind::Name && token.text == name)
    }

    /// The next sign, if it is one of these.
    pub(super) fn sign_of<'l>(&self, signs: &[&'l str]) -> Option<&'l str> {
        let token = self.peek().filter(|token| token.kind == Kind::Sign)?;
        signs.iter().find(|sign| **sign == token.text).copied()
    }

    /// Copies the next token with its line breaks.
    pub(super) fn write_next(&mut self, out: &mut String, space: &str) {
        self.write_breaks(out);
        if let Some(token) = self.peek() {
            out.push_str(space);
            out.push_str(token.text);
            self.at += 1;
        }
    }

    pub(super) fn write_name(&mut self, out: &mut String, what: &str) -> Result<(), Fault> {
        match self.peek() {
            Some(token) if token.kind == Kind::Name => {
                self.write_next(out, "");
                Ok(())
            }
            _ => Err(self.unexpected(what)),
        }
    }

    pub(super) fn expect(&mut self, sign: &str, out: &mut String) -> Result<(), Fault> {
        if self.sign_of(&[sign]).is_none() {
            return Err(self.unexpected(&format!("`{sign}`")));
        }
        self.write_next(out, "");
        Ok(())
    }

    pub(super) fn unexpected(&self, wanted: &str) -> Fault {
        match self.peek() {
            Some(token) => Fault::syntax(
                token.at,
                format!("unexpected `{:.20}`, expected {wanted}", token.text),
            ),
            None => Fault::syntax(self.end, format!("expected {wanted}")),
        }
    }

    pub(super) fn write_breaks(&self, out: &mut String) {
        let breaks = self.peek().map_or(0, |token| token.breaks);
        out.extend(core::iter::repeat_n('\n', breaks));
    }

    /// Skips an operator of one or two words, and keeps its line breaks.
    pub(super) fn skip_sign(&mut self, sign: &str, out: &mut String) {
        for _ in sign.split(' ') {
            self.write_breaks(out);
            self.at += 1;
        }
    }
}
