//! Rewrites operands: see [`expression`](super::expression).

use alloc::format;
use alloc::string::String;

use super::lexer::{Kind, Token};
use super::parser::{Level, Parser, Piece};
use super::source::Fault;

impl Parser<'_, '_> {
    /// An operand with its filters and tests.
    pub(super) fn filtered(&mut self) -> Result<Piece, Fault> {
        let mut piece = self.signed()?;
        loop {
            if self.sign_of(&["|"]).is_some() {
                let mut text = piece.piped().into_owned();
                self.write_next(&mut text, "");
                self.filter(&mut text)?;
                piece = Piece {
                    flat: false,
                    ..Piece::new(text, Level::Piped)
                };
            } else if self.is_name("is") {
                let mut text = piece.piped().into_owned();
                self.write_next(&mut text, " ");
                if self.is_name("not") {
                    self.write_next(&mut text, " ");
                }
                text.push(' ');
                self.write_name(&mut text, "the name of a test")?;
                if self.sign_of(&["("]).is_some() {
                    self.args(&mut text, None)?;
                } else if self.is_operand_of_test() {
                    let operand = self.signed()?;
                    text.push_str(&format!("({})", operand.text));
                }
                piece = Piece::new(text, Level::Piped);
            } else {
                return Ok(piece);
            }
        }
    }

    /// The name and the arguments of a filter.
    pub(super) fn filter(&mut self, out: &mut String) -> Result<(), Fault> {
        self.write_name(out, "the name of a filter")?;
        if self.sign_of(&["("]).is_some() {
            self.args(out, None)?;
        }
        Ok(())
    }

    fn is_operand_of_test(&self) -> bool {
        self.peek().is_some_and(|token| match token.kind {
            Kind::Name => !matches!(token.text, "and" | "or" | "else" | "is"),
            Kind::Number | Kind::Text => true,
            Kind::Sign => matches!(token.text, "+" | "-" | "[" | "{"),
        })
    }

    /// An operand with its leading minus signs.
    fn signed(&mut self) -> Result<Piece, Fault> {
        let mut text = String::new();
        let mut count = 0_usize;
        while self.sign_of(&["-"]).is_some() {
            self.skip_sign("-", &mut text);
            count += 1;
        }
        let piece = self.operand()?;
        if count == 0 {
            return Ok(piece);
        }
        text.push_str(if count % 2 == 1 { "-" } else { "--" });
        text.push_str(&piece.text);
        Ok(Piece {
            number: true,
            literal: piece.literal,
            ..Piece::new(text, Level::Piped)
        })
    }

    /// A primary with its attributes, items and calls.
    fn operand(&mut self) -> Result<Piece, Fault> {
        let first = self.at;
        let mut piece = self.primary()?;
        // The last name, if a call may follow it.
        let is_name = self.at == first + 1 && self.tokens[first].kind == Kind::Name;
        let mut callee = (is_name && !piece.literal).then(|| self.tokens[first].text);
        loop {
            let Some(sign) = self.sign_of(&[".", "[", "("]) else {
                return Ok(piece);
            };
            let mut text = piece.text;
            let mut flat = piece.flat;
            let called = callee.take();
            match sign {
                "." => {
                    self.write_next(&mut text, "");
                    let token = self.peek().filter(|token| token.kind != Kind::Text);
                    match token.map(|token| (token.kind, token.text)) {
                        Some((Kind::Name, name)) => {
                            callee = Some(name);
                            self.write_next(&mut text, "");
                        }
                        Some((Kind::Number, digits)) if is_small(digits) => {
                            self.write_next(&mut text, "");
                        }
                        _ => return Err(self.unexpected("an attribute")),
                    }
                }
                "[" => text = self.subscript(text)?,
                _ => {
                    self.args(&mut text, Some(called.unwrap_or_default()))?;
                    flat = false;
                }
            }
            piece = Piece {
                flat,
                ..Piece::new(text, Level::Primary)
            };
        }
    }

    /// An item or a slice of `base`.
    fn subscript(&mut self, base: String) -> Result<String, Fault> {
        let mut breaks = String::new();
        self.skip_sign("[", &mut breaks);
        let mut parts = [None, None, None];
        let mut colons = 0;
        loop {
            match self.sign_of(&[":", "]"]) {
                Some(":") if colons < 2 => {
                    self.skip_sign(":", &mut breaks);
                    colons += 1;
                }
                Some("]") => break,
                _ if parts[colons].is_none() => parts[colons] = Some(self.expression()?),
                _ => return Err(self.unexpected("`]`")),
            }
        }
        self.skip_sign("]", &mut breaks);
        if colons > 0 {
            let [start, stop, step] = parts.map(|part| match part {
                Some(part) => part.text,
                None => "none".into(),
            });
            return Ok(format!(
                "({base}|op.slice({breaks}{start}, {stop}, {step}))"
            ));
        }
        let [Some(key), ..] = parts else {
            return Err(self.unexpected("a subscript"));
        };
        let is_plain = key.literal && (!key.number || is_small(key.text.trim()));
        Ok(if is_plain {
            format!("{base}[{breaks}{}]", key.text)
        } else {
            format!("({base}|op.item({breaks}{}))", key.text)
        })
    }

