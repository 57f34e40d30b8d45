//! From a request to the input of a prediction.

use llm_provider::endpoint::Request;
use llm_provider::{Error, ErrorKind, Result};
use llm_types::ChatRequest;
use llm_types::completions::CompletionRequest;
use serde_json::{Map, Value};

use crate::models::Known;
use crate::parameters::{LENGTH, is_without_effect, translate};
use crate::prompt::{self, Format, Style};

/// A request that a prediction can answer.
pub(crate) trait Question: Request {
    /// What the ids of its answers begin with.
    const ID_PREFIX: &'static str;
    /// The member that the prompt is made of.
    const CONTENT: &'static str;

    /// The model that is asked.
    fn model(&self) -> &str;

    /// Writes the prompt into `values`.
    fn write(
        &self,
        known: &Known,
        style: &Style<'_>,
        values: &mut Map<String, Value>,
    ) -> Result<Format>;
}

impl Question for ChatRequest {
    const ID_PREFIX: &'static str = "chatcmpl-";
    const CONTENT: &'static str = "messages";

    fn model(&self) -> &str {
        &self.model
    }

    fn write(
        &self,
        known: &Known,
        style: &Style<'_>,
        values: &mut Map<String, Value>,
    ) -> Result<Format> {
        prompt::write(self, known, style, values)
    }
}

impl Question for CompletionRequest {
    const ID_PREFIX: &'static str = "cmpl-";
    const CONTENT: &'static str = "prompt";

    fn model(&self) -> &str {
        &self.model
    }

    fn write(
        &self,
        known: &Known,
        _: &Style<'_>,
        values: &mut Map<String, Value>,
    ) -> Result<Format> {
        prompt::write_raw(self, known, values)
    }
}

/// The input of a prediction.
#[derive(Clone, Debug)]
pub(crate) struct Input {
    pub(crate) values: Map<String, Value>,
    /// The parameters that were left out because the model has nothing like them.
    pub(crate) dropped: Vec<String>,
    pub(crate) format: Format,
    /// The most tokens that the answer may have, asked for or by the model's default.
    pub(crate) max_tokens: Option<u64>,
    /// What the id of the answer begins with.
    pub(crate) id_prefix: &'static str,
}

impl Input {
    /// Translates a request into what `known` takes.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`], naming the parameter, for what the model cannot honour, unless
    /// `drop_params` is set; [`ErrorKind::InvalidRequest`] for messages that fit no prompt.
    pub(crate) fn new<Q: Question>(
        request: &Q,
        known: &Known,
        style: &Style<'_>,
        drop_params: bool,
    ) -> Result<Self> {
        let mut values = Map::new();
        let format = request.write(known, style, &mut values)?;
        let Ok(Value::Object(mut parameters)) = serde_json::to_value(request) else {
            let message = "the request cannot be written";
            return Err(Error::new(ErrorKind::InvalidRequest, message));
        };
        parameters.shift_remove(Q::CONTENT);
        if parameters
            .get("max_completion_tokens")
            .is_some_and(|most| !most.is_null())
        {
            parameters.shift_remove("max_tokens"); // its older name
        }
        let mut dropped = Vec::new();
        for (name, value) in parameters {
            match translate(&known.schema, &name, value) {
                Ok(Some((own, value))) => drop(values.insert(own.to_owned(), value)),
                Ok(None) => {}
                Err(_) if drop_params || is_without_effect(&name) => dropped.push(name),
                Err(why) => {
                    let message =
                        format!("{name} cannot be honoured: {why} (drop_params leaves it out)");
                    return Err(Error::new(ErrorKind::Unsupported, message).with_param(name));
                }
            }
        }
        let length = known.schema.first_of(LENGTH);
        let asked = length.and_then(|name| values.get(name)?.as_u64());
        let default = || known.schema.get(length?)?.default.as_u64();
        Ok(Self {
            max_tokens: asked.or_else(default),
            values,
            dropped,
            format,
            id_prefix: Q::ID_PREFIX,
        })
    }

    /// How long the prompt is, or the text of the messages in its place.
    pub(crate) fn prompt_chars(&self) -> usize {
        let chars = |text: &Value| text.as_str().map_or(0, |text| text.chars().count());
        let Some(Value::Array(messages)) = self.values.get("messages") else {
            return self.values.get("prompt").map_or(0, chars);
        };
        let contents = messages.iter().map(|message| &message["content"]);
        contents
            .map(|content| match content {
                Value::Array(parts) => parts.iter().map(|part| chars(&part["text"])).sum(),
                text => chars(text),
            })
            .sum()
    }
}
