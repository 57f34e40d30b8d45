//! Converts requests.

use llm_types::responses::{
    Item, ReasoningConfig, ResponsesInput, ResponsesRequest, TextConfig, TextFormat,
};
use llm_types::{ChatRequest, Field, ReasoningEffort, ResponseFormat, StreamOptions, Value};

use super::replies::ResponsesReplies;
use super::tools::{self, Tools};
use super::{echo, input};
use crate::error::{Error, excerpt};
use crate::format;
use crate::ignored::Ignored;

/// Converts requests of the Responses API to chat requests.
///
/// It holds no state: a caller that stores responses passes the earlier items to
/// [`convert_continued`](Self::convert_continued).
#[derive(Clone, Debug, Default)]
pub struct ResponsesAdapter {
    files: bool,
}

/// A converted request, and what is needed to convert its reply.
#[non_exhaustive]
#[derive(Clone, Debug)]
pub struct ResponsesExchange {
    /// The chat request.
    pub chat: ChatRequest,
    /// The members of the request that have no equivalent and were ignored.
    pub ignored: Ignored,
    /// Converts the reply.
    pub replies: ResponsesReplies,
}

impl ResponsesAdapter {
    /// Creates an adapter with the defaults, which fit every upstream.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sends files as OpenAI's `file` parts; by default they are refused.
    #[must_use]
    pub fn with_files(mut self, files: bool) -> Self {
        self.files = files;
        self
    }

    /// Converts a request that has its whole conversation.
    ///
    /// # Errors
    ///
    /// If the request needs something that chat completions do not have and the reply would be
    /// wrong without it; with the code `previous_response_not_found` if it continues a response.
    pub fn convert(&self, request: ResponsesRequest) -> Result<ResponsesExchange, Error> {
        if request.previous_response_id.is_some() {
            let problem = "responses are not stored; send the whole conversation as `input`";
            let error = Error::invalid("previous_response_id", problem);
            return Err(error.with_code("previous_response_not_found"));
        }
        self.convert_continued(request, Vec::new())
    }

    /// Converts a request that continues a response. `history` has the items of the earlier inputs
    /// and outputs, without the instructions, which are not carried over.
    ///
    /// # Errors
    ///
    /// As [`convert`](Self::convert).
    pub fn convert_continued(
        &self,
        request: ResponsesRequest,
        history: Vec<Item>,
    ) -> Result<ResponsesExchange, Error> {
        let mut ignored = Ignored::default();
        check_members(&request, &mut ignored)?;
        let tools = tools::convert(&request, &mut ignored)?;
        let replies = ResponsesReplies::new(&request, &tools, echo::response(&request));
        let chat = self.chat(request, history, tools, &mut ignored)?;
        Ok(ResponsesExchange {
            chat,
            ignored,
            replies,
        })
    }

    fn chat(
        &self,
        request: ResponsesRequest,
        mut history: Vec<Item>,
        tools: Tools,
        ignored: &mut Ignored,
    ) -> Result<ChatRequest, Error> {
        match request.input {
            Some(ResponsesInput::Items(items)) => history.extend(items),
            Some(ResponsesInput::Text(text)) => history.push(input::user_item(text)),
            None => {}
        }
        if history.is_empty() && request.instructions.is_none() {
            return Err(Error::invalid(
                "input",
                "required; set it to a text or a list of items",
            ));
        }
        let messages = input::convert(request.instructions, history, self.files, ignored)?;
        let mut chat = ChatRequest::new(request.model, messages);
        chat.max_tokens = request.max_output_tokens;
        chat.temperature = request.temperature;
        chat.top_p = request.top_p;
        chat.user = request.user;
        chat.prompt_cache_key = request.prompt_cache_key;
        chat.parallel_tool_calls = tools
            .tools
            .is_some()
            .then_some(request.parallel_tool_calls)
            .flatten();
        chat.tools = tools.tools;
        chat.tool_choice = tools.choice;
        chat.reasoning_effort = effort(request.reasoning, ignored);
        chat.response_format = text_format(request.text, ignored)?;
        let wants_logprobs = request
            .include
            .iter()
            .flatten()
            .any(|name| name == LOGPROBS);
        if wants_logprobs || request.top_logprobs.is_some_and(|count| count > 0) {
            chat.logprobs = Some(true.into());
            chat.top_logprobs = request.top_logprobs;
        }
        if let Some(true) = request.stream {
            chat.stream = Some(true);
            chat.stream_options = Some(StreamOptions::new().with_include_usage(true));
        }
        Ok(chat)
    }
}

