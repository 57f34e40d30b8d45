//! Converts messages or a prompt to a model's input.

use std::borrow::Cow;

use llm_provider::text::excerpt;
use llm_provider::{Error, ErrorKind, Result};
use llm_types::completions::CompletionRequest;
use llm_types::{ChatRequest, ContentPart, Message, Role, TextInput};
use prompt_templates::{
    ControlTokens, Family, Options, PromptMessage as Turn, Strictness, Template, match_model,
};
use replicate_api::Parameter;
use serde_json::{Map, Value};

use crate::models::ModelInfo;

/// The format of a prompt (a family's name, `custom`, `messages`, `none` or `model`) and its source:
/// `configured`, the model's `name`, its input `schema`, the `request`, or `fallback`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Format(pub(crate) &'static str, pub(crate) &'static str);

/// A prompt in a model's input.
#[derive(Debug)]
pub(crate) struct Written {
    pub(crate) format: Format,
    /// The stop sequences of the template that rendered the prompt.
    pub(crate) stop: Vec<String>,
}

impl From<Format> for Written {
    /// A prompt without a template of its own.
    fn from(format: Format) -> Self {
        let stop = Vec::new();
        Self { format, stop }
    }
}

/// The configured style of prompts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Style<'t> {
    /// The configured template for the model.
    pub(crate) template: Option<&'t Template>,
    /// The policy for control tokens in messages.
    pub(crate) control_tokens: ControlTokens,
    /// Whether the last message is the beginning of the reply.
    pub(crate) is_prefill: bool,
}

/// Writes the messages into `input`, by the first rule that applies:
///
/// 1. With a template in the `style`, that template renders the prompt.
/// 2. A model with the parameter `messages` gets the messages unchanged.
/// 3. A model of a known family gets a prompt in the family's format. `prompt_template` turns the
///    model's own template off.
/// 4. A model with the parameter `system_prompt` but without `prompt_template` always applies its own
///    template, so it gets the prompt without the outer markers.
/// 5. Any other model gets plain text.
///
/// A `system_prompt` in `parameters` is taken out of them and precedes the messages as a system
/// message, since the model ignores it once its own template is off. Only a template in the request
/// may refer to the parameter.
pub(crate) fn write(
    request: &ChatRequest,
    info: &ModelInfo,
    style: &Style<'_>,
    parameters: &mut Map<String, Value>,
    input: &mut Map<String, Value>,
) -> Result<Written> {
    let schema = &info.schema;
    let system = take_system(parameters);
    if style.template.is_none() && schema.has("messages") {
        let system = system.filter(|text| !text.is_empty()).map(Message::system);
        let messages: Vec<&Message> = system.iter().chain(&request.messages).collect();
        let messages = serde_json::to_value(messages).unwrap_or_default();
        input.insert("messages".to_owned(), messages);
        return Ok(Format("messages", "schema").into());
    }
    let (mut turns, images) = turns(&request.messages)?;
    put_images(images, info, input)?;
    // The model applies a template in the request to the plain text.
    let request_has_template = request.extra.contains_key("prompt_template");
    let family = match_model(&info.model).family;
    let does_not_wrap = schema.has("prompt_template") || !schema.has("system_prompt");
    let named = family.filter(|_| does_not_wrap && !request_has_template);
    let named = named.map(Template::from);
    // The template that renders the whole prompt.
    let template = style.template.or(named.as_ref());
    if let Some(Template::Custom(_)) = template {
        // A custom template has markers for the roles of LiteLLM, which has no other name for it.
        for turn in turns
            .iter_mut()
            .filter(|turn| turn.role.as_str() == "developer")
        {
            turn.role = "system".into();
        }
    }
    if template.is_none() && schema.has("system_prompt") {
        let family = family.unwrap_or(Family::PLAIN);
        // As in a message, the text must not contain the model's control tokens.
        let checked = |text: &str| style.inner(family, &[Turn::user(text)]);
        put_system(&mut turns, system, checked, input)?;
    } else if let Some(text) = system {
        if request_has_template {
            input.insert("system_prompt".to_owned(), text.into());
        } else if !text.is_empty() {
            turns.insert(0, Turn::system(text));
        }
    }
    let (prompt, written) = match template {
        Some(template) => {
            let name = match template {
                Template::Family(family) => family.name(),
                _ => "custom",
            };
            let source = if style.template.is_some() {
                "configured"
            } else {
                "name"
            };
            let stop = template.stop().into_iter().map(str::to_owned).collect();
            let format = Format(name, source);
            (style.render(template, &turns)?, Written { format, stop })
        }
        None => {
            let source = if family.is_some() { "name" } else { "fallback" };
            let family = family.unwrap_or(Family::PLAIN);
            let format = Format(family.name(), source);
            (style.inner(family, &turns)?, format.into())
        }
    };
    let is_whole = style.template.is_some() || family.is_some();
    if is_whole && !request_has_template && schema.has("prompt_template") {
        input.insert("prompt_template".to_owned(), "{prompt}".into());
    }
    input.insert("prompt".to_owned(), prompt.into());
    Ok(written)
}

