//! [`ChunkSummary`]: what a stream's consumer asks of a chunk, without building the chunk.

use std::borrow::Cow;

use crate::field::Field;
use crate::parse::ParseError;
use crate::raw::{RawStr, Scanner, utf8};

/// What a chunk of a chat stream says, read in one pass and lent from its bytes.
///
/// With several choices, the first one that has something to say about a member counts.
#[non_exhaustive]
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ChunkSummary<'a> {
    /// How many choices there are; none in the chunk that only tells the token counts.
    pub choices: usize,
    /// The added content, when not empty.
    pub content: Option<Cow<'a, str>>,
    /// The added thinking under either name, when not empty.
    pub reasoning: Option<Cow<'a, str>>,
    /// Whether a tool is called.
    pub tool_calls: bool,
    /// Why the answer ended, as it came; the empty string is no reason.
    pub finish_reason: Option<Cow<'a, str>>,
    /// The JSON text of the token counts.
    pub usage: Field<&'a str>,
    /// The JSON text of the error that ends the stream.
    pub error: Option<&'a str>,
}

impl<'a> ChunkSummary<'a> {
    /// Reads a chunk.
    ///
    /// # Errors
    ///
    /// When the text is no JSON, or no object.
    pub fn parse(json: &'a [u8]) -> Result<Self, ParseError> {
        let mut this = Self::default();
        let mut scanner = Scanner::new(json)?;
        scanner.open_object()?;
        let mut first = true;
        while let Some(key) = scanner.next_key(&mut first)? {
            if key.is("choices") {
                this.read_choices(&mut scanner)?;
                continue;
            }
            let value = scanner.value()?;
            let is_null = value == b"null";
            if key.is("usage") {
                this.usage = if is_null {
                    Field::Null
                } else {
                    Field::Value(utf8(value))
                };
            } else if key.is("error") {
                this.error = (!is_null).then(|| utf8(value));
            }
        }
        scanner.end()?;
        Ok(this)
    }

    /// Whether the chunk adds anything to an answer: content, thinking or a tool call.
    pub fn has_output(&self) -> bool {
        self.content.is_some() || self.reasoning.is_some() || self.tool_calls
    }

    fn read_choices(&mut self, scanner: &mut Scanner<'a>) -> Result<(), ParseError> {
        if !scanner.open_array() {
            return scanner.value().map(drop);
        }
        let mut first = true;
        while scanner.next_item(&mut first, b']')? {
            self.choices += 1;
            if scanner.peek() != Some(b'{') {
                scanner.value()?;
                continue;
            }
            scanner.open_object()?;
            let mut first = true;
            while let Some(key) = scanner.next_key(&mut first)? {
                if key.is("delta") {
                    self.read_delta(scanner)?;
                } else if key.is("finish_reason") {
                    keep(&mut self.finish_reason, text(scanner)?);
                } else {
                    scanner.value()?;
                }
            }
        }
        Ok(())
    }

    fn read_delta(&mut self, scanner: &mut Scanner<'a>) -> Result<(), ParseError> {
        if scanner.peek() != Some(b'{') {
            return scanner.value().map(drop);
        }
        scanner.open_object()?;
        let mut first = true;
        while let Some(key) = scanner.next_key(&mut first)? {
            if key.is("content") {
                keep(&mut self.content, text(scanner)?);
            } else if key.is("reasoning") || key.is("reasoning_content") {
                keep(&mut self.reasoning, text(scanner)?);
            } else if key.is("tool_calls") {
                self.tool_calls |= !matches!(scanner.value()?, b"null" | b"[]");
            } else if key.is("function_call") {
                self.tool_calls |= scanner.value()? != b"null";
            } else {
                scanner.value()?;
            }
        }
        Ok(())
    }
}

/// The string that comes next, when it is one and not empty.
fn text<'a>(scanner: &mut Scanner<'a>) -> Result<Option<RawStr<'a>>, ParseError> {
    if scanner.peek() != Some(b'"') {
        return scanner.value().map(|_| None);
    }
    scanner
        .string()
        .map(|text| Some(text).filter(|text| !text.is_empty()))
}

fn keep<'a>(slot: &mut Option<Cow<'a, str>>, text: Option<RawStr<'a>>) {
    if slot.is_none() {
        *slot = text.map(RawStr::decode);
    }
}
