//! Formats made of markers around each message.

use crate::error::Error;
use crate::message::Role;
use crate::prompt::Prompt;

use super::SystemRole;
use super::check::no_system;

/// Markers around the messages of each role.
#[derive(Clone, Copy)]
pub(crate) struct Turns {
    pub(crate) system: [&'static str; 2],
    pub(crate) user: [&'static str; 2],
    pub(crate) assistant: [&'static str; 2],
    /// Opens the assistant's turn.
    pub(crate) generation: &'static str,
    /// What the official template does with any other role.
    pub(crate) others: Others,
}

/// What an official template does with a role that it does not name.
#[derive(Clone, Copy)]
pub(crate) enum Others {
    /// It leaves the message out.
    Dropped,
    /// It writes the role's name between the first two, and the third after the message.
    Named([&'static str; 3]),
    /// As `Named`, with the name in title case.
    Titled([&'static str; 3]),
}

impl Turns {
    pub(crate) fn write(&self, prompt: &mut Prompt<'_>) -> Result<(), Error> {
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
            let [before, after] = match message.role {
                Role::Assistant => self.assistant,
                Role::User => self.user,
                Role::System => self.system,
                Role::Developer if !prompt.is_official() => self.system,
                role => {
                    if let Others::Named(around) | Others::Titled(around) = self.others {
                        self.other(prompt, index, role, around)?;
                    }
                    continue;
                }
            };
            prompt.push(before);
            prompt.content(index)?;
            if prompt.is_open(index) {
                return Ok(());
            }
            prompt.push(after);
        }
        prompt.generation(self.generation);
        Ok(())
    }

    fn other(
        &self,
        prompt: &mut Prompt<'_>,
        index: usize,
        role: Role<'_>,
        [before, between, after]: [&str; 3],
    ) -> Result<(), Error> {
        prompt.push(before);
        match self.others {
            Others::Titled(_) => prompt.foreign(index, &title(role.as_str()))?,
            _ => prompt.foreign(index, role.as_str())?,
        }
        prompt.push(between);
        prompt.content(index)?;
        prompt.push(after);
        Ok(())
    }
}

/// `str.title` of a single word.
fn title(word: &str) -> alloc::string::String {
    let mut chars = word.chars();
    let first = chars.next().into_iter().flat_map(char::to_uppercase);
    first.chain(chars.as_str().to_lowercase().chars()).collect()
}
