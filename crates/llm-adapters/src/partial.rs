//! [`PartialObject`]: a JSON object that arrives in pieces and is passed on as far as it is valid.

/// A JSON object that arrives in pieces.
///
/// Models truncate their arguments, or write text that is not JSON. Clients parse the arguments
/// while they arrive, so only text may be passed on that can be completed to an object by closing
/// brackets and a quote. A comma, a key, a number or a literal is therefore held until it is
/// complete.
///
/// Control characters in strings, which models forget to escape, are escaped. Text that is not an
/// object is repaired if nothing of it was passed on and it contains one as a string or in a code
/// fence; otherwise an empty object replaces it. Once a member was passed on, the object
/// [is broken](Self::is_broken): what is left would be an object with other contents.
#[derive(Clone, Debug, Default)]
pub(crate) struct PartialObject {
    state: State,
    /// For each open bracket, whether it is that of an object.
    open: Vec<bool>,
    /// The text that was not yet taken.
    pending: String,
    /// How much of it can be passed on.
    safe: usize,
    /// Whether the text up to there ends within a string.
    in_string: bool,
    /// Where the current number or literal starts.
    token: usize,
    /// Whether a part was taken.
    is_started: bool,
    /// Whether a member was taken, or its beginning.
    has_members: bool,
    /// Whether an empty object replaces the text.
    is_replaced: bool,
}

#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
enum State {
    /// Before the opening bracket.
    #[default]
    Start,
    FirstKey,
    Key,
    Colon,
    FirstItem,
    Value,
    /// A number or a literal.
    Token,
    String {
        is_key: bool,
        escape: Escape,
    },
    AfterValue,
    Complete,
    Invalid,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Escape {
    None,
    Backslash,
    /// The digits that are left, and the value so far.
    Hex(u8, u16),
    /// After the first half of a surrogate pair.
    LowBackslash,
    LowU,
    LowHex(u8, u16),
}

impl PartialObject {
    /// Adds a piece.
    pub(crate) fn push(&mut self, text: &str) {
        let mut rest = text.chars();
        while !matches!(self.state, State::Complete | State::Invalid) {
            let Some(c) = rest.next() else { return };
            self.push_char(c);
        }
        match self.state {
            State::Invalid if !self.is_started => self.pending.push_str(rest.as_str()),
            _ => self.pending.truncate(self.safe),
        }
    }

    /// Takes the text that can be passed on.
    pub(crate) fn take(&mut self) -> String {
        if self.state == State::Invalid && !self.is_started {
            return String::new();
        }
        self.is_started |= self.safe > 0;
        self.has_members |= self.pending[..self.safe].contains('"');
        if self.safe == self.pending.len() {
            self.safe = 0;
            self.token = 0;
            return std::mem::take(&mut self.pending);
        }
        self.token = self.token.saturating_sub(self.safe);
        self.pending
            .drain(..std::mem::take(&mut self.safe))
            .collect()
    }

    /// What completes the text that was taken to an object.
    pub(crate) fn close(&mut self) -> String {
        if self.state == State::Invalid && !self.is_started {
            self.state = State::Complete;
            let text = std::mem::take(&mut self.pending);
            return repaired(&text).unwrap_or_else(|| {
                self.is_replaced = text.trim() != "null";
                "{}".to_owned()
            });
        }
        let mut rest = self.take();
        self.pending.clear();
        if self.state == State::Complete {
            return rest;
        }
        self.is_replaced = self.state == State::Invalid;
        self.state = State::Complete;
        if !self.is_started {
            return "{}".to_owned();
        }
        if self.in_string {
            rest.push('"');
        }
        while let Some(is_object) = self.open.pop() {
            rest.push(if is_object { '}' } else { ']' });
        }
        rest
    }

    /// Whether the object is complete.
    pub(crate) fn is_complete(&self) -> bool {
        self.state == State::Complete
    }

    /// Whether the text turned out to be no JSON after a member was taken.
    pub(crate) fn is_broken(&self) -> bool {
        self.state == State::Invalid && self.has_members
    }

    /// Whether [`close`](Self::close) replaced text that could not be repaired.
    pub(crate) fn is_replaced(&self) -> bool {
        self.is_replaced
    }

    fn push_char(&mut self, c: char) {
        let at = self.pending.len();
        if c < ' '
            && matches!(
                self.state,
                State::String {
                    escape: Escape::None,
                    ..
                }
            )
        {
            push_escape(&mut self.pending, c);
        } else {
            self.pending.push(c);
            // Beyond ASCII, characters are the same: valid in strings only.
            self.state = self.next(u8::try_from(c).unwrap_or(0x80), at);
        }
        let end = self.pending.len();
        match self.state {
            State::FirstKey | State::FirstItem | State::AfterValue | State::Complete => {
                self.mark(end, false);
            }
            State::String {
                is_key: false,
                escape: Escape::None,
            } => self.mark(end, true),
            _ => {}
        }
    }

