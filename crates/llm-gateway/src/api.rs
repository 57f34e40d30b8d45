//! [`Api`]: the API that a client uses.

use http::StatusCode;
use http::header::{HeaderMap, HeaderValue, USER_AGENT};
use llm_adapters::messages::chat_error;
use llm_types::Field;
use llm_types::messages::MessagesErrorResponse;

use crate::error::ApiError;

/// The API that a client uses; it decides the form of errors and of the list of models.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Api {
    Anthropic,
    OpenAi,
}

impl Api {
    /// The API of a request: Anthropic's clients are recognized by the path or by their headers.
    pub(crate) fn of(path: &str, headers: &HeaderMap) -> Self {
        let path = path.strip_prefix("/v1").unwrap_or(path);
        let is_path = |prefix: &str| {
            let rest = path.strip_prefix(prefix);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        let is_claude_code = || {
            let agent = headers.get(USER_AGENT).map(HeaderValue::as_bytes);
            agent.is_some_and(|agent| agent.starts_with(b"claude-cli"))
        };
        if is_path("/anthropic")
            || is_path("/messages")
            || headers.contains_key(VERSION)
            || is_claude_code()
        {
            Self::Anthropic
        } else {
            Self::OpenAi
        }
    }

    /// The status and the body of an error.
    pub(crate) fn error(self, error: &ApiError, request_id: &HeaderValue) -> (StatusCode, Vec<u8>) {
        match self {
            Self::OpenAi => (error.status(), error.body()),
            Self::Anthropic => {
                let mut body = messages_error(error);
                let id = request_id.to_str().unwrap_or_default();
                body.request_id = Field::Value(id.to_owned());
                // Serialization fails only for maps whose keys are not strings.
                let body = serde_json::to_vec(&body).unwrap_or_default();
                let status = match error.status() {
                    StatusCode::SERVICE_UNAVAILABLE => StatusCode::from_u16(OVERLOADED),
                    other => Ok(other),
                };
                (status.unwrap_or(StatusCode::SERVICE_UNAVAILABLE), body)
            }
        }
    }
}

/// The error as the Messages API has it.
pub(crate) fn messages_error(error: &ApiError) -> MessagesErrorResponse {
    let chat = error.error();
    let mut body = chat_error(error.status().as_u16(), &chat);
    if let Some(code) = chat.error.code() {
        body.error = body.error.with_error_code(code);
    }
    body
}

/// A header of every request of Anthropic's SDKs.
const VERSION: &str = "anthropic-version";
/// Anthropic's status for an overloaded server.
const OVERLOADED: u16 = 529;
