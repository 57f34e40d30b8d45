//! [`ResponsesReplies`]: converts the replies to one request.

use llm_types::responses::{ResponsesRequest, ResponsesResponse, ResponsesStatus};
use llm_types::{ChatResponse, Value};

use super::request::{ENCRYPTED, LOGPROBS};
use super::stream::ResponsesStream;
use super::tool_names::ToolNames;
use super::tools::Tools;
use crate::error::Error;
use crate::pieces;

/// Converts the replies to one request, in one piece or as a stream.
#[derive(Clone, Debug)]
pub struct ResponsesReplies {
    /// The response before it has output.
    pub(super) template: ResponsesResponse,
    pub(super) id: Option<String>,
    pub(super) created_at: Option<u64>,
    pub(super) completed_at: Option<u64>,
    pub(super) names: ToolNames,
    /// Whether only the first tool call is passed on.
    pub(super) single_call: bool,
    pub(super) logprobs: bool,
    /// Whether reasoning has `encrypted_content`.
    pub(super) is_encrypted: bool,
    pub(super) input_tokens: u64,
    pub(super) max_output_bytes: usize,
}

impl ResponsesReplies {
    pub(super) fn new(
        request: &ResponsesRequest,
        tools: &Tools,
        template: ResponsesResponse,
    ) -> Self {
        Self {
            template,
            id: None,
            created_at: None,
            completed_at: None,
            names: tools.names.clone(),
            single_call: tools.tools.is_some() && request.parallel_tool_calls == Some(false),
            logprobs: includes(request, LOGPROBS),
            is_encrypted: includes(request, ENCRYPTED),
            input_tokens: 0,
            max_output_bytes: MAX_OUTPUT_BYTES,
        }
    }

    /// Sets the id of the response; by default, it is made from the upstream's id.
    #[must_use]
    pub fn with_id(mut self, id: impl Into<String>) -> Self {
        self.id = Some(id.into());
        self
    }

    /// Sets the time of creation, in seconds of Unix time; by default, it is that of the upstream's
    /// reply.
    #[must_use]
    pub fn with_created_at(mut self, time: u64) -> Self {
        self.created_at = Some(time);
        self
    }

    /// Sets the time of completion, in seconds of Unix time; by default, the time of creation stands
    /// for it. [`ResponsesStream::set_completed_at`] sets that of a stream.
    #[must_use]
    pub fn with_completed_at(mut self, time: u64) -> Self {
        self.completed_at = Some(time);
        self
    }

    /// Sets the model that the reply names; by default, that of the request.
    #[must_use]
    pub fn with_model(mut self, model: impl Into<String>) -> Self {
        self.template.model = model.into();
        self
    }

    /// Sets a member of the response, such as `store` if the caller stores it.
    #[must_use]
    pub fn with_member(mut self, key: impl Into<String>, value: impl Into<Value>) -> Self {
        self.template.extra.insert(key.into(), value.into());
        self
    }

    /// Sets an estimate of the prompt's tokens for upstreams that do not report usage; 0 by default.
    #[must_use]
    pub fn with_input_tokens(mut self, tokens: u64) -> Self {
        self.input_tokens = tokens;
        self
    }

    /// Sets how many bytes of output a stream may hold; 32 MiB by default. The last event repeats
    /// the whole output. A stream that exceeds it fails.
    #[must_use]
    pub fn with_max_output_bytes(mut self, bytes: usize) -> Self {
        self.max_output_bytes = bytes;
        self
    }

    /// Converts a reply in one piece. It is the same as the reply's stream, joined.
    ///
    /// # Errors
    ///
    /// If the reply has no choice, or reports that it failed.
    pub fn reply(self, chat: ChatResponse) -> Result<ResponsesResponse, Error> {
        let mut stream = ResponsesStream::whole(self.with_max_output_bytes(usize::MAX));
        let mut last = None;
        for chunk in pieces::chunks(chat)? {
            last = stream.push(chunk).next_back().or(last);
        }
        last = stream.finish().next_back().or(last);
        let failed = || Error::reply("the model failed");
        let response = last.and_then(|event| event.response).ok_or_else(failed)?;
        match response.status.value() {
            Some(ResponsesStatus::Failed) => Err(failed()),
            _ => Ok(*response),
        }
    }

    /// Starts to convert a stream.
    pub fn stream(self) -> ResponsesStream {
        ResponsesStream::new(self)
    }
}

fn includes(request: &ResponsesRequest, name: &str) -> bool {
    request
        .include
        .iter()
        .flatten()
        .any(|member| member == name)
}

const MAX_OUTPUT_BYTES: usize = 32 << 20;
