//! [`CustomInput`]: the input of a custom tool within the arguments of a function.

use serde_json::{Map, Value};

/// Reads the text of `{"input": "…"}` while it arrives.
///
/// Other arguments are held, and read at the end: the only string of an object, or else the whole
/// text as it is.
#[derive(Debug, Default)]
pub(super) struct CustomInput {
    state: State,
    /// What was not yet read.
    rest: String,
}

#[derive(Debug, Default)]
enum State {
    /// Before the text.
    #[default]
    Before,
    /// In the text.
    Text,
    /// After the text.
    After,
    /// The arguments have another form.
    Other,
}

impl CustomInput {
    /// Adds a piece of the arguments and returns the piece of the input.
    pub(super) fn push(&mut self, arguments: &str) -> String {
        if matches!(self.state, State::After) {
            return String::new();
        }
        self.rest.push_str(arguments);
        if matches!(self.state, State::Before) {
            match text_start(&self.rest) {
                Start::At(at) => {
                    self.rest.drain(..at);
                    self.state = State::Text;
                }
                Start::Never => self.state = State::Other,
                Start::Unknown => {}
            }
        }
        match self.state {
            State::Text => self.read(false),
            _ => String::new(),
        }
    }

    /// Ends the arguments and returns the last piece of the input.
    pub(super) fn finish(&mut self) -> String {
        let piece = match self.state {
            State::After => String::new(),
            State::Text => self.read(true),
            State::Before | State::Other => other(std::mem::take(&mut self.rest)),
        };
        self.state = State::After;
        piece
    }

    /// Reads the text up to its end, or up to an escape that is not complete.
    fn read(&mut self, is_last: bool) -> String {
        let mut text = String::with_capacity(self.rest.len());
        let mut at = 0;
        while let Some(c) = self.rest[at..].chars().next() {
            match c {
                '"' => {
                    self.state = State::After;
                    self.rest.clear();
                    return text;
                }
                '\\' => match escape(&self.rest[at..]) {
                    Some((c, len)) => {
                        text.push(c);
                        at += len;
                    }
                    None if is_last => break,
                    None => {
                        self.rest.drain(..at);
                        return text;
                    }
                },
                c => {
                    text.push(c);
                    at += c.len_utf8();
                }
            }
        }
        self.rest.clear();
        text
    }
}

enum Start {
    At(usize),
    Never,
    Unknown,
}

/// Where the text starts: after `{"input": "`.
fn text_start(arguments: &str) -> Start {
    let mut rest = arguments;
    for token in ["{", "\"input\"", ":", "\""] {
        rest = rest.trim_start();
        match rest.strip_prefix(token) {
            Some(after) => rest = after,
            None if token.starts_with(rest) => return Start::Unknown,
            None => return Start::Never,
        }
    }
    Start::At(arguments.len() - rest.len())
}

/// The character of an escape at the beginning of a text, and the length of the escape; `None` if
/// the text ends before it.
fn escape(text: &str) -> Option<(char, usize)> {
    let escaped = text[1..].chars().next()?;
    let c = match escaped {
        'b' => '\u{8}',
        'f' => '\u{c}',
        'n' => '\n',
        'r' => '\r',
        't' => '\t',
        'u' => return unicode(text),
        other => other,
    };
    Some((c, 1 + escaped.len_utf8()))
}

fn unicode(text: &str) -> Option<(char, usize)> {
    let Some(high) = hex(text)? else {
        return Some((char::REPLACEMENT_CHARACTER, 2));
    };
    if let Some(c) = char::from_u32(high) {
        return Some((c, 6));
    }
    // A surrogate: the first half, if the second half follows.
    let lone = Some((char::REPLACEMENT_CHARACTER, 6));
    let next = &text[6..];
    match next.as_bytes() {
        [] | [b'\\'] => return None,
        [b'\\', b'u', ..] => {}
        _ => return lone,
    }
    match (high, hex(next)?) {
        (0xd800..0xdc00, Some(low @ 0xdc00..0xe000)) => {
            let c = 0x1_0000 + ((high - 0xd800) << 10) + (low - 0xdc00);
            Some((char::from_u32(c).unwrap_or(char::REPLACEMENT_CHARACTER), 12))
        }
        _ => lone,
    }
}

/// The value of a Unicode escape: `None` if the text ends before its four digits, `Some(None)` if
/// they are invalid.
fn hex(text: &str) -> Option<Option<u32>> {
    let mut value = 0;
    let mut chars = text.chars().skip(2);
    for _ in 0..4 {
        match chars.next()?.to_digit(16) {
            Some(digit) => value = value << 4 | digit,
            None => return Some(None),
        }
    }
    Some(Some(value))
}

/// The input from arguments of another form.
fn other(arguments: String) -> String {
    let object: Result<Map<String, Value>, _> = serde_json::from_str(&arguments);
    let Ok(object) = object else {
        return arguments;
    };
    let mut values = object.into_iter().map(|(_, value)| value);
    match (values.next(), values.next()) {
        (None, _) => String::new(),
        (Some(Value::String(text)), None) => text,
        _ => arguments,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn inputs_are_found() {
        for (arguments, input) in [
            ("{\"input\": \"ls -l\"}", "ls -l"),
            (
                "{ \"input\" : \"a\\n\\\"b\\\"\\u00e9\\ud83d\\ude00\" }",
                "a\n\"b\"é😀",
            ),
            ("{\"input\": \"cut \\", "cut "),
            ("{\"input\": \"\\ud83d!\"}", "\u{fffd}!"),
            ("{\"input\": \"\\ud83dé\"}", "\u{fffd}é"),
            ("{\"input\": \"\\uzzzz\"}", "\u{fffd}zzzz"),
            ("{\"content\": \"other\"}", "other"),
            ("{\"a\": 1, \"b\": 2}", "{\"a\": 1, \"b\": 2}"),
            ("*** Begin Patch", "*** Begin Patch"),
            ("{}", ""),
            ("{\"inp", "{\"inp"),
            ("", ""),
        ] {
            let mut custom = CustomInput::default();
            let text = custom.push(arguments) + &custom.finish();
            assert_eq!(text, input, "{arguments}");
        }
    }

    proptest! {
        #[test]
        fn any_text_comes_back_however_it_is_cut(text in "[a\"\\\\\n é😀\u{8}]{0,12}", size in 1..5_usize) {
            let arguments = serde_json::json!({"input": text}).to_string();
            let mut custom = CustomInput::default();
            let mut read = String::new();
            let chars: Vec<char> = arguments.chars().collect();
            for piece in chars.chunks(size) {
                read.push_str(&custom.push(&piece.iter().collect::<String>()));
            }
            read.push_str(&custom.finish());
            prop_assert_eq!(read, text);
        }

        #[test]
        fn no_arguments_panic(text in "(\\{\"input\": \")?[a\"\\\\uud83dé😀{}:0-9]{0,20}", size in 1..5_usize) {
            let mut custom = CustomInput::default();
            let chars: Vec<char> = text.chars().collect();
            for piece in chars.chunks(size) {
                custom.push(&piece.iter().collect::<String>());
            }
            custom.finish();
        }
    }
}
