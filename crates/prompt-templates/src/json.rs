//! Reads and prints JSON text as Python does, for tools and tool calls.

use alloc::string::String;
use alloc::vec::Vec;

use crate::error::{Error, ErrorKind};
use crate::python::{write_float, write_json_string};

/// Reprints JSON text like Python's `json.dumps(…, ensure_ascii=False)`, on one line or with an
/// indentation.
///
/// # Errors
///
/// [`ErrorKind::Tools`] if the text is not JSON.
pub(crate) fn dumps(json: &str, indent: Option<usize>) -> Result<String, Error> {
    let mut reader = Reader { json, at: 0 };
    let mut out = String::with_capacity(json.len() + json.len() / 4);
    reader.value(
        &mut Printer {
            out: &mut out,
            indent,
        },
        0,
    )?;
    reader.end()?;
    Ok(out)
}

/// A string in JSON.
pub(crate) fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    write_json_string(&mut out, text, false);
    out
}

/// The members of a JSON object, each value as its JSON text.
///
/// # Errors
///
/// [`ErrorKind::Tools`] if the text is not a JSON object.
pub(crate) fn members(json: &str) -> Result<Vec<(String, &str)>, Error> {
    let mut reader = Reader { json, at: 0 };
    let mut members = Vec::new();
    reader.expect(b'{')?;
    let mut ignored = String::new();
    while !reader.take(b'}') {
        if !members.is_empty() {
            reader.expect(b',')?;
        }
        let key = reader.string()?;
        reader.expect(b':')?;
        reader.space();
        let start = reader.at;
        reader.value(
            &mut Printer {
                out: &mut ignored,
                indent: None,
            },
            1,
        )?;
        ignored.clear();
        members.push((key, &json[start..reader.at]));
    }
    reader.end()?;
    Ok(members)
}

/// The text of a JSON string; `None` for any other JSON.
pub(crate) fn text(json: &str) -> Option<String> {
    let mut reader = Reader { json, at: 0 };
    let text = reader.string().ok()?;
    reader.end().ok().map(|()| text)
}

struct Printer<'o> {
    out: &'o mut String,
    indent: Option<usize>,
}

impl Printer<'_> {
    fn separate(&mut self, first: bool, depth: usize) {
        match (first, self.indent) {
            (true, None) => {}
            (false, None) => self.out.push_str(", "),
            (first, Some(_)) => {
                self.out.push_str(if first { "" } else { "," });
                self.line(depth + 1);
            }
        }
    }

    fn close(&mut self, empty: bool, depth: usize, bracket: char) {
        if !empty {
            self.line(depth);
        }
        self.out.push(bracket);
    }

    fn line(&mut self, depth: usize) {
        if let Some(indent) = self.indent {
            self.out.push('\n');
            self.out.extend(core::iter::repeat_n(' ', indent * depth));
        }
    }
}

struct Reader<'j> {
    json: &'j str,
    at: usize,
}

