//! Converts chats to text completions, for models that take prompts.

use std::borrow::Cow;

use llm_provider::endpoint::Completions;
use llm_provider::text::excerpt;
use llm_provider::{Call, Error, ErrorKind, Metadata, Result};
use llm_types::{ChatRequest, Content, ContentPart, Message, Role};
use prompt_templates::{Family, PromptMessage, Prompts, Template, match_model};

use crate::wire;

/// The template of a model's prompts.
#[derive(Clone, Debug)]
pub(crate) struct Format {
    template: Template,
    /// Why this template was chosen: it is `configured`, it matches the model's `name`, or it is the
    /// `fallback`.
    source: &'static str,
}

impl Format {
    /// The configured template for `model`.
    pub(crate) fn configured(prompts: &Prompts, model: &str) -> Option<Self> {
        let template = prompts.find(model)?.clone();
        Some(Self {
            template,
            source: "configured",
        })
    }

    /// The template for `model`, which takes prompts: that of the family in its name, else plain
    /// text, which suits a base model.
    pub(crate) fn of_language_model(model: &str) -> Self {
        let family = match_model(model).family;
        Self {
            template: family.unwrap_or(Family::PLAIN).into(),
            source: if family.is_some() { "name" } else { "fallback" },
        }
    }

    /// Converts a chat to a text completion: the messages become the prompt. Parameters that only
    /// chats have are rejected or dropped; all others stay unchanged.
    ///
    /// # Errors
    /// [`InvalidRequest`](llm_provider::ErrorKind::InvalidRequest) for messages that cannot be rendered, and
    /// [`Unsupported`](llm_provider::ErrorKind::Unsupported) for parameters that only chats have, unless they may be dropped.
    pub(crate) fn write(&self, prompts: &Prompts, mut call: Call) -> Result<Call> {
        let mut request: ChatRequest = call.read()?;
        if let Template::Custom(_) = self.template {
            prepare(&mut request.messages)?;
        }
        let messages: Vec<PromptMessage<'_>> =
            request.messages.iter().map(PromptMessage::from).collect();
        let prompt = prompts
            .render(&self.template, &messages)
            .map_err(|error| Error::from(error).with_param("messages".to_owned()))?;

        for key in CHATS_ONLY {
            call.refuse(key)?;
        }
        wire::rename_limit(&mut call);
        wire::count_logprobs(&mut call)?;
        call.body.remove("messages");
        call.body.set("prompt", prompt);
        let mut stop = wire::stops(&call)?;
        for end in self.template.stop() {
            if !stop.iter().any(|known| known == end) {
                stop.push(end.to_owned());
            }
        }
        if !stop.is_empty() {
            call.body.set("stop", stop);
        }
        call.endpoint = &Completions;
        Ok(call)
    }

    /// Adds the template and its source to the reply's metadata.
    pub(crate) fn report(&self, metadata: &mut Metadata) {
        let name = self.template.name().to_owned();
        let extra = &mut metadata.extra;
        extra.insert("prompt_template".to_owned(), name.into());
        extra.insert("prompt_template_source".to_owned(), self.source.into());
    }
}

/// Rejects what a custom template leaves out, and gives messages of developers the role that it has a
/// marker for.
fn prepare(messages: &mut [Message]) -> Result<()> {
    for message in messages {
        let calls = message
            .tool_calls
            .value()
            .is_some_and(|calls| !calls.is_empty());
        let is_result = matches!(message.role, Role::Tool | Role::Function);
        if calls || is_result || message.function_call.is_value() {
            return Err(unsupported("a custom template does not support tool calls"));
        }
        if let Some(Content::Parts(parts)) = message.content.value() {
            let is_text = |part: &&ContentPart| {
                matches!(part, ContentPart::Text(_) | ContentPart::Refusal(_))
            };
            if let Some(other) = parts.iter().find(|part| !is_text(part)) {
                let type_ = excerpt(other.type_());
                let message =
                    format!("a custom template does not support parts of type \"{type_}\"");
                return Err(unsupported(message));
            }
        }
        if message.role == Role::Developer {
            message.role = Role::System;
        }
    }
    Ok(())
}

fn unsupported(message: impl Into<Cow<'static, str>>) -> Error {
    Error::new(ErrorKind::Unsupported, message).with_param("messages".to_owned())
}

/// The parameters that only chats have.
const CHATS_ONLY: &[&str] = &[
    "audio",
    "chat_template_kwargs",
    "function_call",
    "functions",
    "modalities",
    "parallel_tool_calls",
    "reasoning",
    "reasoning_effort",
    "response_format",
    "tool_choice",
    "tools",
    "web_search_options",
];