    /// The arguments of a call or a filter. `callee` is the name of a called function, and `None` for
    /// a filter. A call may store its arguments in a variable or a loop.
    fn args(&mut self, out: &mut String, callee: Option<&str>) -> Result<(), Fault> {
        self.write_next(out, "");
        let mut is_first = true;
        while self.sign_of(&[")"]).is_none() {
            if !is_first {
                self.expect(",", out)?;
                if self.sign_of(&[")"]).is_some() {
                    break;
                }
                out.push(' ');
            }
            is_first = false;
            let splat = self.sign_of(&["**", "*"]);
            if splat.is_some() {
                self.write_next(out, "");
            }
            let is_keyword = |pair: &[Token<'_>]| {
                pair[0].kind == Kind::Name && pair[1].kind == Kind::Sign && pair[1].text == "="
            };
            let pair = self.tokens.get(self.at..self.at + 2);
            if splat.is_none() && pair.is_some_and(is_keyword) {
                self.write_next(out, "");
                self.write_next(out, "");
            }
            let piece = self.expression()?;
            match (splat, callee) {
                (Some(_), _) => out.push_str(&format!("({}|op.splat)", piece.piped())),
                (None, None) => out.push_str(&piece.text),
                // `loop.changed` stores its argument, which must not contain the loop itself.
                (None, Some("changed")) => {
                    out.push_str(&format!("{}|op.scalar", piece.piped()));
                }
                (None, Some(_)) => out.push_str(&piece.kept()),
            }
        }
        self.expect(")", out)
    }

    fn primary(&mut self) -> Result<Piece, Fault> {
        let Some(token) = self.peek().copied() else {
            return Err(self.unexpected("an expression"));
        };
        let mut text = String::new();
        let literal = |text, number| Piece {
            number,
            literal: true,
            ..Piece::new(text, Level::Primary)
        };
        match (token.kind, token.text) {
            (Kind::Name, "and" | "or" | "not" | "if" | "else" | "in" | "is") => {
                Err(self.unexpected("an expression"))
            }
            (Kind::Name, name) => {
                self.write_next(&mut text, "");
                let is_constant =
                    matches!(name, "true" | "True" | "false" | "False" | "none" | "None");
                Ok(if is_constant {
                    literal(text, false)
                } else {
                    Piece::new(text, Level::Primary)
                })
            }
            (Kind::Number, _) => {
                self.write_next(&mut text, "");
                Ok(literal(text, true))
            }
            (Kind::Text, _) => {
                while self.peek().is_some_and(|token| token.kind == Kind::Text) {
                    let space = if text.is_empty() { "" } else { " " };
                    self.write_next(&mut text, space);
                }
                let is_short = text.len() <= SHORT;
                Ok(Piece {
                    literal: is_short,
                    ..Piece::new(text, Level::Primary)
                })
            }
            (Kind::Sign, "(") => self.parenthesized(),
            (Kind::Sign, "[") => self.list(),
            (Kind::Sign, "{") => self.map(),
            _ => Err(self.unexpected("an expression")),
        }
    }

    /// A tuple, or an expression in parentheses.
    fn parenthesized(&mut self) -> Result<Piece, Fault> {
        let mut text = String::new();
        self.write_next(&mut text, "");
        let mut only = None;
        let mut is_tuple = false;
        let mut literals = true;
        while self.sign_of(&[")"]).is_none() {
            if only.is_some() {
                is_tuple = true;
                self.expect(",", &mut text)?;
                if self.sign_of(&[")"]).is_some() {
                    break;
                }
                text.push(' ');
            }
            let item = self.expression()?;
            text.push_str(&item.text);
            literals &= item.literal;
            only = Some(item);
        }
        self.write_next(&mut text, "");
        match only {
            Some(only) if !is_tuple => Ok(Piece {
                text,
                level: Level::Primary,
                ..only
            }),
            _ => Ok(Piece {
                flat: literals,
                literals,
                ..Piece::new(text, Level::Primary)
            }),
        }
    }

    fn list(&mut self) -> Result<Piece, Fault> {
        let mut text = String::new();
        self.write_next(&mut text, "");
        let mut is_first = true;
        let mut literals = true;
        while self.sign_of(&["]"]).is_none() {
            if !is_first {
                self.expect(",", &mut text)?;
                if self.sign_of(&["]"]).is_some() {
                    break;
                }
                text.push(' ');
            }
            is_first = false;
            let item = self.expression()?;
            text.push_str(&item.text);
            literals &= item.literal;
        }
        self.write_next(&mut text, "");
        Ok(Piece {
            flat: literals,
            literals,
            ..Piece::new(text, Level::Primary)
        })
    }

    fn map(&mut self) -> Result<Piece, Fault> {
        // The space keeps the bracket from being read as part of a delimiter.
        let mut text = String::from(" ");
        self.write_next(&mut text, "");
        let mut is_first = true;
        let mut flat = true;
        while self.sign_of(&["}"]).is_none() {
            if !is_first {
                self.expect(",", &mut text)?;
                if self.sign_of(&["}"]).is_some() {
                    break;
                }
                text.push(' ');
            }
            is_first = false;
            let key = self.expression()?;
            if key.literal {
                text.push_str(&key.text);
            } else {
                text.push_str(&format!("{}|op.key", key.piped()));
            }
            self.expect(":", &mut text)?;
            text.push(' ');
            let value = self.expression()?;
            text.push_str(&value.text);
            flat &= value.literal;
        }
        self.write_next(&mut text, "");
        text.push(' ');
        Ok(Piece {
            flat,
            ..Piece::new(text, Level::Primary)
        })
    }
}

/// An index that is cheap even for a string.
fn is_small(digits: &str) -> bool {
    digits.len() <= 4 && digits.bytes().all(|b| b.is_ascii_digit())
}

/// The maximum length of a literal whose comparison is not counted, with its quotes.
const SHORT: usize = 66;