impl Reader<'_> {
    fn value(&mut self, to: &mut Printer<'_>, depth: usize) -> Result<(), Error> {
        if depth > MAX_DEPTH {
            return Err(invalid("the JSON is nested too deeply"));
        }
        self.space();
        match self.json.as_bytes().get(self.at) {
            Some(b'{') => self.list(to, depth, [b'{', b'}'], |reader, to| {
                let key = reader.string()?;
                write_json_string(to.out, &key, false);
                to.out.push_str(": ");
                reader.expect(b':')?;
                reader.value(to, depth + 1)
            }),
            Some(b'[') => self.list(to, depth, [b'[', b']'], |reader, to| {
                reader.value(to, depth + 1)
            }),
            Some(b'"') => {
                let text = self.string()?;
                write_json_string(to.out, &text, false);
                Ok(())
            }
            _ => self.scalar(to),
        }
    }

    fn list(
        &mut self,
        to: &mut Printer<'_>,
        depth: usize,
        [open, close]: [u8; 2],
        mut item: impl FnMut(&mut Self, &mut Printer<'_>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        self.expect(open)?;
        to.out.push(char::from(open));
        let mut empty = true;
        while !self.take(close) {
            if !empty {
                self.expect(b',')?;
            }
            to.separate(empty, depth);
            item(self, to)?;
            empty = false;
        }
        to.close(empty, depth, char::from(close));
        Ok(())
    }

    fn scalar(&mut self, to: &mut Printer<'_>) -> Result<(), Error> {
        let rest = &self.json[self.at..];
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && !"+-.".contains(c));
        let word = &rest[..end.unwrap_or(rest.len())];
        self.at += word.len();
        let digits = word.strip_prefix('-').unwrap_or(word);
        let is_number = digits.starts_with(|c: char| c.is_ascii_digit());
        match word {
            "true" | "false" | "null" => to.out.push_str(word),
            _ if is_number && digits.bytes().all(|b| b.is_ascii_digit()) => to.out.push_str(word),
            _ if is_number => match word.parse() {
                Ok(float) => write_float(to.out, float),
                Err(_) => return Err(invalid("a number in the JSON is malformed")),
            },
            _ => return Err(invalid("the text is not JSON")),
        }
        Ok(())
    }

    fn string(&mut self) -> Result<String, Error> {
        self.expect(b'"')?;
        let mut text = String::new();
        loop {
            let rest = &self.json[self.at..];
            let at = rest
                .find(['"', '\\'])
                .ok_or_else(|| invalid("a string does not end"))?;
            text.push_str(&rest[..at]);
            self.at += at + 1;
            if rest.as_bytes()[at] == b'"' {
                return Ok(text);
            }
            text.push(self.escape()?);
        }
    }

    /// The character after a backslash. A lone surrogate becomes the replacement character.
    fn escape(&mut self) -> Result<char, Error> {
        let byte = self.json.as_bytes().get(self.at).copied();
        self.at += 1;
        Ok(match byte {
            Some(b @ (b'"' | b'\\' | b'/')) => char::from(b),
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => {
                let high = self.hex()?;
                let is_pair = (0xd800..0xdc00).contains(&high)
                    && self.json.as_bytes()[self.at..].starts_with(b"\\u");
                if is_pair {
                    self.at += 2;
                    let low = self.hex()?;
                    let mut units = char::decode_utf16([high, low]);
                    units
                        .next()
                        .and_then(Result::ok)
                        .unwrap_or(char::REPLACEMENT_CHARACTER)
                } else {
                    char::from_u32(u32::from(high)).unwrap_or(char::REPLACEMENT_CHARACTER)
                }
            }
            _ => return Err(invalid("a string contains a malformed escape")),
        })
    }

    fn hex(&mut self) -> Result<u16, Error> {
        let digits = self.json.get(self.at..self.at + 4);
        self.at += 4;
        digits
            .filter(|digits| digits.bytes().all(|b| b.is_ascii_hexdigit()))
            .and_then(|digits| u16::from_str_radix(digits, 16).ok())
            .ok_or_else(|| invalid("a string contains a malformed escape"))
    }

    fn expect(&mut self, byte: u8) -> Result<(), Error> {
        if self.take(byte) {
            Ok(())
        } else {
            Err(invalid("the JSON has an unexpected character or type"))
        }
    }

    fn take(&mut self, byte: u8) -> bool {
        self.space();
        let found = self.json.as_bytes().get(self.at) == Some(&byte);
        self.at += usize::from(found);
        found
    }

    fn end(&mut self) -> Result<(), Error> {
        self.space();
        if self.at == self.json.len() {
            Ok(())
        } else {
            Err(invalid("more text follows the JSON"))
        }
    }

    fn space(&mut self) {
        let rest = &self.json.as_bytes()[self.at..];
        self.at += rest
            .iter()
            .take_while(|b| matches!(b, b' ' | b'\n' | b'\r' | b'\t'))
            .count();
    }
}

fn invalid(detail: &'static str) -> Error {
    Error::new(ErrorKind::Tools, detail)
}

const MAX_DEPTH: usize = 128;

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::*;

    #[test]
    fn prints_as_python_does() {
        let json = r#" {"a":[1,-2.50,1e20,true,null,{}],"b":"\u00e9\ud83d\ude00\/\"\n","c":[]} "#;
        assert_eq!(
            dumps(json, None).unwrap(),
            r#"{"a": [1, -2.5, 1e+20, true, null, {}], "b": "é😀/\"\n", "c": []}"#,
        );
        assert_eq!(
            dumps(r#"{"a":[1],"b":{}}"#, Some(2)).unwrap(),
            "{\n  \"a\": [\n    1\n  ],\n  \"b\": {}\n}",
        );
    }

    #[test]
    fn reads_members_of_objects() {
        let found = members(r#"{"name": "f", "parameters": {"x": [1, 2]}}"#).unwrap();
        assert_eq!(
            found,
            vec![
                ("name".into(), "\"f\""),
                ("parameters".into(), r#"{"x": [1, 2]}"#)
            ]
        );
        assert_eq!(text("\"f\"").as_deref(), Some("f"));
        assert_eq!(text("1"), None);
    }

    #[test]
    fn text_that_is_not_json_is_rejected() {
        let deep = "[".repeat(100_000);
        for json in [
            "",
            "{",
            "[1,]",
            "{\"a\" 1}",
            "\"\\ud83",
            "\"a",
            "nul",
            "1 2",
            "-",
            "1x",
            "\"\\u00é\"",
            &deep,
        ] {
            assert_eq!(
                dumps(json, None).unwrap_err().kind(),
                ErrorKind::Tools,
                "{json:.20}"
            );
        }
    }
}
