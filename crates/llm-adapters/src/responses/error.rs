//! Codes of errors.

/// The code of a failed response, from the HTTP status and code of a chat error.
///
/// Codex compacts the conversation at `context_length_exceeded`, stops at `insufficient_quota`, waits
/// at `rate_limit_exceeded`, and retries at all others.
pub fn error_code(status: u16, code: Option<&str>) -> &'static str {
    match (status, code) {
        (_, Some("context_length_exceeded")) => "context_length_exceeded",
        (_, Some("insufficient_quota")) | (402, _) => "insufficient_quota",
        (429, _) => "rate_limit_exceeded",
        // The fault is in the configuration of the upstream, not in the request.
        (401 | 403 | 404, _) => "server_error",
        (400..500, _) => "invalid_prompt",
        _ => "server_error",
    }
}
