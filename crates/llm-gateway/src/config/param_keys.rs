//! The keys of `litellm_params`: settings of a deployment, and parameters of requests.

/// The settings that every provider has.
const SETTINGS: &[&str] = &[
    "api_base",
    "api_key",
    "base_url",
    "ca_file",         // ours
    "connect_timeout", // ours
    "extra_headers",
    "first_byte_timeout", // ours
    "headers",
    "idle_timeout", // ours
    "max_retries",
    "model",
    "retry_billed", // ours
    "rpm",
    "stream_timeout",
    TEXT_COMPLETION,
    "timeout",
    "tpm",
    "weight",
];

/// Ours: the model takes prompts, so that a chat is written as one.
pub(super) const TEXT_COMPLETION: &str = "text_completion";

/// LiteLLM's prompt template, which the provider applies.
pub(super) const TEMPLATE_TEXTS: &[&str] = &[
    "bos_token",
    "control_tokens", // ours: keep, neutralise or reject
    "eos_token",
    "final_prompt_value",
    "initial_prompt_value",
    "post_message_sep",
    "pre_message_sep",
];

pub(super) const TEMPLATE_ROLES: &str = "roles";

pub(super) const TEMPLATE_ROLE: &[&str] = &["post_message", "pre_message"];

/// The settings of providers whose models have to boot, in seconds.
pub(super) const PROVIDER_SECONDS: &[&str] = &["boot_timeout", "prefer_wait", "run_timeout"];

/// Parameters that the APIs of OpenAI and Together do not have are sent if they stand in here.
pub(super) const EXTRA_BODY: &str = "extra_body";

/// Members of a request that its client alone sets.
pub(super) const OF_THE_REQUEST: &[&str] = &[
    "documents",
    "input",
    "messages",
    "model",
    "prompt",
    "query",
    "stream",
    "stream_options",
];

/// LiteLLM's keys that have no effect here.
pub(super) const IGNORED: &[&str] = &[
    "additional_drop_params",
    "allowed_openai_params",
    "api_type",
    "api_version",
    "aws_access_key_id",
    "aws_profile_name",
    "aws_region_name",
    "aws_role_name",
    "aws_secret_access_key",
    "aws_session_name",
    "aws_session_token",
    "azure_ad_token",
    "base_model",
    "budget_duration",
    "cache_control_injection_points",
    "client_id",
    "client_secret",
    "configurable_clientside_auth_params",
    "cooldown_time",
    "custom_llm_provider",
    "custom_prompt_dict",
    "default_api_key_rpm_limit",
    "default_api_key_tpm_limit",
    "deployment_id",
    "drop_params",
    "fallbacks",
    "hf_model_name",
    "input_cost_per_second",
    "input_cost_per_token",
    "litellm_credential_name",
    "max_budget",
    "max_file_size_mb",
    "max_parallel_requests",
    "merge_reasoning_content_in_choices",
    "mock_response",
    "num_retries",
    "order",
    "organization",
    "output_cost_per_second",
    "output_cost_per_token",
    "region_name",
    "supports_system_prompt",
    "tags",
    "tenant_id",
    "use_in_pass_through",
    "use_litellm_proxy",
    "vertex_credentials",
    "vertex_location",
    "vertex_project",
    "watsonx_region_name",
];

/// Every key that is known.
pub(super) fn all() -> impl Iterator<Item = &'static str> {
    SETTINGS
        .iter()
        .chain(TEMPLATE_TEXTS)
        .chain(&[TEMPLATE_ROLES, EXTRA_BODY])
        .chain(PROVIDER_SECONDS)
        .chain(IGNORED)
        .copied()
        .chain(PARAMS.iter().map(|(name, _)| *name))
}

/// What a request parameter has to be.
#[derive(Clone, Copy)]
pub(super) enum Kind {
    Any,
    Bool,
    Integer,
    List,
    Map,
    Number,
    Text,
}

/// What the parameter `key` has to be, if it is known.
pub(super) fn kind(key: &str) -> Option<Kind> {
    let known = PARAMS.binary_search_by_key(&key, |(name, _)| *name).ok()?;
    Some(PARAMS[known].1)
}

/// The parameters of the APIs that the gateway speaks, in alphabetical order: OpenAI's chats,
/// completions and embeddings, Cohere's rerank, Together's additions to them, and the inputs that
/// Replicate documents for its language models.
const PARAMS: &[(&str, Kind)] = &[
    ("audio", Kind::Map),
    ("best_of", Kind::Integer),
    ("chat_template_kwargs", Kind::Map),
    ("compliance", Kind::Text),
    ("context_length_exceeded_behavior", Kind::Text),
    ("debug", Kind::Bool),
    ("decoding", Kind::Text),
    ("dimensions", Kind::Integer),
    ("echo", Kind::Bool),
    ("encoding_format", Kind::Text),
    ("extended_thinking", Kind::Bool),
    ("frequency_penalty", Kind::Number),
    ("function_call", Kind::Any),
    ("functions", Kind::List),
    ("image", Kind::Text),
    ("image_input", Kind::Any),
    ("length_penalty", Kind::Number),
    ("log_performance_metrics", Kind::Bool),
    ("logit_bias", Kind::Map),
    ("logprobs", Kind::Any),
    ("max_chunks_per_doc", Kind::Integer),
    ("max_completion_tokens", Kind::Integer),
    ("max_image_resolution", Kind::Number),
    ("max_length", Kind::Integer),
    ("max_new_tokens", Kind::Integer),
    ("max_output_tokens", Kind::Integer),
    ("max_tokens", Kind::Integer),
    ("max_tokens_per_doc", Kind::Integer),
    ("metadata", Kind::Map),
    ("min_new_tokens", Kind::Integer),
    ("min_p", Kind::Number),
    ("min_tokens", Kind::Integer),
    ("modalities", Kind::List),
    ("moderation", Kind::Any),
    ("n", Kind::Integer),
    ("num_beams", Kind::Integer),
    ("parallel_tool_calls", Kind::Bool),
    ("prediction", Kind::Map),
    ("presence_penalty", Kind::Number),
    ("prompt_cache_key", Kind::Text),
    ("prompt_cache_options", Kind::Any),
    ("prompt_cache_retention", Kind::Text),
    ("prompt_template", Kind::Text),
    ("rank_fields", Kind::List),
    ("reasoning", Kind::Any),
    ("reasoning_effort", Kind::Text),
    ("repetition_penalty", Kind::Number),
    ("replicate_weights", Kind::Text),
    ("response_format", Kind::Map),
    ("return_documents", Kind::Bool),
    ("safety_identifier", Kind::Text),
    ("safety_model", Kind::Text),
    ("seed", Kind::Integer),
    ("service_tier", Kind::Text),
    ("stop", Kind::Any),
    ("stop_sequences", Kind::Any),
    ("store", Kind::Bool),
    ("suffix", Kind::Text),
    ("system_prompt", Kind::Text),
    ("temperature", Kind::Number),
    ("thinking_budget_tokens", Kind::Integer),
    ("tool_choice", Kind::Any),
    ("tools", Kind::List),
    ("top_k", Kind::Integer),
    ("top_logprobs", Kind::Integer),
    ("top_n", Kind::Integer),
    ("top_p", Kind::Number),
    ("user", Kind::Text),
    ("verbosity", Kind::Text),
    ("web_search_options", Kind::Map),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parameters_are_in_alphabetical_order() {
        assert!(PARAMS.is_sorted_by(|(a, _), (b, _)| a < b));
        assert!(kind("audio").is_some() && kind("web_search_options").is_some());
        assert!(kind("watermark").is_none());
    }
}
