use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use llm_provider::{Error, ErrorKind};

/// Reads an error response with OpenAI's envelope. The kind comes from the status and the code, the
/// retry advice from the headers.
///
/// If the body has no message, the error is that of [`Error::from_response`]. A 400, 413 or 422 with the
/// words of a [context overflow](is_context_overflow) is [`ErrorKind::ContextWindow`].
pub fn read_error(status: StatusCode, headers: &HeaderMap, body: Bytes) -> Error {
    let error = Error::from_response(status, headers, body.clone()).with_envelope(&body);
    if matches!(status.as_u16(), 400 | 413 | 422) && is_context_overflow(error.message()) {
        // The code that OpenAI's clients know: these servers have the status as code, or none.
        let code = "context_length_exceeded".to_owned();
        return error.with_kind(ErrorKind::ContextWindow).with_code(code);
    }
    error
}

/// Whether a message is that of a prompt that is too long. OpenAI has a code for it; vLLM, SGLang,
/// llama.cpp and Text Generation Inference do not.
pub fn is_context_overflow(message: &str) -> bool {
    OVERFLOWS.iter().any(|words| message.contains(words))
}

const OVERFLOWS: &[&str] = &[
    // vLLM, also in `max_tokens is too large: 9. This model's maximum context length is 8`.
    "maximum context length is",
    "longer than the maximum model length",
    // SGLang.
    "longer than the model's context length",
    "exceeds the model's maximum context length",
    // llama.cpp.
    "exceeds the available context size",
    // Text Generation Inference.
    "`inputs` tokens + `max_new_tokens` must be <=",
];
