//! How an account with a completion server writes its prompts.

use alloc::string::String;

use crate::error::Error;
use crate::message::Message;
use crate::options::{ControlTokens, Options, Strictness};
use crate::registry::Registry;
use crate::template::Template;

/// The templates of an account, and how they are applied.
///
/// ```
/// use prompt_templates::{Family, Message, Prompts};
///
/// let mut prompts = Prompts::default();
/// prompts.register("acme/*", Family::CHATML);
/// let template = prompts.find("acme/one").ok_or("no template")?;
/// let prompt = prompts.render(template, &[Message::user("Hi")])?;
/// assert_eq!(prompt, "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// With feature `serde` it is read from an account's settings: the keys of
/// [`CustomTemplate`](crate::CustomTemplate), which is then for all models, and `control_tokens`.
#[derive(Clone, Debug, Default)]
pub struct Prompts {
    by_model: Registry,
    for_all: Option<Template>,
    control_tokens: ControlTokens,
}

impl Prompts {
    /// Sets the template for the models of this name, in which `*` stands for any characters.
    pub fn register(&mut self, model: impl Into<String>, template: impl Into<Template>) {
        self.by_model.register(model, template);
    }

    /// The template that somebody set for a model: by its name, with or without its version
    /// (`owner/name:version`), else the one for all.
    pub fn find(&self, model: &str) -> Option<&Template> {
        let bare = model.split(':').next().unwrap_or(model);
        let found = self
            .by_model
            .find(model)
            .or_else(|| self.by_model.find(bare));
        found.map(|found| found.template).or(self.for_all.as_ref())
    }

    /// What to do with control tokens inside of content.
    pub fn control_tokens(&self) -> ControlTokens {
        self.control_tokens
    }

    /// The prompt for `messages`. Those that do not fit are made to, and BOS is left to the
    /// server, which writes it when it tokenizes.
    ///
    /// # Errors
    ///
    /// As [`Template::render`].
    pub fn render(&self, template: &Template, messages: &[Message<'_>]) -> Result<String, Error> {
        let options = Options::new()
            .with_strictness(Strictness::Fold)
            .with_control_tokens(self.control_tokens);
        template.render(messages, &options)
    }
}

#[cfg(feature = "serde")]
impl<'de> serde::Deserialize<'de> for Prompts {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        use crate::custom::CustomTemplate;

        #[derive(serde::Deserialize)]
        struct Settings {
            #[serde(flatten)]
            template: CustomTemplate,
            #[serde(default)]
            control_tokens: ControlTokens,
        }
        let settings = Settings::deserialize(deserializer)?;
        let is_set = settings.template != CustomTemplate::default();
        Ok(Self {
            by_model: Registry::new(),
            for_all: is_set.then(|| settings.template.into()),
            control_tokens: settings.control_tokens,
        })
    }
}
