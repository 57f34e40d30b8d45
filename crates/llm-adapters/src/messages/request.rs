//! Converts requests.

use llm_types::messages::{
    MessagesRequest, OutputConfig, OutputFormat, ThinkingConfig, ThinkingMode,
};
use llm_types::{
    ChatRequest, Field, Map, ReasoningEffort, ResponseFormat, Stop, StreamOptions, Value,
};

use super::replies::MessagesReplies;
use super::tools::{self, Tools};
use super::turns::{self, Turns};
use crate::error::{Error, excerpt};
use crate::format;
use crate::ignored::Ignored;

/// Converts requests of the Messages API to chat requests.
///
/// The defaults fit every upstream; the options state what an upstream can do in addition.
#[derive(Clone, Debug, Default)]
pub struct MessagesAdapter {
    inline_system: InlineSystem,
    anthropic_tools: AnthropicTools,
    files: bool,
    local_stops: bool,
}

/// What becomes of system messages between other messages.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum InlineSystem {
    /// They become text of the user's turn: many templates accept a system message only at the
    /// beginning. They are never moved there, because that would change the cached prefix.
    #[default]
    Fold,
    /// They stay system messages.
    Keep,
}

/// What becomes of Anthropic's own tools, which have a dated type such as `web_search_20260209`.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum AnthropicTools {
    /// The request is refused.
    #[default]
    Reject,
    /// They are left out and named in [`MessagesExchange::ignored`].
    Drop,
}

/// A converted request, and what is needed to convert its reply.
#[non_exhaustive]
#[derive(Clone, Debug)]
pub struct MessagesExchange {
    /// The chat request.
    pub chat: ChatRequest,
    /// The members of the request that have no equivalent and were ignored.
    pub ignored: Ignored,
    /// Whether the last message is the beginning of the reply, which the model has to continue.
    pub is_prefill: bool,
    /// Converts the reply.
    pub replies: MessagesReplies,
}

impl MessagesAdapter {
    /// Creates an adapter with the defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets what becomes of system messages between other messages.
    #[must_use]
    pub fn with_inline_system(mut self, inline_system: InlineSystem) -> Self {
        self.inline_system = inline_system;
        self
    }

    /// Sets what becomes of Anthropic's own tools.
    #[must_use]
    pub fn with_anthropic_tools(mut self, tools: AnthropicTools) -> Self {
        self.anthropic_tools = tools;
        self
    }

    /// Sends PDF documents as OpenAI's `file` parts; by default they are refused.
    #[must_use]
    pub fn with_files(mut self, files: bool) -> Self {
        self.files = files;
        self
    }

    /// Does not send stop sequences upstream, but ends the text at them.
    ///
    /// The message then reports them for every engine: few engines tell a stop sequence from a
    /// natural end. The caller has to stream the reply, and to cancel it when
    /// [`MessagesStream::is_cut`](super::MessagesStream::is_cut) is true, since the model goes on;
    /// its usage is then estimated.
    #[must_use]
    pub fn with_local_stops(mut self, local: bool) -> Self {
        self.local_stops = local;
        self
    }

    /// Converts a request.
    ///
    /// # Errors
    ///
    /// If a required member is missing, or if the request needs something that chat completions do
    /// not have and the reply would be wrong without it.
    pub fn convert(&self, request: MessagesRequest) -> Result<MessagesExchange, Error> {
        match request.max_tokens {
            None => {
                return Err(Error::invalid(
                    "max_tokens",
                    "required; set it to 1 or more",
                ));
            }
            Some(0) => {
                let problem = "0 only fills a cache, which is not supported; set it to 1 or more";
                return Err(Error::unsupported("max_tokens", problem));
            }
            Some(_) => {}
        }
        let mut ignored = Ignored::default();
        check_members(&request, &mut ignored)?;
        let mut replies = MessagesReplies::new(&request);
        replies.local_stops = self.local_stops;
        let (chat, single_call, is_prefill) = self.chat(request, &mut ignored)?;
        Ok(MessagesExchange {
            chat,
            ignored,
            is_prefill,
            replies: replies.with_single_call(single_call),
        })
    }

    /// Converts the body of `count_tokens`, for [`estimate_tokens`](crate::estimate_tokens).
    ///
    /// # Errors
    ///
    /// As [`convert`](Self::convert), except that `max_tokens` may be missing.
    pub fn convert_prompt(&self, request: MessagesRequest) -> Result<ChatRequest, Error> {
        let mut ignored = Ignored::default();
        check_members(&request, &mut ignored)?;
        self.chat(request, &mut ignored).map(|(chat, ..)| chat)
    }