    fn mark(&mut self, end: usize, in_string: bool) {
        self.safe = end;
        self.in_string = in_string;
    }

    fn next(&mut self, byte: u8, at: usize) -> State {
        if let State::String { is_key, escape } = self.state {
            return in_string(byte, is_key, escape);
        }
        if self.state == State::Token {
            return self.token(byte, at);
        }
        if matches!(byte, b' ' | b'\t' | b'\n' | b'\r') {
            return self.state;
        }
        match (self.state, byte) {
            (State::Start, b'{') => self.open(true),
            (State::FirstKey | State::Key, b'"') => string(true),
            (State::Colon, b':') => State::Value,
            (State::FirstKey, b'}') | (State::FirstItem, b']') => self.close_bracket(byte),
            (State::AfterValue, b'}' | b']') => self.close_bracket(byte),
            (State::AfterValue, b',') => match self.open.last() {
                Some(true) => State::Key,
                _ => State::Value,
            },
            (State::Value | State::FirstItem, _) => self.value(byte, at),
            _ => State::Invalid,
        }
    }

    fn value(&mut self, byte: u8, at: usize) -> State {
        match byte {
            b'"' => string(false),
            b'{' => self.open(true),
            b'[' => self.open(false),
            b'-' | b'0'..=b'9' | b't' | b'f' | b'n' => {
                self.token = at;
                State::Token
            }
            _ => State::Invalid,
        }
    }

    fn open(&mut self, is_object: bool) -> State {
        if self.open.len() == MAX_DEPTH {
            return State::Invalid;
        }
        self.open.push(is_object);
        if is_object {
            State::FirstKey
        } else {
            State::FirstItem
        }
    }

    fn close_bracket(&mut self, byte: u8) -> State {
        if self.open.last() != Some(&(byte == b'}')) {
            return State::Invalid;
        }
        self.open.pop();
        if self.open.is_empty() {
            State::Complete
        } else {
            State::AfterValue
        }
    }

