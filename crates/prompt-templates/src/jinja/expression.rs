//! Rewrites expressions, so that each operation that can grow, recurse or take long becomes a
//! filter of this crate, which counts its cost.
//!
//! `a + b * c` becomes `a|op.add(b|op.mul(c))`. The engine only runs operations that cost no more
//! than the fuel of their instructions: names, attributes, literals, arithmetic of numbers,
//! comparisons with short literals. The grammar is minijinja's, and the written text parses in only
//! one way.

use alloc::format;
use alloc::string::String;

use super::lexer::Kind;
use super::parser::{Level, Parser, Piece};
use super::source::Fault;

impl Parser<'_, '_> {
    /// A whole expression, with `if` and `else`.
    pub(super) fn expression(&mut self) -> Result<Piece, Fault> {
        let mut piece = self.condition()?;
        while self.is_name("if") {
            self.write_next(&mut piece.text, " ");
            let test = self.condition()?;
            piece.text.push(' ');
            piece.text.push_str(&test.text);
            if self.is_name("else") {
                self.write_next(&mut piece.text, " ");
                let other = self.condition()?;
                piece.text.push(' ');
                piece.text.push_str(&other.text);
                piece.flat &= other.flat;
            }
            piece = Piece {
                flat: piece.flat,
                ..Piece::new(piece.text, Level::Loose)
            };
        }
        Ok(piece)
    }

    /// An expression without `if`, as in `for` and `if`.
    pub(super) fn condition(&mut self) -> Result<Piece, Fault> {
        self.words("or", |parser| parser.words("and", Self::negation))
    }

    fn words(
        &mut self,
        word: &str,
        mut next: impl FnMut(&mut Self) -> Result<Piece, Fault>,
    ) -> Result<Piece, Fault> {
        let mut piece = next(self)?;
        while self.is_name(word) {
            let mut text = piece.text;
            self.write_next(&mut text, " ");
            let right = next(self)?;
            text.push(' ');
            text.push_str(&right.text);
            piece = Piece {
                flat: piece.flat && right.flat,
                ..Piece::new(text, Level::Loose)
            };
        }
        Ok(piece)
    }

    fn negation(&mut self) -> Result<Piece, Fault> {
        let mut text = String::new();
        let mut count = 0_usize;
        while self.is_name("not") {
            count += 1;
            if count <= 2 {
                self.write_next(&mut text, "");
                text.push(' ');
            } else {
                self.write_breaks(&mut text);
                self.at += 1;
            }
        }
        let piece = self.comparison()?;
        if count == 0 {
            return Ok(piece);
        }
        // Two are equivalent to any even number.
        if count > 2 && count % 2 == 1 {
            text.push_str("not ");
        }
        text.push_str(&piece.text);
        Ok(Piece::new(text, Level::Loose))
    }

    fn comparison(&mut self) -> Result<Piece, Fault> {
        let first = self.sum()?;
        let Some(sign) = self.comparison_sign()? else {
            return Ok(first);
        };
        let mut breaks = String::new();
        self.skip_sign(sign, &mut breaks);
        let second = self.sum()?;
        if self.comparison_sign()?.is_none() {
            return Ok(compare(sign, &first, &breaks, &second));
        }
        let mut args = format!("{breaks}'{sign}', {}", second.text);
        while let Some(sign) = self.comparison_sign()? {
            args.push_str(", ");
            self.skip_sign(sign, &mut args);
            let next = self.sum()?;
            args.push_str(&format!("'{sign}', {}", next.text));
        }
        Ok(first.filtered("op.chain", &args))
    }

