//! Errors as exceptions of `polyllm.exceptions`, by LiteLLM's names.

use llm_provider::{Error, ErrorKind};
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3::types::PyDict;

/// The exception for the error of a call to `model`.
pub(crate) fn raise(py: Python<'_>, error: &Error, model: Option<&str>) -> PyErr {
    let members = PyDict::new(py);
    let filled = (|| {
        members.set_item("llm_provider", error.provider())?;
        members.set_item("model", error.model().or(model))?;
        let status = error.status().map(|status| status.as_u16());
        members.set_item("status_code", status)?;
        members.set_item("code", error.code())?;
        members.set_item("param", error.param())?;
        let retry_after = error.retry_after().map(|wait| wait.as_secs_f64());
        members.set_item("retry_after", retry_after)?;
        members.set_item("request_id", error.upstream_id())
    })();
    match filled {
        Ok(()) => exception(py, class_of(error), &error.to_string(), &members),
        Err(error) => error,
    }
}

/// The exception for an invalid argument.
pub(crate) fn bad_request(py: Python<'_>, message: &str, param: &str) -> PyErr {
    let members = PyDict::new(py);
    match members.set_item("param", param) {
        Ok(()) => exception(py, "BadRequestError", message, &members),
        Err(error) => error,
    }
}

/// The exception for a failure of this process.
pub(crate) fn internal(error: impl std::fmt::Display) -> PyErr {
    PyRuntimeError::new_err(error.to_string())
}

/// The name of the class, which LiteLLM has for the same failure.
fn class_of(error: &Error) -> &'static str {
    let status = error.status().map(|status| status.as_u16());
    match error.kind() {
        ErrorKind::Auth => "AuthenticationError",
        ErrorKind::ContentFilter => "ContentPolicyViolationError",
        ErrorKind::ContextWindow => "ContextWindowExceededError",
        ErrorKind::InvalidRequest if status == Some(422) => "UnprocessableEntityError",
        ErrorKind::InvalidRequest => "BadRequestError",
        ErrorKind::ModelFailed => "UnprocessableEntityError",
        // Without a provider, no upstream was asked: the name itself is wrong.
        ErrorKind::NotFound if error.provider().is_none() => "LiteLLMUnknownProvider",
        ErrorKind::NotFound => "NotFoundError",
        ErrorKind::Overloaded => "ServiceUnavailableError",
        ErrorKind::Permission => "PermissionDeniedError",
        ErrorKind::RateLimited => "RateLimitError",
        ErrorKind::Timeout => "Timeout",
        ErrorKind::Transport => "APIConnectionError",
        ErrorKind::UnexpectedBody => "APIResponseValidationError",
        ErrorKind::Unsupported if error.param().is_some() => "UnsupportedParamsError",
        ErrorKind::Unsupported => "BadRequestError",
        ErrorKind::UpstreamFailed if status == Some(502) => "BadGatewayError",
        ErrorKind::UpstreamFailed => "InternalServerError",
        _ => "APIError",
    }
}

fn exception(py: Python<'_>, class: &str, message: &str, members: &Bound<'_, PyDict>) -> PyErr {
    let made = py
        .import("polyllm.exceptions")
        .and_then(|module| module.getattr(class))
        .and_then(|class| class.call((message,), Some(members)));
    made.map_or_else(|error| error, PyErr::from_value)
}