/// Writes the prompt of a text completion into `input`. Turns the model's own template off with
/// `prompt_template`; without that parameter, removes at least its default system prompt.
pub(crate) fn write_raw(
    request: &CompletionRequest,
    info: &ModelInfo,
    input: &mut Map<String, Value>,
) -> Result<Written> {
    let error = |kind, message| Error::new(kind, message).with_param("prompt".to_owned());
    let prompt = match request.prompt.value() {
        Some(TextInput::Text(prompt)) => prompt,
        Some(TextInput::Texts(prompts)) if prompts.len() == 1 => &prompts[0],
        None => return Err(error(ErrorKind::InvalidRequest, "there is no prompt")),
        Some(_) => {
            let message = "Replicate's models support only a single prompt, as text";
            return Err(error(ErrorKind::Unsupported, message));
        }
    };
    let schema = &info.schema;
    input.insert("prompt".to_owned(), prompt.as_str().into());
    if request.extra.contains_key("prompt_template") {
        return Ok(Format("custom", "request").into());
    }
    if schema.has("prompt_template") {
        input.insert("prompt_template".to_owned(), "{prompt}".into());
        return Ok(Format("none", "request").into());
    }
    let Some(system) = schema.get("system_prompt") else {
        return Ok(Format("none", "request").into());
    };
    if system.default.as_str().is_some_and(|text| !text.is_empty()) {
        input.insert("system_prompt".to_owned(), "".into());
    }
    Ok(Format("model", "schema").into())
}

/// The texts of the messages, and the URLs of the images in them.
fn turns(messages: &[Message]) -> Result<(Vec<Turn<'_>>, Vec<&str>)> {
    let mut images = Vec::new();
    let mut turns = Vec::with_capacity(messages.len());
    for message in messages {
        let has_calls = message.function_call.is_value()
            || message
                .tool_calls
                .value()
                .is_some_and(|calls| !calls.is_empty());
        if has_calls || matches!(message.role, Role::Tool | Role::Function) {
            return Err(unsupported("Replicate's models do not support tool calls"));
        }
        let text: Option<Cow<'_, str>> = match message.content.value() {
            Some(llm_types::Content::Parts(parts)) => {
                let mut text = String::new();
                for part in parts {
                    match part {
                        ContentPart::Text(part) => text.push_str(&part.text),
                        ContentPart::Refusal(part) => text.push_str(&part.refusal),
                        ContentPart::ImageUrl(part) => images.push(part.image_url.url.as_str()),
                        other => {
                            let message = format!(
                                "the model does not support parts of type \"{}\"",
                                excerpt(other.type_())
                            );
                            return Err(unsupported(message));
                        }
                    }
                }
                Some(text.into())
            }
            _ => message
                .text()
                .or_else(|| message.refusal.as_str().map(Cow::Borrowed)),
        };
        turns.push(Turn::new(message.role.as_str().into(), text));
    }
    Ok((turns, images))
}

