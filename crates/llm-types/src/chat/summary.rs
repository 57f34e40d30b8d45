//! [`ChunkSummary`]: the facts of a chunk that a stream's consumer needs, without building the
//! chunk.

use std::borrow::Cow;

use crate::field::Field;
use crate::parse::ParseError;
use crate::raw::Scanner;

/// The facts of a chunk of a chat stream, read in one pass and borrowed from its bytes.
///
/// If there are several choices, the first one that has a member counts.
#[non_exhaustive]
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ChunkSummary<'a> {
    /// The number of choices: zero in the chunk that has only the usage.
    pub choices: usize,
    /// The added content, if not empty.
    pub content: Option<Cow<'a, str>>,
    /// Whether the content is a list of parts, which OpenAI's schema does not allow.
    pub content_parts: bool,
    /// The added reasoning under either name, if not empty.
    pub reasoning: Option<Cow<'a, str>>,
    /// Whether there is other output: audio, images, a refusal, or reasoning in another form.
    pub other_output: bool,
    /// Whether there is a tool call.
    pub tool_calls: bool,
    /// Whether `tool_calls` or `function_call` is null, which OpenAI's schema does not allow.
    pub null_calls: bool,
    /// The finish reason as sent; an empty string counts as none.
    pub finish_reason: Option<Cow<'a, str>>,
    /// Whether a finish reason is the empty string, which some engines send for null
    /// (maple-proxy#3).
    pub empty_finish_reason: bool,
    /// The JSON text of the token usage.
    pub usage: Field<&'a str>,
    /// The JSON text of the error that ends the stream.
    pub error: Option<&'a str>,
}

impl<'a> ChunkSummary<'a> {
    /// Reads a chunk.
    ///
    /// # Errors
    ///
    /// If the text is not JSON, or not an object. Strings that are not part of the summary are not
    /// checked, as in [`RawObject`](crate::RawObject).
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

    /// Whether the chunk adds output to a choice: content, reasoning, a tool call or another output.
    pub fn has_output(&self) -> bool {
        self.content.is_some() || self.reasoning.is_some() || self.tool_calls || self.other_output
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
                    self.empty_finish_reason |= read_text(&mut self.finish_reason, scanner)?;
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
                self.content_parts |= scanner.peek() == Some(b'[');
                let _ = read_text(&mut self.content, scanner)?;
            } else if key.is("reasoning") || key.is("reasoning_content") {
                let _ = read_text(&mut self.reasoning, scanner)?;
            } else if key.is("tool_calls") || key.is("function_call") {
                self.add_calls(scanner.value()?);
            } else if OTHER_OUTPUT.iter().any(|name| key.is(name)) {
                self.other_output |= !EMPTY.contains(&scanner.value()?);
            } else {
                scanner.skip()?;
            }
        }
        Ok(())
    }

    fn add_calls(&mut self, calls: &str) {
        match calls {
            "null" => self.null_calls = true,
            "[]" => {}
            _ => self.tool_calls = true,
        }
    }
}

/// The members of a delta with other output.
const OTHER_OUTPUT: [&str; 5] = [
    "audio",
    "images",
    "reasoning_details",
    "refusal",
    "thinking",
];
const EMPTY: [&str; 4] = ["null", "\"\"", "[]", "{}"];

/// Skips a value, and keeps it if it is the first string here that is not empty. Returns whether it
/// is the empty string.
fn read_text<'a>(
    slot: &mut Option<Cow<'a, str>>,
    scanner: &mut Scanner<'a>,
) -> Result<bool, ParseError> {
    if scanner.peek() != Some(b'"') {
        scanner.skip()?;
        return Ok(false);
    }
    let string = scanner.string()?;
    let is_empty = string.len() == 0;
    if slot.is_none() && !is_empty {
        *slot = Some(scanner.decode(string)?);
    }
    Ok(is_empty)
}
