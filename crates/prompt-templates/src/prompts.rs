//! The prompt configuration of an account with a completion server.

use alloc::string::String;

use crate::error::Error;
use crate::message::PromptMessage;
use crate::options::{ControlTokens, Options, Strictness};
use crate::registry::TemplateRegistry;
use crate::template::Template;

/// The templates of an account, and how they are applied.
///
/// ```
/// use prompt_templates::{Family, PromptMessage, Prompts};
///
/// let mut prompts = Prompts::default();
/// prompts.register("acme/*", Family::CHATML);
/// let template = prompts.find("acme/one").ok_or("no template")?;
/// let prompt = prompts.render(template, &[PromptMessage::user("Hi")])?;
/// assert_eq!(prompt, "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// With feature `serde`, it is read from an account's settings: `control_tokens`, and the keys of
/// [`CustomTemplate`](crate::CustomTemplate), which then applies to all models. Other keys are
/// ignored: they are settings of the account.
#[derive(Clone, Debug, Default)]
pub struct Prompts {
    by_model: TemplateRegistry,
    for_all: Option<Template>,
    control_tokens: ControlTokens,
}

impl Prompts {
    /// The keys that it is read from, in alphabetical order.
    #[cfg(feature = "serde")]
    pub const SETTINGS: &[&str] = &[
        "bos_token",
        "control_tokens",
        "eos_token",
        "final_prompt_value",
        "initial_prompt_value",
        "post_message_sep",
        "pre_message_sep",
        "roles",
    ];

    /// Sets the template for the models with this name, in which `*` matches any characters.
    pub fn register(&mut self, model: impl Into<String>, template: impl Into<Template>) {
        self.by_model.register(model, template);
    }

    /// Sets all templates of a registry, in the order of their registration.
    pub fn register_all(&mut self, templates: &TemplateRegistry) {
        self.by_model.register_all(templates);
    }

    /// Finds the template for a model: the one registered for its name, with or without the version
    /// (`owner/name:version`), otherwise the one for all models.
    pub fn find(&self, model: &str) -> Option<&Template> {
        let bare = model.split(':').next().unwrap_or(model);
        let found = self
            .by_model
            .find(model)
            .or_else(|| self.by_model.find(bare));
        found.map(|found| found.template).or(self.for_all.as_ref())
    }

    /// The policy for control tokens in content.
    pub fn control_tokens(&self) -> ControlTokens {
        self.control_tokens
    }

    /// Renders the prompt for `messages` with [`Strictness::Fold`] and without BOS, which the server
    /// adds when it tokenizes.
    ///
    /// # Errors
    ///
    /// Those of [`Template::render`].
    pub fn render(
        &self,
        template: &Template,
        messages: &[PromptMessage<'_>],
    ) -> Result<String, Error> {
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
        use crate::litellm::Keys;

        #[derive(serde::Deserialize)]
        struct Settings {
            #[serde(flatten)]
            template: Keys<false>,
            #[serde(default)]
            control_tokens: ControlTokens,
        }
        let settings = Settings::deserialize(deserializer)?;
        let template = CustomTemplate::try_from(settings.template);
        let template = template.map_err(serde::de::Error::custom)?;
        let is_set = template != CustomTemplate::default();
        Ok(Self {
            by_model: TemplateRegistry::new(),
            for_all: is_set.then(|| template.into()),
            control_tokens: settings.control_tokens,
        })
    }
}
