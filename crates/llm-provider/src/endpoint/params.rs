//! The parameters of the endpoints, in alphabetical order: the members of a request besides the
//! model, the content and those that control streaming.

use crate::{ParamSpec, ValueKind};

/// OpenAI's chats.
pub(super) const CHAT: &[ParamSpec] = &[
    ParamSpec::new("audio", ValueKind::Map),
    ParamSpec::new("frequency_penalty", ValueKind::Number),
    ParamSpec::new("function_call", ValueKind::Any),
    ParamSpec::new("functions", ValueKind::List),
    ParamSpec::new("logit_bias", ValueKind::Map),
    ParamSpec::new("logprobs", ValueKind::Any),
    ParamSpec::new("max_completion_tokens", ValueKind::Integer),
    ParamSpec::new("max_tokens", ValueKind::Integer),
    ParamSpec::new("metadata", ValueKind::Map),
    ParamSpec::new("modalities", ValueKind::List),
    ParamSpec::new("moderation", ValueKind::Any),
    ParamSpec::new("n", ValueKind::Integer),
    ParamSpec::new("parallel_tool_calls", ValueKind::Bool),
    ParamSpec::new("prediction", ValueKind::Map),
    ParamSpec::new("presence_penalty", ValueKind::Number),
    ParamSpec::new("prompt_cache_key", ValueKind::Text),
    ParamSpec::new("prompt_cache_options", ValueKind::Any),
    ParamSpec::new("prompt_cache_retention", ValueKind::Text),
    ParamSpec::new("reasoning_effort", ValueKind::Text),
    ParamSpec::new("response_format", ValueKind::Map),
    ParamSpec::new("safety_identifier", ValueKind::Text),
    ParamSpec::new("seed", ValueKind::Integer),
    ParamSpec::new("service_tier", ValueKind::Text),
    ParamSpec::new("stop", ValueKind::Any),
    ParamSpec::new("store", ValueKind::Bool),
    ParamSpec::new("temperature", ValueKind::Number),
    ParamSpec::new("tool_choice", ValueKind::Any),
    ParamSpec::new("tools", ValueKind::List),
    ParamSpec::new("top_logprobs", ValueKind::Integer),
    ParamSpec::new("top_p", ValueKind::Number),
    ParamSpec::new("user", ValueKind::Text),
    ParamSpec::new("verbosity", ValueKind::Text),
    ParamSpec::new("web_search_options", ValueKind::Map),
];

/// OpenAI's text completions.
pub(super) const COMPLETIONS: &[ParamSpec] = &[
    ParamSpec::new("best_of", ValueKind::Integer),
    ParamSpec::new("echo", ValueKind::Bool),
    ParamSpec::new("frequency_penalty", ValueKind::Number),
    ParamSpec::new("logit_bias", ValueKind::Map),
    ParamSpec::new("logprobs", ValueKind::Any),
    ParamSpec::new("max_tokens", ValueKind::Integer),
    ParamSpec::new("n", ValueKind::Integer),
    ParamSpec::new("presence_penalty", ValueKind::Number),
    ParamSpec::new("seed", ValueKind::Integer),
    ParamSpec::new("stop", ValueKind::Any),
    ParamSpec::new("suffix", ValueKind::Text),
    ParamSpec::new("temperature", ValueKind::Number),
    ParamSpec::new("top_p", ValueKind::Number),
    ParamSpec::new("user", ValueKind::Text),
];

/// OpenAI's embeddings.
pub(super) const EMBEDDINGS: &[ParamSpec] = &[
    ParamSpec::new("dimensions", ValueKind::Integer),
    ParamSpec::new("encoding_format", ValueKind::Text),
    ParamSpec::new("user", ValueKind::Text),
];

/// Cohere's rerank, versions 1 and 2.
pub(super) const RERANK: &[ParamSpec] = &[
    ParamSpec::new("max_chunks_per_doc", ValueKind::Integer),
    ParamSpec::new("max_tokens_per_doc", ValueKind::Integer),
    ParamSpec::new("rank_fields", ValueKind::List),
    ParamSpec::new("return_documents", ValueKind::Bool),
    ParamSpec::new("top_n", ValueKind::Integer),
];

#[cfg(test)]
mod tests {
    use crate::endpoint::ENDPOINTS;

    #[test]
    fn parameters_are_in_alphabetical_order() {
        for endpoint in ENDPOINTS {
            let params = endpoint.params();
            assert!(params.is_sorted_by(|a, b| a.name < b.name), "{endpoint:?}");
        }
    }
}
