//! Errors.

use bytes::Bytes;
use http::StatusCode;
use llm_provider::ErrorKind;

use super::{Mutant, empty_answer, key, rebuilt};
use crate::mutant::Mutation::{Error, ErrorAnswer};

pub(super) const MUTANTS: &[Mutant] = &[
    (
        "cut answers are empty ones",
        "cut_answers",
        ErrorAnswer(empty_answer),
    ),
    (
        "garbage is an empty answer",
        "garbage",
        ErrorAnswer(empty_answer),
    ),
    (
        "one kind of error",
        "errors",
        Error(|error, _| error.with_kind(ErrorKind::UpstreamFailed)),
    ),
    (
        "403 is a context that is too long",
        "error_pages",
        Error(|error, _| match error.status() {
            Some(StatusCode::FORBIDDEN) => error.with_kind(ErrorKind::ContextWindow),
            _ => error,
        }),
    ),
    (
        "every failure is a bad request",
        "operation_errors",
        Error(|error, _| error.with_kind(ErrorKind::InvalidRequest)),
    ),
    (
        "another status",
        "errors",
        Error(|error, _| error.with_status(StatusCode::BAD_GATEWAY)),
    ),
    ("no body", "errors", Error(|error, _| rebuilt(&error))),
    (
        "another provider",
        "errors",
        Error(|error, _| error.with_provider("openai")),
    ),
    (
        "no retry-after",
        "errors",
        Error(|error, _| error.with_retry_after(None)),
    ),
    (
        "the key in a message",
        "repeated_secrets",
        Error(|error, settings| {
            let message = format!("{} is wrong", key(settings));
            error.with_message(message)
        }),
    ),
    (
        "the key in a body",
        "repeated_secrets",
        Error(|error, settings| error.with_body(Bytes::from(key(settings)))),
    ),
    (
        "the prompt in a message",
        "error_pages",
        Error(|error, _| {
            let body = error
                .body()
                .map(|body| String::from_utf8_lossy(body).into_owned());
            error.with_message(body.unwrap_or_default())
        }),
    ),
    (
        "any failure is a timeout",
        "unreachable_upstream",
        Error(|error, _| error.with_kind(ErrorKind::Timeout)),
    ),
    (
        "no word of what is unsent",
        "unreachable_upstream",
        Error(|error, _| rebuilt(&error)),
    ),
];
