//! Registered templates, with the semantics of LiteLLM's `custom_prompt`.

use alloc::borrow::Cow;
use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;

use crate::control::{self, Control};
use crate::error::Error;
use crate::message::{PromptContent, PromptMessage, PromptPart, PromptRole};
use crate::options::{ControlTokens, Options};

/// A template of markers around each role's messages: LiteLLM's `register_prompt_template` and the
/// `roles` of its `config.yaml`.
///
/// ```
/// use prompt_templates::{CustomTemplate, PromptMessage, Options, RoleMarkers};
///
/// let template = CustomTemplate::new()
///     .with_role("user", RoleMarkers::new("<|im_start|>user\n", "<|im_end|>\n"))
///     .with_final_prompt_value("<|im_start|>assistant\n");
/// assert_eq!(
///     template.render(&[PromptMessage::user("Hi")], &Options::new())?,
///     "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n",
/// );
/// # Ok::<(), prompt_templates::Error>(())
/// ```
///
/// With feature `serde`, it is read from LiteLLM's keys, in both documented forms: markers per
/// role,
///
/// ```yaml
/// roles: {"user": {"pre_message": "<|im_start|>user\n", "post_message": "<|im_end|>"}}
/// initial_prompt_value: "\n"
/// final_prompt_value: "\n"
/// bos_token: "<s>"
/// eos_token: "</s>"
/// ```
///
/// and the older form, a text per role and separators for all:
///
/// ```yaml
/// roles: {"user": "<|im_start|>user"}
/// pre_message_sep: "\n"
/// post_message_sep: "\n"
/// ```
///
/// An unknown key is an error. To read a template from a configuration with other keys beside it,
/// use [`Prompts`](crate::Prompts).
#[non_exhaustive]
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Deserialize, serde::Serialize))]
#[cfg_attr(feature = "serde", serde(try_from = "crate::litellm::Keys<true>"))]
pub struct CustomTemplate {
    /// The markers by role name; messages of other roles are written without markers.
    pub roles: BTreeMap<String, RoleMarkers>,
    /// Written first, after BOS.
    pub initial_prompt_value: String,
    /// Written last, instead of a generation prompt.
    pub final_prompt_value: String,
    /// Written at the start, and before a `system` or `human` message that follows an assistant
    /// message.
    pub bos_token: String,
    /// Written after each assistant message.
    pub eos_token: String,
}

/// The markers around a message of one role.
#[non_exhaustive]
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct RoleMarkers {
    /// Written before the message.
    pub pre_message: String,
    /// Written after the message.
    pub post_message: String,
}

impl RoleMarkers {
    /// Creates markers before and after a message.
    pub fn new(pre_message: impl Into<String>, post_message: impl Into<String>) -> Self {
        Self {
            pre_message: pre_message.into(),
            post_message: post_message.into(),
        }
    }
}

impl CustomTemplate {
    /// Creates a template without markers.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the markers of a role.
    #[must_use]
    pub fn with_role(mut self, role: impl Into<String>, markers: RoleMarkers) -> Self {
        self.roles.insert(role.into(), markers);
        self
    }

    /// Sets the text that is written first.
    #[must_use]
    pub fn with_initial_prompt_value(mut self, text: impl Into<String>) -> Self {
        self.initial_prompt_value = text.into();
        self
    }

    /// Sets the text that is written last.
    #[must_use]
    pub fn with_final_prompt_value(mut self, text: impl Into<String>) -> Self {
        self.final_prompt_value = text.into();
        self
    }

    /// Sets the BOS token.
    #[must_use]
    pub fn with_bos_token(mut self, token: impl Into<String>) -> Self {
        self.bos_token = token.into();
        self
    }

    /// Sets the EOS token.
    #[must_use]
    pub fn with_eos_token(mut self, token: impl Into<String>) -> Self {
        self.eos_token = token.into();
        self
    }

    /// The stop sequences: the trimmed marker after an assistant message, and the EOS token.
    pub fn stop(&self) -> Vec<&str> {
        let marker = self.roles.get("assistant").map(|role| &role.post_message);
        let mut stop = Vec::new();
        for end in marker.into_iter().chain([&self.eos_token]) {
            let end = end.trim();
            if !end.is_empty() && !stop.contains(&end) {
                stop.push(end);
            }
        }
        stop
    }

