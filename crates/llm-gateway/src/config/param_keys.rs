//! LiteLLM's keys of `litellm_params` besides settings and parameters, which are declared by
//! providers and endpoints.

/// The model with its provider's prefix.
pub(super) const MODEL: &str = "model";

/// What the weight of a deployment is read from; the first that a model group has counts.
pub(super) const METRICS: [&str; 3] = ["weight", "rpm", "tpm"];

/// LiteLLM's other names of settings. If both are set, the setting's own name wins.
pub(super) const ALIASES: &[(&str, &str)] =
    &[("base_url", "api_base"), ("headers", "extra_headers")];

/// Parameters under any name.
pub(super) const EXTRA_BODY: &str = "extra_body";

/// Members of a request that only its client sets.
pub(super) const SET_BY_REQUESTS: &[&str] = &[
    "documents",
    "input",
    "messages",
    "model",
    "prompt",
    "query",
    "stream",
    "stream_options",
];

/// LiteLLM's keys that have no effect here, apart from the settings of some providers.
pub(super) const IGNORED: &[&str] = &[
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
    "fallbacks",
    "hf_model_name",
    "litellm_credential_name",
    "max_budget",
    "max_file_size_mb",
    "merge_reasoning_content_in_choices",
    "mock_response",
    "num_retries",
    "organization",
    "region_name",
    "supports_system_prompt",
    "tenant_id",
    "use_in_pass_through",
    "use_litellm_proxy",
    "vertex_credentials",
    "vertex_location",
    "vertex_project",
    "watsonx_region_name",
];

/// All keys that are not settings or parameters.
pub(super) fn all() -> impl Iterator<Item = &'static str> {
    let aliases = ALIASES.iter().map(|(alias, _)| *alias);
    let metrics = METRICS.into_iter();
    let others = [MODEL, EXTRA_BODY].into_iter();
    others
        .chain(metrics)
        .chain(super::limits::PARAMS.map(|(name, _)| name))
        .chain(aliases)
        .chain(IGNORED.iter().copied())
}
