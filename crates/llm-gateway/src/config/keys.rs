//! The keys of LiteLLM's `config.yaml`, by section.
//!
//! Those under `LATER` are real keys of LiteLLM that mean nothing here yet: the file loads and a
//! warning says so.

pub(super) const TOP: &[&str] = &[
    "environment_variables",
    "general_settings",
    "litellm_settings",
    "model_list",
    "router_settings",
];

pub(super) const TOP_LATER: &[&str] = &[
    "callback_settings",
    "credential_list",
    "files_settings",
    "finetune_settings",
    "guardrails",
    "include",
    "mcp_servers",
    "mcp_tools",
    "search_tools",
    "vector_store_registry",
];

pub(super) const MODEL: &[&str] = &["litellm_params", "model_info", "model_name"];

/// `model_info` holds whatever its author likes; only its `id` and `mode` are read.
pub(super) const GENERAL: &[&str] = &["master_key"];

pub(super) const GENERAL_LATER: &[&str] = &[
    "admin_only_routes",
    "alert_to_webhook_url",
    "alert_types",
    "alerting",
    "alerting_args",
    "alerting_threshold",
    "allow_client_side_credentials",
    "allow_requests_on_db_unavailable",
    "allow_user_auth",
    "allowed_ips",
    "allowed_routes",
    "background_health_checks",
    "completion_model",
    "custom_auth",
    "custom_key_generate",
    "custom_sso",
    "database_connection_pool_limit",
    "database_connection_timeout",
    "database_url",
    "default_team_disabled",
    "disable_adding_master_key_hash_to_db",
    "disable_master_key_return",
    "disable_prisma_schema_update",
    "disable_reset_budget",
    "disable_responses_id_security",
    "disable_retry_on_max_parallel_request_limit_error",
    "disable_spend_logs",
    "disable_spend_updates",
    "embedding_model",
    "enable_jwt_auth",
    "enable_oauth2_auth",
    "enable_oauth2_proxy_auth",
    "enforce_user_param",
    "enforced_params",
    "forward_client_headers_to_llm_api",
    "forward_openai_org_id",
    "global_max_parallel_requests",
    "health_check_details",
    "health_check_interval",
    "image_generation_model",
    "infer_model_from_keys",
    "key_management_settings",
    "key_management_system",
    "litellm_jwtauth",
    "litellm_key_header_name",
    "litellm_license",
    "max_parallel_requests",
    "max_request_size_mb",
    "max_response_size_mb",
    "maximum_spend_logs_retention_interval",
    "maximum_spend_logs_retention_period",
    "moderation_model",
    "oauth2_config_mappings",
    "pass_through_endpoints",
    "proxy_batch_polling_interval",
    "proxy_batch_write_at",
    "proxy_budget_rescheduler_max_time",
    "proxy_budget_rescheduler_min_time",
    "public_routes",
    "reject_clientside_metadata_tags",
    "service_account_settings",
    "spend_report_frequency",
    "store_model_in_db",
    "store_prompts_in_spend_logs",
    "supported_db_objects",
    "ui_access_mode",
    "use_azure_key_vault",
    "use_client_credentials_pass_through_routes",
    "use_google_kms",
    "use_x_forwarded_for",
    "user_api_key_cache_ttl",
    "user_mcp_management_mode",
];

pub(super) const LITELLM: &[&str] = &["drop_params", "num_retries", "request_timeout"];

pub(super) const LITELLM_LATER: &[&str] = &[
    "add_function_to_prompt",
    "allowed_fails",
    "cache",
    "cache_params",
    "callbacks",
    "content_policy_fallbacks",
    "context_window_fallbacks",
    "default_fallbacks",
    "default_internal_user_params",
    "default_team_settings",
    "disable_add_transform_inline_image_block",
    "disable_copilot_system_to_assistant",
    "disable_end_user_cost_tracking",
    "disable_end_user_cost_tracking_prometheus_only",
    "disable_hf_tokenizer_download",
    "enable_json_schema_validation",
    "enable_key_alias_format_validation",
    "enable_preview_features",
    "failure_callback",
    "fallbacks",
    "force_ipv4",
    "json_logs",
    "key_generation_settings",
    "langfuse_default_tags",
    "max_budget",
    "max_end_user_budget",
    "max_internal_user_budget",
    "mcp_aliases",
    "modify_params",
    "redact_user_api_key_info",
    "s3_callback_params",
    "service_callbacks",
    "set_verbose",
    "ssl_verify",
    "success_callback",
    "telemetry",
    "turn_off_message_logging",
    "upperbound_key_generate_params",
    "use_chat_completions_url_for_anthropic_messages",
];

