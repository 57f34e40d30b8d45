//! Converts errors.

use llm_types::ErrorResponse;
use llm_types::messages::{MessagesError, MessagesErrorResponse};

use crate::error::{Error, ErrorKind};

/// The type of an error of the Messages API for an HTTP status.
pub fn error_type(status: u16) -> &'static str {
    match status {
        401 => "authentication_error",
        402 => "billing_error",
        403 => "permission_error",
        404 => "not_found_error",
        409 => "conflict_error",
        413 => "request_too_large",
        429 => "rate_limit_error",
        408 | 504 => "timeout_error",
        503 | 529 => "overloaded_error",
        400..500 => "invalid_request_error",
        _ => "api_error",
    }
}

/// Converts the error of a chat call.
///
/// A prompt that is too long gets the wording by which agents recognize the error and shorten the
/// conversation.
pub fn chat_error(status: u16, error: &ErrorResponse) -> MessagesErrorResponse {
    let message = &error.error.message;
    let is_too_long = error.error.code().as_deref() == Some("context_length_exceeded");
    let message = if is_too_long && !message.starts_with(TOO_LONG) {
        format!("{TOO_LONG}: {message}")
    } else {
        message.clone()
    };
    MessagesError::new(error_type(status), message).into()
}

/// Converts an error of this crate.
impl From<&Error> for MessagesError {
    fn from(error: &Error) -> Self {
        let type_ = match error.kind() {
            ErrorKind::InvalidReply => "api_error",
            ErrorKind::InvalidRequest | ErrorKind::Unsupported => "invalid_request_error",
        };
        let converted = Self::new(type_, error.to_string());
        match error.code() {
            Some(code) => converted.with_error_code(code),
            None => converted,
        }
    }
}

const TOO_LONG: &str = "prompt is too long";