    /// The next operator, which may have two words.
    fn comparison_sign(&self) -> Result<Option<&'static str>, Fault> {
        let Some(token) = self.peek() else {
            return Ok(None);
        };
        let sign = ["==", "!=", "<=", ">=", "<", ">"]
            .into_iter()
            .find(|sign| token.kind == Kind::Sign && token.text == *sign);
        if sign.is_some() {
            return Ok(sign);
        }
        match (token.kind, token.text) {
            (Kind::Name, "in") => Ok(Some("in")),
            (Kind::Name, "not") => match self.tokens.get(self.at + 1) {
                Some(next) if next.kind == Kind::Name && next.text == "in" => Ok(Some("not in")),
                _ => Err(self.unexpected("an operator")),
            },
            _ => Ok(None),
        }
    }

    fn sum(&mut self) -> Result<Piece, Fault> {
        let mut piece = self.concatenation()?;
        let mut more = String::new();
        while let Some(sign) = self.sign_of(&["+", "-"]) {
            let mut breaks = String::new();
            self.skip_sign(sign, &mut breaks);
            let right = self.concatenation()?;
            let is_number = sign == "-" || right.number || more.is_empty() && piece.number;
            if is_number {
                piece = added(piece, &mut more);
                let text = format!("{}{breaks} {sign} {}", piece.text, right.text);
                piece = Piece {
                    number: true,
                    ..Piece::new(text, Level::Loose)
                };
            } else {
                let comma = if more.is_empty() { "" } else { ", " };
                more.push_str(&format!("{comma}{breaks}{}", right.text));
                piece.flat &= right.flat;
            }
        }
        Ok(added(piece, &mut more))
    }

    fn concatenation(&mut self) -> Result<Piece, Fault> {
        let mut piece = self.product()?;
        let mut more = String::new();
        while self.sign_of(&["~"]).is_some() {
            if !more.is_empty() {
                more.push_str(", ");
            }
            self.skip_sign("~", &mut more);
            more.push_str(&self.product()?.text);
        }
        if !more.is_empty() {
            piece = piece.filtered("op.concat", &more);
        }
        Ok(piece)
    }

    fn product(&mut self) -> Result<Piece, Fault> {
        let mut piece = self.power()?;
        while let Some(sign) = self.sign_of(&["*", "/", "//", "%"]) {
            let mut breaks = String::new();
            self.skip_sign(sign, &mut breaks);
            let right = self.power()?;
            let is_number = sign != "*" || piece.number && right.number;
            piece = if is_number {
                let text = format!("{}{breaks} {sign} {}", piece.text, right.text);
                Piece {
                    number: true,
                    ..Piece::new(text, Level::Loose)
                }
            } else {
                Piece {
                    flat: piece.flat && right.flat,
                    ..piece.filtered("op.mul", &format!("{breaks}{}", right.text))
                }
            };
        }
        Ok(piece)
    }

    fn power(&mut self) -> Result<Piece, Fault> {
        let mut piece = self.filtered()?;
        while self.sign_of(&["**"]).is_some() {
            let mut text = piece.text;
            self.write_next(&mut text, " ");
            text.push(' ');
            text.push_str(&self.filtered()?.text);
            piece = Piece {
                number: true,
                ..Piece::new(text, Level::Loose)
            };
        }
        Ok(piece)
    }
}

/// One comparison. A comparison with a short literal needs no count.
fn compare(sign: &str, left: &Piece, breaks: &str, right: &Piece) -> Piece {
    let filter = match sign {
        "in" if right.literals => None,
        "not in" if right.literals => None,
        "in" => Some("op.in"),
        "not in" => Some("op.not_in"),
        _ if left.literal || right.literal => None,
        "==" => Some("op.eq"),
        "!=" => Some("op.ne"),
        "<" => Some("op.lt"),
        "<=" => Some("op.le"),
        ">" => Some("op.gt"),
        _ => Some("op.ge"),
    };
    match filter {
        Some(filter) => left.filtered(filter, &format!("{breaks}{}", right.text)),
        None => Piece::new(
            format!("{}{breaks} {sign} {}", left.text, right.text),
            Level::Loose,
        ),
    }
}

/// Adds the operands in `more` to `piece`, if there are any.
fn added(piece: Piece, more: &mut String) -> Piece {
    if more.is_empty() {
        return piece;
    }
    Piece {
        flat: piece.flat,
        ..piece.filtered("op.add", &core::mem::take(more))
    }
}