pub(super) const ROUTER: &[&str] = &[
    "num_retries",
    "routing_strategy",
    "stream_timeout",
    "timeout",
];

pub(super) const ROUTER_LATER: &[&str] = &[
    "allowed_fails",
    "allowed_fails_policy",
    "cache_kwargs",
    "cache_responses",
    "client_ttl",
    "content_policy_fallbacks",
    "context_window_fallbacks",
    "cooldown_time",
    "debug_level",
    "default_fallbacks",
    "default_litellm_params",
    "default_max_parallel_requests",
    "default_priority",
    "disable_cooldowns",
    "enable_pre_call_check",
    "enable_pre_call_checks",
    "enable_tag_filtering",
    "fallbacks",
    "max_fallbacks",
    "model_group_alias",
    "model_group_retry_policy",
    "optional_pre_call_checks",
    "polling_interval",
    "provider_budget_config",
    "redis_db",
    "redis_host",
    "redis_password",
    "redis_port",
    "redis_url",
    "retry_after",
    "retry_policy",
    "routing_strategy_args",
    "set_verbose",
    "tag_filtering_match_any",
];

/// What of `litellm_params` is about the deployment, not about the request.
pub(super) const SETTINGS: &[&str] = &[
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
    "text_completion", // ours: the model takes prompts, not chats
    "timeout",
    "tpm",
    "weight",
];

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

/// What providers whose models have to boot understand, in seconds.
pub(super) const PROVIDER_SECONDS: &[&str] = &["boot_timeout", "prefer_wait", "run_timeout"];

pub(super) const SETTINGS_LATER: &[&str] = &[
    "additional_drop_params",
    "allowed_openai_params",
    "api_version",
    "aws_access_key_id",
    "aws_profile_name",
    "aws_region_name",
    "aws_role_name",
    "aws_secret_access_key",
    "aws_session_name",
    "aws_session_token",
    "azure_ad_token",
    "budget_duration",
    "client_id",
    "client_secret",
    "configurable_clientside_auth_params",
    "cooldown_time",
    "custom_llm_provider",
    "default_api_key_rpm_limit",
    "default_api_key_tpm_limit",
    "drop_params",
    "extra_body",
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

/// What a request parameter has to be, for those that are known.
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
    PARAMS
        .iter()
        .find(|(name, _)| *name == key)
        .map(|(_, kind)| *kind)
}

pub(super) const PARAMS: &[(&str, Kind)] = &[
    ("best_of", Kind::Integer),
    ("dimensions", Kind::Integer),
    ("echo", Kind::Bool),
    ("encoding_format", Kind::Text),
    ("frequency_penalty", Kind::Number),
    ("logit_bias", Kind::Map),
    ("logprobs", Kind::Any),
    ("max_chunks_per_doc", Kind::Integer),
    ("max_completion_tokens", Kind::Integer),
    ("max_length", Kind::Integer),
    ("max_new_tokens", Kind::Integer),
    ("max_tokens", Kind::Integer),
    ("max_tokens_per_doc", Kind::Integer),
    ("metadata", Kind::Map),
    ("min_new_tokens", Kind::Integer),
    ("min_p", Kind::Number),
    ("min_tokens", Kind::Integer),
    ("n", Kind::Integer),
    ("parallel_tool_calls", Kind::Bool),
    ("presence_penalty", Kind::Number),
    ("prompt_template", Kind::Text),
    ("rank_fields", Kind::List),
    ("reasoning_effort", Kind::Text),
    ("repetition_penalty", Kind::Number),
    ("response_format", Kind::Map),
    ("return_documents", Kind::Bool),
    ("safety_model", Kind::Text),
    ("seed", Kind::Integer),
    ("stop", Kind::Any),
    ("stop_sequences", Kind::Any),
    ("suffix", Kind::Text),
    ("system_prompt", Kind::Text),
    ("temperature", Kind::Number),
    ("tool_choice", Kind::Any),
    ("tools", Kind::List),
    ("top_k", Kind::Integer),
    ("top_logprobs", Kind::Integer),
    ("top_n", Kind::Integer),
    ("top_p", Kind::Number),
    ("user", Kind::Text),
];
