//! Formats with markers around each message.

use alloc::string::String;

use crate::error::Error;
use crate::message::PromptRole;
use crate::prompt::Prompt;

use super::SystemRole;
use super::check::no_system;

/// Markers around the messages of each role.
pub(super) struct Turns {
    pub(super) system: [&'static str; 2],
    pub(super) user: [&'static str; 2],
    pub(super) assistant: [&'static str; 2],
    /// Opens the assistant's turn.
    pub(super) generation: &'static str,
    /// How the official template treats any other role.
    pub(super) others: Others,
}

/// How an official template treats a role that it does not name.
pub(super) enum Others {
    /// It skips the message.
    Dropped,
    /// It writes the first marker, the role's name, the second marker, the message and the third
    /// marker.
    Named([&'static str; 3]),
    /// Like `Named`, with the name in title case.
    Titled([&'static str; 3]),
}

impl Turns {
    /// Writes a conversation. This is inlined into each family's function so that the markers are
    /// constants: they are short, and copying texts of a known length is cheapest.
    #[inline(always)]
    pub(super) fn write(&self, prompt: &mut Prompt<'_>) -> Result<(), Error> {
        prompt.bos();
        let has_system = prompt.has_system();
        if has_system && prompt.spec.system == SystemRole::Nowhere {
            return Err(no_system().at_message(0));
        }
        if !has_system && let Some(text) = prompt.default_system() {
            let [before, after] = self.system;
            prompt.push(before);
            prompt.push(text);
            prompt.push(after);
        }
        for (index, message) in prompt.messages.iter().enumerate() {
            if prompt.spec.alternates && index >= usize::from(has_system) {
                prompt.check_turn(index, usize::from(has_system))?;
            }
            // Each arm has constant markers.
            match message.role {
                PromptRole::Assistant => turn(prompt, index, self.assistant)?,
                PromptRole::User => turn(prompt, index, self.user)?,
                PromptRole::System => turn(prompt, index, self.system)?,
                PromptRole::Developer if !prompt.is_official() => turn(prompt, index, self.system)?,
                role => self.other(prompt, index, role)?,
            }
        }
        if prompt.options.continue_final {
            return Ok(());
        }
        prompt.generation(self.generation);
        Ok(())
    }

    #[cold]
    fn other(
        &self,
        prompt: &mut Prompt<'_>,
        index: usize,
        role: PromptRole<'_>,
    ) -> Result<(), Error> {
        let ([before, between, after], name) = match self.others {
            Others::Dropped => return Ok(()),
            Others::Named(around) => (around, role.as_str().into()),
            Others::Titled(around) => (around, title(role.as_str())),
        };
        prompt.push(before);
        prompt.untrusted(index, &name)?;
        prompt.push(between);
        prompt.content(index)?;
        prompt.push(after);
        Ok(())
    }
}

#[inline(always)]
fn turn(
    prompt: &mut Prompt<'_>,
    index: usize,
    [before, after]: [&'static str; 2],
) -> Result<(), Error> {
    prompt.push(before);
    prompt.content(index)?;
    if !prompt.is_continued(index) {
        prompt.push(after);
    }
    Ok(())
}

/// `str.title` of a single word.
fn title(word: &str) -> String {
    let mut chars = word.chars();
    let first = chars.next().into_iter().flat_map(char::to_uppercase);
    first.chain(chars.as_str().to_lowercase().chars()).collect()
}