    /// Renders the prompt for `messages`.
    ///
    /// As in LiteLLM, images are left out, and a message without content is skipped. Of the
    /// options, two apply: the policy for control tokens (by default, those in content are broken
    /// up), and [`Options::continue_final`], which ends the prompt with the text of the last message.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::ControlToken`](crate::ErrorKind::ControlToken) with the policy `Reject`.
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
        let start = out.len();
        self.write(out, messages, options)
            .inspect_err(|_| out.truncate(start))
    }

    /// Renders the prompt for `messages` byte for byte as LiteLLM's `custom_prompt` does. Control
    /// tokens in content are kept, so content can forge a turn.
    pub fn render_like_litellm(&self, messages: &[PromptMessage<'_>]) -> String {
        let mut out = String::new();
        let keep = Options::new().with_control_tokens(ControlTokens::Keep);
        // With this policy, rendering cannot fail.
        let _ = self.write(&mut out, messages, &keep);
        out
    }

    // `custom_prompt` in litellm_core_utils/prompt_templates/factory.py.
    fn write(
        &self,
        out: &mut String,
        messages: &[PromptMessage<'_>],
        options: &Options,
    ) -> Result<(), Error> {
        let no_markers = RoleMarkers::default();
        let tokens = match options.control_tokens {
            ControlTokens::Keep => Vec::new(),
            ControlTokens::Neutralise | ControlTokens::Reject => self.control_tokens(),
        };
        let control = Control::new(&tokens);
        out.push_str(&self.bos_token);
        out.push_str(&self.initial_prompt_value);
        let mut bos_is_open = true;
        for (index, message) in messages.iter().enumerate() {
            let role = message.role.as_str();
            let is_open = options.continue_final
                && index + 1 == messages.len()
                && message.role == PromptRole::Assistant;
            if matches!(role, "system" | "human") && !bos_is_open {
                out.push_str(&self.bos_token);
                bos_is_open = true;
            }
            if let Some(text) = text(&message.content) {
                let markers = self.roles.get(role).unwrap_or(&no_markers);
                out.push_str(&markers.pre_message);
                control
                    .write(out, &text, options.control_tokens)
                    .map_err(|error| error.at_message(index).in_template("custom"))?;
                if is_open {
                    return Ok(());
                }
                out.push_str(&markers.post_message);
            }
            if message.role == PromptRole::Assistant {
                out.push_str(&self.eos_token);
                bos_is_open = false;
            }
        }
        out.push_str(&self.final_prompt_value);
        Ok(())
    }

    /// The sequences that content must not contain: the tokens in angle or square brackets in the
    /// markers, or the whole marker if it has none.
    fn control_tokens(&self) -> Vec<&str> {
        let markers = self
            .roles
            .values()
            .flat_map(|role| [&role.pre_message, &role.post_message]);
        let mut tokens = Vec::new();
        for marker in markers.chain([&self.bos_token, &self.eos_token]) {
            let before = tokens.len();
            tokens.extend(bracketed(marker));
            if tokens.len() == before {
                tokens.push(marker.trim());
            }
        }
        // One or two letters occur in any text.
        tokens.retain(|token| token.chars().count() > 2);
        tokens.sort_unstable();
        tokens.dedup();
        control::separate(&mut tokens);
        tokens
    }
}

/// The `<…>` and `[…]` in a marker.
fn bracketed(marker: &str) -> impl Iterator<Item = &str> {
    let mut rest = marker;
    core::iter::from_fn(move || {
        loop {
            rest = &rest[rest.find(['<', '['])?..];
            let close = if rest.starts_with('<') { '>' } else { ']' };
            // `<<SYS>>` starts and ends with two brackets.
            let inside = rest[1..].trim_start_matches('<');
            let skipped = rest.len() - inside.len();
            match inside.find([close, '<', '[', ' ', '\n']) {
                Some(end) if inside[end..].starts_with(close) => {
                    let mut end = skipped + end + 1;
                    if skipped > 1 && rest[end..].starts_with(close) {
                        end += 1;
                    }
                    let token = &rest[..end];
                    rest = &rest[end..];
                    return Some(token);
                }
                _ => rest = inside,
            }
        }
    })
}

fn text<'a>(content: &'a PromptContent<'_>) -> Option<Cow<'a, str>> {
    match content {
        PromptContent::None => None,
        PromptContent::Text(text) => Some(Cow::Borrowed(text)),
        PromptContent::Parts(parts) => {
            let texts = parts.iter().filter_map(|part| match part {
                PromptPart::Text(text) => Some(&**text),
                _ => None,
            });
            Some(Cow::Owned(texts.collect()))
        }
    }
}
