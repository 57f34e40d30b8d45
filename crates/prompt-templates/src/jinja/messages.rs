//! Messages in the form that chat templates expect.

use alloc::borrow::Cow;
use alloc::string::String;
use alloc::vec::Vec;

use minijinja::value::{Serde, Value};

use crate::control::Control;
use crate::error::{Error, ErrorKind};
use crate::message::{PromptContent, PromptMessage, PromptPart, PromptToolCall};
use crate::options::{ControlTokens, Images, Options};

use super::context::{Context, Fields};

/// Converts messages to values.
pub(super) struct Converter<'a> {
    pub(super) control: Control<'a>,
    pub(super) options: &'a Options,
    /// Whether the template expects the arguments of a tool call as an object. Otherwise they are
    /// JSON text, as in OpenAI's API.
    pub(super) object_arguments: bool,
}

impl Converter<'_> {
    /// The variables for a conversation with the options applied.
    pub(super) fn context(&self, messages: &[PromptMessage<'_>]) -> Result<Context, Error> {
        let options = self.options;
        let tools = match &*options.tools {
            [] => Value::from(()),
            tools => {
                let tools = tools
                    .iter()
                    .map(|tool| self.json(tool, "a tool is not JSON"));
                Value::from(tools.collect::<Result<Vec<_>, _>>()?)
            }
        };
        let generation_prompt = options.generation_prompt && !options.continue_final;
        let mut context = Context::with_capacity(VARIABLES)
            .with_value("messages", self.messages(messages)?)
            .with_value("tools", tools)
            .with_value("documents", Value::from(()))
            .with_value("add_generation_prompt", Value::from(generation_prompt));
        if let Some(now) = options.now {
            context = context.with_now(now);
        }
        if let Some(thinking) = options.thinking {
            context = context.with_value("enable_thinking", Value::from(thinking));
        }
        for (name, value) in &options.variables {
            context = context.with_value(name.clone(), self.json(value, "a variable is not JSON")?);
        }
        Ok(context)
    }

    fn messages(&self, messages: &[PromptMessage<'_>]) -> Result<Value, Error> {
        let values = messages.iter().enumerate().map(|(index, message)| {
            self.message(message)
                .map_err(|error| error.at_message(index))
        });
        Ok(Value::from(values.collect::<Result<Vec<_>, _>>()?))
    }

    fn message(&self, message: &PromptMessage<'_>) -> Result<Value, Error> {
        let mut fields = Fields::with_capacity(2);
        fields.push("role", self.text(message.role.as_str())?);
        fields.push("content", self.content(&message.content)?);
        if let Some(reasoning) = &message.reasoning {
            // Templates use either name.
            let reasoning = self.text(reasoning)?;
            fields.push("reasoning_content", reasoning.clone());
            fields.push("thinking", reasoning);
        }
        if !message.tool_calls.is_empty() {
            let calls = message.tool_calls.iter().map(|call| self.call(call));
            let calls = calls.collect::<Result<Vec<_>, _>>()?;
            fields.push("tool_calls", Value::from(calls));
        }
        if let Some(id) = &message.tool_call_id {
            fields.push("tool_call_id", self.text(id)?);
        }
        if let Some(name) = &message.name {
            fields.push("name", self.text(name)?);
        }
        Ok(Value::from_object(fields))
    }

    fn content(&self, content: &PromptContent<'_>) -> Result<Value, Error> {
        match content {
            PromptContent::None => Ok(Value::from(())),
            PromptContent::Text(text) => self.text(text),
            PromptContent::Parts(parts) => {
                let texts = parts.iter().map(|part| match (part, &self.options.images) {
                    (PromptPart::Text(text), _) => Ok(&**text),
                    (_, Images::Placeholder(placeholder)) => Ok(&**placeholder),
                    (_, Images::Refuse) => Err(Error::new(
                        ErrorKind::Image,
                        "a part of the message is not text",
                    )),
                });
                self.text(&texts.collect::<Result<String, _>>()?)
            }
        }
    }

    fn call(&self, call: &PromptToolCall<'_>) -> Result<Value, Error> {
        let arguments = if self.object_arguments {
            self.json(&call.arguments, "the arguments of a tool call are not JSON")?
        } else {
            self.text(&call.arguments)?
        };
        let function = [("name", self.text(&call.name)?), ("arguments", arguments)];
        Ok(Value::from_pairs([
            ("id", self.text(&call.id)?),
            ("type", Value::from("function")),
            ("function", Value::from_pairs(function)),
        ]))
    }

    fn text(&self, text: &str) -> Result<Value, Error> {
        Ok(Value::from(&*self.untrusted(text)?))
    }

    /// A value from JSON text.
    fn json(&self, json: &str, detail: &'static str) -> Result<Value, Error> {
        let value = serde_json::from_str(json)
            .map_err(|error| Error::new(ErrorKind::Tools, detail).caused_by(error))?;
        Ok(Value::from(Serde(apply_policy(self, value)?)))
    }

    /// Text with the policy for control tokens applied.
    fn untrusted<'t>(&self, text: &'t str) -> Result<Cow<'t, str>, Error> {
        match self.options.control_tokens {
            ControlTokens::Keep => Ok(Cow::Borrowed(text)),
            _ if self.control.is_absent(text) => Ok(Cow::Borrowed(text)),
            policy => {
                let mut out = String::with_capacity(text.len());
                self.control.write(&mut out, text, policy)?;
                Ok(Cow::Owned(out))
            }
        }
    }
}

/// Applies the policy for control tokens to all text in a JSON value. Applied to the JSON text
/// itself, it would miss tokens with escaped characters.
fn apply_policy(
    converter: &Converter<'_>,
    value: serde_json::Value,
) -> Result<serde_json::Value, Error> {
    use serde_json::Value as Json;
    Ok(match value {
        Json::String(text) => Json::String(converter.untrusted(&text)?.into_owned()),
        Json::Array(items) => Json::Array(
            items
                .into_iter()
                .map(|item| apply_policy(converter, item))
                .collect::<Result<_, _>>()?,
        ),
        Json::Object(members) => {
            let members = members.into_iter().map(|(key, value)| {
                Ok((
                    converter.untrusted(&key)?.into_owned(),
                    apply_policy(converter, value)?,
                ))
            });
            Json::Object(members.collect::<Result<_, Error>>()?)
        }
        other => other,
    })
}

/// The variables of a context with special tokens, a clock and `enable_thinking`.
const VARIABLES: usize = 8;
