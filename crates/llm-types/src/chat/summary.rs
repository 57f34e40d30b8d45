//! [`ChunkSummary`]: what a stream's consumer asks of a chunk, without building the chunk.

use std::borrow::Cow;

use crate::field::Field;
use crate::parse::ParseError;
use crate::raw::Scanner;

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
    /// When the text is no JSON, or no object. Strings that are not part of the summary are passed
    /// as [`RawObject`](crate::RawObject) passes them, not checked.
    pub fn parse(json: &'a [u8]) -> Result<Self, ParseError> {
        let mut this = Self::default();
        let mut scanner = Scanner::new(json)?;
        scanner.open_object()?;
        let mut first = true;
        while let Some(key) = scanner.next_key(&mut first)? {
            if key.is("choices") {
                this.read_choices(&mut scanner)?;
            } else if key.is("usage") {
                this.usage = match scanner.value()? {
                    "null" => Field::Null,
                    usage => Field::Value(usage),
                };
            } else if key.is("error") {
                this.error = Some(scanner.value()?).filter(|error| *error != "null");
            } else {
                scanner.skip()?;
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
            return scanner.skip();
        }
        let mut first = true;
        while scanner.next_item(&mut first, b']')? {
            self.choices += 1;
            if scanner.peek() != Some(b'{') {
                scanner.skip()?;
                continue;
            }
            scanner.open_object()?;
            let mut first = true;
            while let Some(key) = scanner.next_key(&mut first)? {
                if key.is("delta") {
                    self.read_delta(scanner)?;
                } else if key.is("finish_reason") {
                    read_text(&mut self.finish_reason, scanner)?;
                } else {
                    scanner.skip()?;
                }
            }
        }
        Ok(())
    }

    fn read_delta(&mut self, scanner: &mut Scanner<'a>) -> Result<(), ParseError> {
        if scanner.peek() != Some(b'{') {
            return scanner.skip();
        }
        scanner.open_object()?;
        let mut first = true;
        while let Some(key) = scanner.next_key(&mut first)? {
            if key.is("content") {
                read_text(&mut self.content, scanner)?;
            } else if key.is("reasoning") || key.is("reasoning_content") {
                read_text(&mut self.reasoning, scanner)?;
            } else if key.is("tool_calls") {
                self.tool_calls |= !matches!(scanner.value()?, "null" | "[]");
            } else if key.is("function_call") {
                self.tool_calls |= scanner.value()? != "null";
            } else {
                scanner.skip()?;
            }
        }
        Ok(())
    }
}

/// Passes a value, and keeps it if it is the first string here that is not empty.
fn read_text<'a>(
    slot: &mut Option<Cow<'a, str>>,
    scanner: &mut Scanner<'a>,
) -> Result<(), ParseError> {
    if scanner.peek() != Some(b'"') {
        return scanner.skip();
    }
    let string = scanner.string()?;
    if slot.is_none() && string.len() > 0 {
        *slot = Some(scanner.decode(string)?);
    }
    Ok(())
}
