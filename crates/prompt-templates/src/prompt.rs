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
    /// The index of the message that the model continues; `usize::MAX` if there is none.
    continued: usize,
    /// Whether control tokens in content are kept.
    keeps_tokens: bool,
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
            continued: last
                .filter(|_| options.continue_final)
                .unwrap_or(usize::MAX),
            keeps_tokens: options.control_tokens == ControlTokens::Keep,
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

    /// Writes the content of message `index`, with the policy for control tokens.
    #[inline(always)]
    pub(crate) fn content(&mut self, index: usize) -> Result<(), Error> {
        match &self.messages[index].content {
            PromptContent::Text(text) if self.spec.text == Text::Verbatim => {
                self.untrusted(index, text)
            }
            PromptContent::Text(text) => self.untrusted(index, trimmed(text)),
            _ => {
                let text = self.text(index)?;
                self.untrusted(index, &text)
            }
        }
    }

    /// Writes text of message `index`, with the policy for control tokens.
    #[inline]
    pub(crate) fn untrusted(&mut self, index: usize, text: &str) -> Result<(), Error> {
        if self.keeps_tokens {
            self.out.push_str(text);
            return Ok(());
        }
        self.untrusted_tool(text)
            .map_err(|error| error.at_message(index))
    }

    /// Writes text of a tool's definition, with the policy for control tokens.
    pub(crate) fn untrusted_tool(&mut self, text: &str) -> Result<(), Error> {
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
    pub(crate) fn is_continued(&self, index: usize) -> bool {
        index == self.continued
    }

    pub(crate) fn is_official(&self) -> bool {
        self.options.strictness == Strictness::Official
    }

    /// Fails if message `index` breaks the alternation of user and assistant, which begins with
    /// the user at `start`. As in the official templates, any role but `user` counts as the
    /// assistant's.
    pub(crate) fn check_turn(&self, index: usize, start: usize) -> Result<(), Error> {
        let is_user = self.messages[index].role == PromptRole::User;
        if is_user == (index - start).is_multiple_of(2) {
            Ok(())
        } else {
            Err(Self::not_alternating(index))
        }
    }

    pub(crate) fn not_alternating(index: usize) -> Error {
        let detail = "user and assistant messages must alternate, and the first must be the user's (after a system message)";
        Error::new(ErrorKind::Alternation, detail).at_message(index)
    }

    /// The error for a tool call that the format cannot leave open.
    pub(crate) fn no_continuation(&self, index: usize) -> Error {
        let detail = "the format does not support continuing a tool call";
        Error::new(ErrorKind::Continuation, detail).at_message(index)
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

    /// What an official template prints for a list where it expects a string: Python's `str` of
    /// the list, or an error.
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
