//! Converts a request to the input of a prediction.

use llm_provider::endpoint::Request;
use llm_provider::{Error, ErrorKind, Result};
use llm_types::ChatRequest;
use llm_types::completions::CompletionRequest;
use serde_json::{Map, Value};

use crate::models::ModelInfo;
use crate::parameters::{LENGTH, add_stops, has_own_stops, is_without_effect, translate};
use crate::prompt::{self, Format, Style, Written};

/// A request with a prompt: a chat or a text completion.
pub(crate) trait PromptRequest: Request {
    /// The prefix of the reply's id.
    const ID_PREFIX: &'static str;
    /// The member that contains the prompt.
    const CONTENT: &'static str;

    /// The model's name.
    fn model(&self) -> &str;

    /// Writes the prompt into `values`, and removes from `parameters` what it contains.
    fn write(
        &self,
        info: &ModelInfo,
        style: &Style<'_>,
        parameters: &mut Map<String, Value>,
        values: &mut Map<String, Value>,
    ) -> Result<Written>;
}

impl PromptRequest for ChatRequest {
    const ID_PREFIX: &'static str = "chatcmpl-";
    const CONTENT: &'static str = "messages";

    fn model(&self) -> &str {
        &self.model
    }

    fn write(
        &self,
        info: &ModelInfo,
        style: &Style<'_>,
        parameters: &mut Map<String, Value>,
        values: &mut Map<String, Value>,
    ) -> Result<Written> {
        prompt::write(self, info, style, parameters, values)
    }
}

impl PromptRequest for CompletionRequest {
    const ID_PREFIX: &'static str = "cmpl-";
    const CONTENT: &'static str = "prompt";

    fn model(&self) -> &str {
        &self.model
    }

    fn write(
        &self,
        info: &ModelInfo,
        _: &Style<'_>,
        _: &mut Map<String, Value>,
        values: &mut Map<String, Value>,
    ) -> Result<Written> {
        prompt::write_raw(self, info, values)
    }
}

/// The input of a prediction.
#[derive(Clone, Debug)]
pub(crate) struct Input {
    pub(crate) values: Map<String, Value>,
    /// The parameters that were dropped because the model does not support them.
    pub(crate) dropped: Vec<String>,
    pub(crate) format: Format,
    /// The token limit of the reply: from the request, or the model's default.
    pub(crate) max_tokens: Option<u64>,
    /// The text between the items of the output.
    pub(crate) separator: &'static str,
    /// The prefix of the reply's id.
    pub(crate) id_prefix: &'static str,
}

impl Input {
    /// Translates a request to the parameters of a model.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`] with the name of a parameter that the model does not support, unless
    /// it `may_drop`; [`ErrorKind::InvalidRequest`] for messages that cannot be rendered.
    pub(crate) fn new<Q: PromptRequest>(
        request: &Q,
        info: &ModelInfo,
        style: &Style<'_>,
        may_drop: impl Fn(&str) -> bool,
    ) -> Result<Self> {
        let Ok(Value::Object(mut parameters)) = serde_json::to_value(request) else {
            let message = "the request cannot be written";
            return Err(Error::new(ErrorKind::InvalidRequest, message));
        };
        parameters.shift_remove(Q::CONTENT);
        let mut values = Map::new();
        let written = request.write(info, style, &mut parameters, &mut values)?;
        let own_stops = has_own_stops(&parameters);
        if parameters
            .get("max_completion_tokens")
            .is_some_and(|max| !max.is_null())
        {
            parameters.shift_remove("max_tokens"); // its older name
        }
        let mut dropped = Vec::new();
        for (name, value) in parameters {
            match translate(&info.schema, &name, value) {
                Ok(Some((model_name, value))) => drop(values.insert(model_name.to_owned(), value)),
                Ok(None) => {}
                Err(_) if may_drop(&name) || is_without_effect(&name) => dropped.push(name),
                Err(reason) => {
                    let message =
                        format!("{name} cannot be sent: {reason}; drop_params leaves it out");
                    return Err(Error::new(ErrorKind::Unsupported, message).with_param(name));
                }
            }
        }
        if !own_stops {
            add_stops(&info.schema, &written.stop, &mut values);
        }
        let length = info.schema.first_of(LENGTH);
        let requested = length.and_then(|name| values.get(name)?.as_u64());
        let default = || info.schema.get(length?)?.default.as_u64();
        Ok(Self {
            max_tokens: requested.or_else(default),
            values,
            dropped,
            format: written.format,
            separator: info.separator,
            id_prefix: Q::ID_PREFIX,
        })
    }

    /// The number of characters of the system prompt, and of the prompt or of the messages if they are
    /// sent instead.
    pub(crate) fn prompt_chars(&self) -> usize {
        let chars = |text: &Value| text.as_str().map_or(0, |text| text.chars().count());
        let system = self.values.get("system_prompt").map_or(0, chars);
        let Some(Value::Array(messages)) = self.values.get("messages") else {
            return system + self.values.get("prompt").map_or(0, chars);
        };
        let contents = messages.iter().map(|message| &message["content"]);
        let contents = contents.map(|content| match content {
            Value::Array(parts) => parts.iter().map(|part| chars(&part["text"])).sum(),
            text => chars(text),
        });
        system + contents.sum::<usize>()
    }
}