    /// A number or a literal ends at the first byte that cannot be part of it.
    fn token(&mut self, byte: u8, at: usize) -> State {
        if matches!(byte, b'0'..=b'9' | b'a'..=b'z' | b'E' | b'+' | b'-' | b'.') {
            return State::Token;
        }
        let token = &self.pending[self.token..at];
        let is_valid = matches!(token, "true" | "false" | "null")
            || serde_json::from_str::<serde_json::Number>(token).is_ok();
        if !is_valid {
            return State::Invalid;
        }
        self.mark(at, false);
        self.state = State::AfterValue;
        self.next(byte, at)
    }
}

/// The object in text that is not one itself: in a string, or in a code fence.
fn repaired(text: &str) -> Option<String> {
    let text = text.trim();
    let inner = match serde_json::from_str::<String>(text) {
        Ok(inner) => inner,
        Err(_) => {
            let fenced = text.strip_prefix("```")?.strip_suffix("```")?;
            fenced.strip_prefix("json").unwrap_or(fenced).to_owned()
        }
    };
    let object: Result<serde_json::Map<_, _>, _> = serde_json::from_str(&inner);
    object.is_ok().then_some(inner)
}

fn push_escape(text: &mut String, c: char) {
    match c {
        '\n' => text.push_str("\\n"),
        '\r' => text.push_str("\\r"),
        '\t' => text.push_str("\\t"),
        _ => text.push_str(&format!("\\u{:04x}", u32::from(c))),
    }
}

fn string(is_key: bool) -> State {
    State::String {
        is_key,
        escape: Escape::None,
    }
}

fn in_string(byte: u8, is_key: bool, escape: Escape) -> State {
    let goes_on = |escape| State::String { is_key, escape };
    match (escape, byte) {
        (Escape::None, b'"') if is_key => State::Colon,
        (Escape::None, b'"') => State::AfterValue,
        (Escape::None, b'\\') => goes_on(Escape::Backslash),
        (Escape::None, 0x20..) => goes_on(Escape::None),
        (Escape::Backslash, b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => {
            goes_on(Escape::None)
        }
        (Escape::Backslash, b'u') => goes_on(Escape::Hex(4, 0)),
        (Escape::Hex(left, value), _) => match (hex(byte, value), left) {
            (Some(0xd800..=0xdbff), 1) => goes_on(Escape::LowBackslash),
            (Some(0xdc00..=0xdfff), 1) => State::Invalid,
            (Some(_), 1) => goes_on(Escape::None),
            (Some(value), left) => goes_on(Escape::Hex(left - 1, value)),
            (None, _) => State::Invalid,
        },
        (Escape::LowBackslash, b'\\') => goes_on(Escape::LowU),
        (Escape::LowU, b'u') => goes_on(Escape::LowHex(4, 0)),
        (Escape::LowHex(left, value), _) => match (hex(byte, value), left) {
            (Some(0xdc00..=0xdfff), 1) => goes_on(Escape::None),
            (Some(value), 2..) => goes_on(Escape::LowHex(left - 1, value)),
            _ => State::Invalid,
        },
        _ => State::Invalid,
    }
}

fn hex(byte: u8, value: u16) -> Option<u16> {
    let digit = char::from(byte).to_digit(16)?;
    u16::try_from(u32::from(value) << 4 & 0xffff | digit).ok()
}

/// serde_json reads 127 levels.
const MAX_DEPTH: usize = 100;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn arguments_are_completed_or_cut_to_an_object() {
        let cases = [
            ("{}", json!({})),
            ("", json!({})),
            ("  ", json!({})),
            ("null", json!({})),
            ("\"text\"", json!({})),
            ("\"{\\\"a\\\": 1}\"", json!({"a": 1})),
            ("```json\n{\"a\": 1}\n```", json!({"a": 1})),
            ("```\n{\"a\": 1}```\n", json!({"a": 1})),
            ("[1]", json!({})),
            (" {\"a\": 1} ", json!({"a": 1})),
            ("{\"a\": 1}}", json!({"a": 1})),
            ("{\"a\": 1} and more", json!({"a": 1})),
            ("{\"a\": 12", json!({})),
            ("{\"a\": 12,", json!({"a": 12})),
            ("{\"a\": 12, \"b", json!({"a": 12})),
            ("{\"a\": 12, \"b\":", json!({"a": 12})),
            ("{\"a\": 12, \"b\": \"/et", json!({"a": 12, "b": "/et"})),
            ("{\"a\": \"x\\", json!({"a": "x"})),
            ("{\"a\": \"x\\u00e", json!({"a": "x"})),
            ("{\"a\": \"x\\ud83d\\ude", json!({"a": "x"})),
            ("{\"a\": \"x\\ud83d\\ude00", json!({"a": "x😀"})),
            ("{\"a\": \"x\\ud83d!\"}", json!({})),
            ("{\"a\": \"said \"so\"\"}", json!({})),
            (
                "{\"a\": [1, [true, {\"b\": nul",
                json!({"a": [1, [true, {}]]}),
            ),
            ("{\"a\": [1, 2]]}", json!({})),
            ("{\"a\": 01}", json!({})),
            ("{\"a\": 1e999}", json!({})),
            ("{\"a\": tru}", json!({})),
            ("{a: 1}", json!({})),
            ("{'a': 1}", json!({})),
            (
                "{\"a\": \"line\nbreak\u{1}\"}",
                json!({"a": "line\nbreak\u{1}"}),
            ),
            (
                "{\"a\": -1.5e3, \"b\": null}",
                json!({"a": -1500.0, "b": null}),
            ),
        ];
        for (text, expected) in cases {
            let mut object = PartialObject::default();
            object.push(text);
            assert_eq!(joined(object), expected, "{text}");
        }
    }

    proptest! {
        /// However the text is cut, the parts are a valid object, and the same unless it breaks.
        #[test]
        fn any_text_becomes_an_object_and_cuts_do_not_matter(
            text in "\\{(\"[a-c\\\\u0d8]{0,3}\"[:,]|[-0-9.e]{1,3},?|[\\[\\]{}\",]|true|null|é|\\\\ud83d\\\\ude00| ){0,20}",
            cuts in proptest::collection::vec(any::<proptest::sample::Index>(), 0..8),
        ) {
            let mut whole = PartialObject::default();
            whole.push(&text);
            let mut pieces = PartialObject::default();
            let mut taken = String::new();
            let mut ends: Vec<_> = cuts.iter().map(|cut| cut.index(text.len() + 1)).collect();
            ends.push(text.len());
            ends.sort_unstable();
            let mut start = 0;
            for end in ends {
                if text.is_char_boundary(end) {
                    pieces.push(&text[start..end]);
                    start = end;
                    taken.push_str(&pieces.take());
                }
            }
            let is_broken = pieces.is_broken();
            taken.push_str(&pieces.close());
            let value: Value = serde_json::from_str(&taken).unwrap();
            prop_assert!(value.is_object());
            if is_broken {
                prop_assert_eq!(whole.close(), "{}");
                prop_assert!(whole.is_replaced());
            } else {
                prop_assert_eq!(value, joined(whole));
            }
        }

        #[test]
        fn valid_objects_pass_unchanged(value in "\\{\"a\": (\"[a-zé\\\\\\\\n]{0,9}\"|-?[1-9][0-9]{0,5}(\\.[0-9]+)?|\\[1, true, \\{\\}\\])\\}") {
            let parsed: Result<Value, _> = serde_json::from_str(&value);
            let mut object = PartialObject::default();
            object.push(&value);
            if let Ok(parsed) = parsed {
                prop_assert!(object.is_complete());
                let text = object.close();
                prop_assert_eq!(&text, &value);
                prop_assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), parsed);
            }
        }
    }

    fn joined(mut object: PartialObject) -> Value {
        let text = object.take() + &object.close();
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{text}: {error}"))
    }
}
