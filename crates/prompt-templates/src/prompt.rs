//! A prompt under construction: shared by the formats of all families.

use alloc::borrow::Cow;
use alloc::string::String;

use crate::error::{Error, ErrorKind};
use crate::family::{Spec, Text};
use crate::message::{PromptContent, PromptMessage, PromptPart, PromptRole};
use crate::options::{ControlTokens, Images, Options, Strictness};
use crate::python::{is_space, write_quoted};

/// The conversation, how to write it, and the output.
pub(crate) struct Prompt<'a> {
    pub(crate) messages: &'a [PromptMessage<'a>],
    pub(crate) options: &'a Options,
    pub(crate) spec: &'static Spec,
    out: &'a mut String,
    /// The message that the model continues, if any.
    open: usize,
    /// Whether all text is written unchanged.
    keeps: bool,
}

impl<'a> Prompt<'a> {
    pub(crate) fn new(
        out: &'a mut String,
        spec: &'static Spec,
        messages: &'a [PromptMessage<'a>],
        options: &'a Options,
    ) -> Self {
        let last = messages.len().checked_sub(1);
        Self {
            messages,
            options,
            spec,
            out,
            open: last
                .filter(|_| options.continue_final)
                .unwrap_or(usize::MAX),
            keeps: options.control_tokens == ControlTokens::Keep,
        }
    }

    /// Writes text of the format.
    #[inline]
    pub(crate) fn push(&mut self, marker: &str) {
        self.out.push_str(marker);
    }

    /// Writes the BOS token that starts the prompt, if requested.
    pub(crate) fn bos(&mut self) {
        if self.options.bos {
            self.push(self.spec.bos);
        }
    }

    /// Opens the assistant's turn, if requested.
    pub(crate) fn generation(&mut self, marker: &str) {
        if self.options.generation_prompt {
            self.push(marker);
        }
    }

    /// Writes the content of message `index` according to the caller's policy.
    #[inline(always)]
    pub(crate) fn content(&mut self, index: usize) -> Result<(), Error> {
        match &self.messages[index].content {
            PromptContent::Text(text) if self.spec.text == Text::Verbatim => {
                self.foreign(index, text)
            }
            PromptContent::Text(text) => self.foreign(index, trimmed(text)),
            _ => {
                let text = self.text(index)?;
                self.foreign(index, &text)
            }
        }
    }

    /// Writes any other text that came with message `index` and is not part of the format.
    #[inline]
    pub(crate) fn foreign(&mut self, index: usize, text: &str) -> Result<(), Error> {
        if self.keeps {
            self.out.push_str(text);
            return Ok(());
        }
        self.tool(text).map_err(|error| error.at_message(index))
    }

    /// Writes the text of a tool's definition, which is not part of the format either.
    pub(crate) fn tool(&mut self, text: &str) -> Result<(), Error> {
        let control = &self.spec.control;
        control.write(self.out, text, self.options.control_tokens)
    }

    /// The text of message `index`, trimmed as the family does.
    pub(crate) fn text(&self, index: usize) -> Result<Cow<'a, str>, Error> {
        let text = self.raw_text(index)?;
        Ok(if self.spec.text == Text::Verbatim {
            text
        } else {
            trim(text)
        })
    }

    /// The text of message `index`, unchanged.
    pub(crate) fn raw_text(&self, index: usize) -> Result<Cow<'a, str>, Error> {
        match &self.messages[index].content {
            PromptContent::Text(text) => Ok(Cow::Borrowed(&**text)),
            PromptContent::None => self.no_text(),
            PromptContent::Parts(parts) => self.joined(parts).map(Cow::Owned),
        }
        .map_err(|error| error.at_message(index))
    }

    /// Whether message `index` has content.
    pub(crate) fn has_text(&self, index: usize) -> bool {
        match &self.messages[index].content {
            PromptContent::None => false,
            PromptContent::Text(text) => !text.is_empty(),
            PromptContent::Parts(parts) => !parts.is_empty(),
        }
    }

    /// Whether the conversation starts with a system message.
    pub(crate) fn has_system(&self) -> bool {
        self.messages.first().is_some_and(|first| {
            first.role == PromptRole::System
                || first.role == PromptRole::Developer && !self.is_official()
        })
    }

    /// The family's default system prompt, if requested.
    pub(crate) fn default_system(&self) -> Option<&'static str> {
        self.spec
            .default_system
            .filter(|_| self.options.default_system)
    }

    /// Whether message `index` is the one that the model continues.
    pub(crate) fn is_open(&self, index: usize) -> bool {
        index == self.open
    }

    pub(crate) fn is_official(&self) -> bool {
        self.options.strictness == Strictness::Official
    }

    /// Whether `role == 'user'` of the official template finds message `index` at the wrong
    /// position, if the turns start at `start`.
    pub(crate) fn check_turn(&self, index: usize, start: usize) -> Result<(), Error> {
        let is_user = self.messages[index].role == PromptRole::User;
        if is_user == (index - start).is_multiple_of(2) {
            Ok(())
        } else {
            Err(Self::out_of_turn(index))
        }
    }

    pub(crate) fn out_of_turn(index: usize) -> Error {
        let detail = "user and assistant messages must alternate, and the first must be the user's (after a system message)";
        Error::new(ErrorKind::Alternation, detail).at_message(index)
    }

    fn no_text(&self) -> Result<Cow<'a, str>, Error> {
        match self.options.strictness {
            Strictness::Fold => Ok(Cow::Borrowed("")),
            Strictness::Official if self.spec.text == Text::Stringified => Ok("None".into()),
            _ => Err(Error::new(
                ErrorKind::NoContent,
                "the message has no content",
            )),
        }
    }

    fn joined(&self, parts: &[PromptPart<'_>]) -> Result<String, Error> {
        if self.is_official() {
            return self.printed(parts);
        }
        let mut text = String::new();
        for part in parts {
            match (part, &self.options.images) {
                (PromptPart::Text(part), _) => text.push_str(part),
                (_, Images::Placeholder(placeholder)) => text.push_str(placeholder),
                (_, Images::Refuse) => {
                    return Err(Error::new(
                        ErrorKind::Image,
                        "a part of the message is not text",
                    ));
                }
            }
        }
        Ok(text)
    }

    /// How an official template prints a list where it expects a string: Python's `str` of it, or
    /// an error.
    fn printed(&self, parts: &[PromptPart<'_>]) -> Result<String, Error> {
        if self.spec.text != Text::Stringified {
            return Err(Error::new(
                ErrorKind::NoContent,
                "the content is not a string",
            ));
        }
        let mut out = String::from("[");
        for (index, part) in parts.iter().enumerate() {
            out.push_str(if index > 0 {
                ", {'type': "
            } else {
                "{'type': "
            });
            match part {
                PromptPart::Image(url) => {
                    out.push_str("'image_url', 'image_url': {'url': ");
                    write_quoted(&mut out, url);
                    out.push('}');
                }
                PromptPart::Text(text) => {
                    out.push_str("'text', 'text': ");
                    write_quoted(&mut out, text);
                }
                PromptPart::Other(kind) => write_quoted(&mut out, kind),
            }
            out.push('}');
        }
        out.push(']');
        Ok(out)
    }
}

/// Trims like Python's `str.strip`.
pub(crate) fn trim(text: Cow<'_, str>) -> Cow<'_, str> {
    match text {
        Cow::Borrowed(text) => Cow::Borrowed(trimmed(text)),
        Cow::Owned(text) => Cow::Owned(trimmed(&text).into()),
    }
}

#[inline]
fn trimmed(text: &str) -> &str {
    let is_plain = |byte: Option<&u8>| byte.is_some_and(|byte| (0x21..0x7f).contains(byte));
    if is_plain(text.as_bytes().first()) && is_plain(text.as_bytes().last()) {
        return text;
    }
    text.trim_matches(is_space)
}