/// Refuses members without which the reply would be wrong, and names those that have no effect.
fn check_members(request: &ResponsesRequest, ignored: &mut Ignored) -> Result<(), Error> {
    if request.model.is_empty() {
        return Err(Error::invalid(
            "model",
            "required; set it to a model's name",
        ));
    }
    let refused = [
        (
            "background",
            request.background == Some(true),
            "requires a server that stores the response; leave it out and wait for the response",
        ),
        (
            "conversation",
            request
                .conversation
                .as_ref()
                .is_some_and(|value| !value.is_null()),
            "conversations are not stored; send the whole conversation as `input`",
        ),
        (
            "prompt",
            request
                .prompt
                .as_ref()
                .is_some_and(|value| !value.is_null()),
            "prompts are not stored; send the text as `input`",
        ),
    ];
    for (member, is_set, problem) in refused {
        if is_set {
            return Err(Error::unsupported(member, problem));
        }
    }
    let without_effect = [
        ("max_tool_calls", request.max_tool_calls.is_some()),
        (
            "service_tier",
            request
                .service_tier
                .as_deref()
                .is_some_and(|tier| tier != "auto"),
        ),
        ("truncation", request.truncation.as_deref() == Some("auto")),
    ];
    for (member, is_set) in without_effect {
        if is_set {
            ignored.add(member);
        }
    }
    for include in request.include.iter().flatten() {
        if include != LOGPROBS && include != ENCRYPTED {
            ignored.add(&format!("include:{include}"));
        }
    }
    ignored.add_members(&request.extra);
    Ok(())
}

/// Only the effort: upstreams do not know the object. All reasoning is sent in the place of its
/// summary, whether or not the client asked for one.
fn effort(config: Option<ReasoningConfig>, ignored: &mut Ignored) -> Option<ReasoningEffort> {
    let config = config?;
    ignored.add_members(&config.extra);
    config.effort.into_value().map(format::chat_effort)
}

fn text_format(
    config: Option<TextConfig>,
    ignored: &mut Ignored,
) -> Result<Option<ResponseFormat>, Error> {
    let Some(config) = config else {
        return Ok(None);
    };
    ignored.add_members(&config.extra);
    if config.verbosity.is_value() {
        ignored.add("text.verbosity");
    }
    let Some(format) = config.format.into_value() else {
        return Ok(None);
    };
    match format.type_.as_str() {
        "text" => Ok(None),
        "json_object" => Ok(Some(ResponseFormat::json_object())),
        "json_schema" => json_schema(format).map(Some),
        other => {
            let problem = format!(
                "unknown format {:?}; use text, json_object or json_schema",
                excerpt(other)
            );
            Err(Error::invalid("text.format.type", &problem))
        }
    }
}

/// The client's schema as it is.
fn json_schema(format: TextFormat) -> Result<ResponseFormat, Error> {
    let Field::Value(schema) = format.schema else {
        return Err(Error::invalid("text.format.schema", "required"));
    };
    let name = format.name.as_str().unwrap_or("output").to_owned();
    let mut converted = ResponseFormat::json_schema(name, schema);
    if let ResponseFormat::JsonSchema(converted) = &mut converted
        && let Some(members) = converted.json_schema.value_mut()
    {
        if let Field::Value(strict) = format.strict {
            members.insert("strict".to_owned(), strict.into());
        }
        if let Field::Value(description) = format.description {
            members.insert("description".to_owned(), Value::String(description));
        }
    }
    Ok(converted)
}

pub(super) const ENCRYPTED: &str = "reasoning.encrypted_content";
pub(super) const LOGPROBS: &str = "message.output_text.logprobs";
