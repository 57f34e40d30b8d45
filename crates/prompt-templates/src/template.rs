//! Any template, as used by a caller.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use crate::custom::CustomTemplate;
use crate::error::Error;
use crate::family::Family;
#[cfg(feature = "jinja")]
use crate::jinja::ChatTemplate;
use crate::message::PromptMessage;
use crate::options::Options;

/// Any template: a built-in family, a registered one or a chat template.
///
/// ```
/// use prompt_templates::{Family, PromptMessage, Options, Template};
///
/// let template = Template::from(Family::CHATML);
/// let prompt = template.render(&[PromptMessage::user("Hi")], &Options::new())?;
/// assert_eq!(prompt, "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n");
/// # Ok::<(), prompt_templates::Error>(())
/// ```
#[non_exhaustive]
#[derive(Clone, Debug)]
pub enum Template {
    /// A Hugging Face chat template.
    #[cfg(feature = "jinja")]
    Chat(ChatTemplate),
    /// A registered template in LiteLLM's form.
    Custom(CustomTemplate),
    /// A built-in family.
    Family(Family),
}

impl Template {
    /// The family's or the chat template's name; `custom` for a registered one.
    pub fn name(&self) -> &str {
        match self {
            #[cfg(feature = "jinja")]
            Self::Chat(template) => template.name(),
            Self::Custom(_) => "custom",
            Self::Family(family) => family.name(),
        }
    }

    /// The stop sequences that the template defines: those of a family, or, for a registered
    /// template, those that end an assistant message.
    pub fn stop(&self) -> Vec<&str> {
        match self {
            #[cfg(feature = "jinja")]
            Self::Chat(_) => Vec::new(),
            Self::Custom(template) => template.stop(),
            Self::Family(family) => family.stop().to_vec(),
        }
    }

    /// Renders the prompt for `messages`.
    ///
    /// # Errors
    ///
    /// If the template does not support a message: see [`Family::render`].
    pub fn render(
        &self,
        messages: &[PromptMessage<'_>],
        options: &Options,
    ) -> Result<String, Error> {
        let mut out = String::new();
        self.render_into(&mut out, messages, options)?;
        Ok(out)
    }

    /// Appends the prompt to `out`. On failure, `out` is left unchanged.
    ///
    /// # Errors
    ///
    /// Those of [`render`](Self::render).
    pub fn render_into(
        &self,
        out: &mut String,
        messages: &[PromptMessage<'_>],
        options: &Options,
    ) -> Result<(), Error> {
        match self {
            #[cfg(feature = "jinja")]
            Self::Chat(template) => template.render_into(out, messages, options),
            Self::Custom(template) => template.render_into(out, messages, options),
            Self::Family(family) => family.render_into(out, messages, options),
        }
    }

    /// Writes the prompt to `out`; on failure, nothing is written.
    ///
    /// # Errors
    ///
    /// Those of [`render`](Self::render), and [`ErrorKind::Write`](crate::ErrorKind::Write) if the
    /// writer fails.
    pub fn render_to(
        &self,
        out: &mut dyn fmt::Write,
        messages: &[PromptMessage<'_>],
        options: &Options,
    ) -> Result<(), Error> {
        let prompt = self.render(messages, options)?;
        Ok(out.write_str(&prompt)?)
    }
}

#[cfg(feature = "jinja")]
impl From<ChatTemplate> for Template {
    fn from(template: ChatTemplate) -> Self {
        Self::Chat(template)
    }
}

impl From<CustomTemplate> for Template {
    fn from(template: CustomTemplate) -> Self {
        Self::Custom(template)
    }
}

impl From<Family> for Template {
    fn from(family: Family) -> Self {
        Self::Family(family)
    }
}