fn put_images(images: Vec<&str>, info: &ModelInfo, input: &mut Map<String, Value>) -> Result<()> {
    if images.is_empty() {
        return Ok(());
    }
    let Some(name) = info.schema.first_of(IMAGE_KEYS) else {
        return Err(unsupported("the model does not support images"));
    };
    let takes_list = info.schema.get(name).is_some_and(Parameter::is_list);
    let value = match images.as_slice() {
        images if takes_list => images.into(),
        [image] => (*image).into(),
        _ => return Err(unsupported("the model supports only one image")),
    };
    input.insert(name.to_owned(), value);
    Ok(())
}

/// Takes the parameter `system_prompt`, if it is text.
fn take_system(parameters: &mut Map<String, Value>) -> Option<String> {
    let text = parameters.get("system_prompt")?.as_str()?.to_owned();
    parameters.shift_remove("system_prompt");
    Some(text)
}

/// Writes the parameter `system_prompt`: the one of the request, and the system messages at the
/// beginning, which are moved to it.
fn put_system(
    turns: &mut Vec<Turn<'_>>,
    own: Option<String>,
    checked: impl Fn(&str) -> Result<String>,
    input: &mut Map<String, Value>,
) -> Result<()> {
    let is_system = |turn: &Turn<'_>| matches!(turn.role.as_str(), "system" | "developer");
    let count = turns.iter().take_while(|turn| is_system(turn)).count();
    // If all messages are system messages, the prompt would be empty.
    let count = if count == turns.len() { 0 } else { count };
    let moved = turns.drain(..count).filter_map(|turn| match turn.content {
        prompt_templates::PromptContent::Text(text) => Some(text.into_owned()),
        _ => None,
    });
    let mut texts: Vec<String> = own.into_iter().chain(moved).collect();
    if texts.is_empty() && count == 0 {
        return Ok(());
    }
    // An empty text alone is sent, since it turns the model's default off.
    texts.retain(|text| !text.is_empty());
    let texts: Vec<String> = texts
        .iter()
        .map(|text| checked(text))
        .collect::<Result<_>>()?;
    input.insert("system_prompt".to_owned(), texts.join("\n\n").into());
    Ok(())
}

impl Style<'_> {
    /// The prompt without the outer markers, which the model itself adds. Of a single message, only the
    /// text remains; a longer conversation keeps the markers between its turns. A conversation that ends
    /// with the assistant does not have the marker after a user message; the one after its last turn is
    /// removed instead.
    fn inner(&self, family: Family, turns: &[Turn<'_>]) -> Result<String> {
        let template = Template::Family(family);
        // The model ends the last turn in any case, so that it cannot continue it.
        let style = Style {
            is_prefill: false,
            ..*self
        };
        let whole = style.render(&template, turns)?;
        let user = style.render(&template, &[Turn::user(MARKER)])?;
        let Some((before, after)) = user.split_once(MARKER) else {
            return Ok(whole);
        };
        let inner = whole.strip_prefix(before).unwrap_or(&whole);
        if let Some(inner) = inner.strip_suffix(after) {
            return Ok(inner.to_owned());
        }
        let turns = [Turn::user(MARKER), Turn::assistant(MARKER)];
        let answered = style.render(&template, &turns)?;
        let end = answered.rsplit_once(MARKER).map_or("", |(_, end)| end);
        Ok(inner.strip_suffix(end).unwrap_or(inner).to_owned())
    }

    fn render(&self, template: &Template, turns: &[Turn<'_>]) -> Result<String> {
        // No BOS token: the server adds it when it tokenizes.
        let options = Options::new()
            .with_strictness(Strictness::Fold)
            .with_continue_final(self.is_prefill)
            .with_control_tokens(self.control_tokens);
        template
            .render(turns, &options)
            .map_err(|error| Error::from(error).with_param("messages".to_owned()))
    }
}

fn unsupported(message: impl Into<Cow<'static, str>>) -> Error {
    Error::new(ErrorKind::Unsupported, message).with_param("messages".to_owned())
}

const IMAGE_KEYS: &[&str] = &["image_input", "images", "image"];
/// A text that occurs in no conversation and in no family's markers.
const MARKER: &str = "\u{1}";