    /// The chat request, whether only one tool may be called, and whether there is a prefill.
    fn chat(
        &self,
        request: MessagesRequest,
        ignored: &mut Ignored,
    ) -> Result<(ChatRequest, bool, bool), Error> {
        let Tools {
            tools,
            choice,
            single_call,
        } = tools::convert(
            request.tools,
            request.tool_choice,
            self.anthropic_tools,
            ignored,
        )?;
        let Turns {
            messages,
            is_prefill,
        } = turns::convert(
            request.system,
            request.messages,
            self.inline_system,
            self.files,
            ignored,
        )?;
        let mut chat = ChatRequest::new(request.model, messages);
        chat.max_tokens = request.max_tokens;
        chat.temperature = request.temperature;
        chat.top_p = request.top_p;
        if let Some(top_k) = request.top_k {
            chat.extra.insert("top_k".to_owned(), number(top_k));
        }
        if !self.local_stops {
            chat.stop = stops(request.stop_sequences.unwrap_or_default());
        }
        chat.user = request
            .metadata
            .and_then(|mut metadata| user(&mut metadata, ignored));
        chat.tools = tools;
        chat.tool_choice = choice;
        if single_call {
            chat.parallel_tool_calls = Some(false);
        }
        let config = request.output_config.unwrap_or_default();
        chat.reasoning_effort = effort(request.thinking, &config, ignored)?;
        chat.response_format = output_format(request.output_format, config, ignored)?;
        if let Some(true) = request.stream {
            chat.stream = Some(true);
            chat.stream_options = Some(StreamOptions::new().with_include_usage(true));
        }
        Ok((chat, single_call, is_prefill))
    }
}

/// Refuses members without which the reply would be wrong, and names those that have no effect.
fn check_members(request: &MessagesRequest, ignored: &mut Ignored) -> Result<(), Error> {
    if request.model.is_empty() {
        return Err(Error::invalid(
            "model",
            "required; set it to a model's name",
        ));
    }
    if request.messages.is_empty() {
        return Err(Error::invalid(
            "messages",
            "required; add at least one message",
        ));
    }
    let is_set = |key| request.extra.get(key).is_some_and(has_effect);
    if is_set("thread") {
        // The SDK's tool runner then sends the whole history; the bare continuation of a thread
        // would reach the model without it.
        let problem = "threads are not supported; send the whole conversation";
        let error = Error::unsupported("thread", problem);
        return Err(error.with_code("thread_unsupported_request"));
    }
    if is_set("mcp_servers") {
        let problem = "not supported; call the servers in the client and send their tools";
        return Err(Error::unsupported("mcp_servers", problem));
    }
    for (name, value) in &request.extra {
        if has_effect(value) {
            ignored.add(name);
        }
    }
    Ok(())
}

fn has_effect(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Array(list) => !list.is_empty(),
        _ => true,
    }
}

fn number(number: llm_types::Number) -> Value {
    // Writing a number cannot fail.
    serde_json::to_value(number).unwrap_or_default()
}

fn stops(mut stops: Vec<String>) -> Option<Stop> {
    stops.retain(|stop| !stop.is_empty());
    (!stops.is_empty()).then_some(Stop::Many(stops))
}

fn user(metadata: &mut Map<String, Value>, ignored: &mut Ignored) -> Option<String> {
    let user = metadata.shift_remove("user_id");
    ignored.add_members(metadata);
    match user? {
        Value::String(user) => Some(user),
        _ => None,
    }
}

/// The effort that the client set, or that of its budget; otherwise the model's default.
fn effort(
    thinking: Option<ThinkingConfig>,
    config: &OutputConfig,
    ignored: &mut Ignored,
) -> Result<Option<ReasoningEffort>, Error> {
    ignored.add_members(&config.extra);
    let set = config.effort.value().cloned().map(format::chat_effort);
    let Some(thinking) = thinking else {
        return Ok(set);
    };
    if thinking.display.is_value() {
        ignored.add("thinking.display");
    }
    match thinking.type_ {
        ThinkingMode::Disabled => Ok(Some(ReasoningEffort::None)),
        ThinkingMode::Enabled => Ok(set.or_else(|| thinking.budget_tokens.map(of_budget))),
        ThinkingMode::Adaptive | ThinkingMode::BetweenTools => Ok(set),
        other => {
            let problem = format!(
                "unknown mode {:?}; use enabled, adaptive, between_tools or disabled",
                excerpt(other.as_str())
            );
            Err(Error::invalid("thinking.type", &problem))
        }
    }
}

/// The effort for a budget, of which Anthropic's minimum is 1,024 tokens.
fn of_budget(tokens: u64) -> ReasoningEffort {
    match tokens {
        0..4096 => ReasoningEffort::Low,
        4096..16384 => ReasoningEffort::Medium,
        16384.. => ReasoningEffort::High,
    }
}

/// The format under either name, with the client's schema as it is: requiring all properties, as
/// other gateways do, would make optional ones mandatory.
fn output_format(
    older: Option<OutputFormat>,
    config: OutputConfig,
    ignored: &mut Ignored,
) -> Result<Option<ResponseFormat>, Error> {
    let Some(format) = older.or_else(|| config.format.into_value()) else {
        return Ok(None);
    };
    let param = "output_config.format";
    ignored.add_members(&format.extra);
    match (format.type_.as_str(), format.schema) {
        ("text", _) => Ok(None),
        ("json_schema", Field::Value(schema)) => {
            Ok(Some(format::json_schema("output", schema, true)))
        }
        ("json_schema", _) => Err(Error::invalid(format!("{param}.schema"), "required")),
        _ => Err(Error::invalid(format!("{param}.type"), "use json_schema")),
    }
}
