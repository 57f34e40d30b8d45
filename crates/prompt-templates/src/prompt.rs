//! A prompt being written: what the formats of all families share.

use alloc::borrow::Cow;
use alloc::string::String;
use core::fmt;

use crate::control;
use crate::error::{Error, ErrorKind};
use crate::family::{Spec, Text};
use crate::message::{Content, Message, Part, Role};
use crate::options::{Images, Options, Strictness};

/// The conversation, how to write it, and where to.
pub(crate) struct Prompt<'a> {
    pub(crate) messages: &'a [Message<'a>],
    pub(crate) options: &'a Options,
    pub(crate) spec: &'static Spec,
    out: &'a mut dyn fmt::Write,
}

impl<'a> Prompt<'a> {
    pub(crate) fn new(
        out: &'a mut dyn fmt::Write,
        spec: &'static Spec,
        messages: &'a [Message<'a>],
        options: &'a Options,
    ) -> Self {
        Self {
            messages,
            options,
            spec,
            out,
        }
    }

    /// Writes text of the format itself.
    pub(crate) fn push(&mut self, marker: &str) -> Result<(), Error> {
        Ok(self.out.write_str(marker)?)
    }

    /// Writes the BOS token that begins the prompt, if the caller wants it.
    pub(crate) fn bos(&mut self) -> Result<(), Error> {
        if self.options.bos {
            self.push(self.spec.bos)
        } else {
            Ok(())
        }
    }

    /// Writes the content of message `index` under the caller's policy.
    pub(crate) fn content(&mut self, index: usize) -> Result<(), Error> {
        let text = self.text(index)?;
        self.foreign(index, &text)
    }

    /// Writes any text that is not the format's own and came with message `index`.
    pub(crate) fn foreign(&mut self, index: usize, text: &str) -> Result<(), Error> {
        control::write(
            self.out,
            text,
            self.spec.control,
            self.options.control_tokens,
        )
        .map_err(|error| error.at_message(index))
    }

    /// The text of message `index`, trimmed as the family does.
    pub(crate) fn text(&self, index: usize) -> Result<Cow<'a, str>, Error> {
        let text = match &self.messages[index].content {
            Content::Text(text) => Cow::Borrowed(&**text),
            Content::None => self.no_text().map_err(|error| error.at_message(index))?,
            Content::Parts(parts) => Cow::Owned(
                self.joined(parts)
                    .map_err(|error| error.at_message(index))?,
            ),
        };
        Ok(match self.spec.text {
            Text::Verbatim => text,
            Text::Trimmed | Text::Stringified => trim(text),
        })
    }

    /// Whether message `index` is the one that the model shall continue.
    pub(crate) fn is_open(&self, index: usize) -> bool {
        self.options.continue_final && index + 1 == self.messages.len()
    }

    pub(crate) fn is_official(&self) -> bool {
        self.options.strictness == Strictness::Official
    }

    /// Whether the official template's `role == 'user'` finds message `index` at the wrong place,
    /// when the turns begin at `start`.
    pub(crate) fn check_turn(&self, index: usize, start: usize) -> Result<(), Error> {
        let is_user = self.messages[index].role == Role::User;
        if is_user != (index - start).is_multiple_of(2) {
            return Err(Error::new(ErrorKind::Alternation, ALTERNATION).at_message(index));
        }
        Ok(())
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

    fn joined(&self, parts: &[Part<'_>]) -> Result<String, Error> {
        let mut text = String::new();
        for part in parts {
            match (part, &self.options.images) {
                (Part::Text(part), _) => text.push_str(part),
                (_, Images::Placeholder(placeholder)) => text.push_str(placeholder),
                (_, Images::Refuse) => {
                    return Err(Error::new(
                        ErrorKind::Image,
                        "a part of the message is no text",
                    ));
                }
            }
        }
        Ok(text)
    }
}

/// Trims as Python's `str.strip` does, which also takes the four ASCII separators.
pub(crate) fn trim(text: Cow<'_, str>) -> Cow<'_, str> {
    match text {
        Cow::Borrowed(text) => Cow::Borrowed(text.trim_matches(is_space)),
        Cow::Owned(text) => Cow::Owned(text.trim_matches(is_space).into()),
    }
}

pub(crate) fn is_space(c: char) -> bool {
    c.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&c)
}

pub(crate) const ALTERNATION: &str =
    "user and assistant must take turns, and the user must begin (after a system message)";
