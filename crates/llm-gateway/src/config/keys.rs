//! The keys of LiteLLM's `config.yaml`, by section.

/// The known keys of one section.
pub(super) struct Keys {
    /// The keys that are read.
    pub(super) read: &'static [&'static str],
    /// LiteLLM's keys that have no effect here: the file loads, with a warning.
    pub(super) ignored: &'static [&'static str],
    /// LiteLLM's keys that refuse clients or requests, and what to do instead. The file does not
    /// load, since the gateway would be more open than the file demands.
    pub(super) restricting: &'static [(&'static str, &'static str)],
}

impl Keys {
    /// Keys of a section in which LiteLLM has no others.
    pub(super) const fn only(read: &'static [&'static str]) -> Self {
        Self {
            read,
            ignored: &[],
            restricting: &[],
        }
    }

    /// What to do instead of `key`, if it refuses clients or requests.
    pub(super) fn alternative(&self, key: &str) -> Option<&'static str> {
        let known = self.restricting.iter().find(|(name, _)| *name == key);
        known.map(|(_, alternative)| *alternative)
    }

    /// All known keys.
    pub(super) fn all(&self) -> impl Iterator<Item = &'static str> {
        let known = self.read.iter().chain(self.ignored).copied();
        known.chain(self.restricting.iter().map(|(name, _)| *name))
    }
}

pub(super) const MASTER_KEY: &str = "master_key";
pub(super) const GENERAL_SETTINGS: &str = "general_settings";

pub(super) const TOP: Keys = Keys {
    read: &[
        "environment_variables",
        GENERAL_SETTINGS,
        "litellm_settings",
        "model_list",
        "router_settings",
    ],
    ignored: &[
        "callback_settings",
        "credential_list",
        "files_settings",
        "finetune_settings",
        "mcp_servers",
        "mcp_tools",
        "search_tools",
        "vector_store_registry",
    ],
    restricting: &[
        ("guardrails", CHECK_BEFORE),
        // The other files may hold a master key.
        ("include", "put the content of those files into this one"),
    ],
};

pub(super) const MODEL: Keys = Keys::only(&["litellm_params", "model_info", "model_name"]);

/// `model_info` may have any other keys, too. Those of LiteLLM that are similar to keys that are read are
/// `ignored`.
pub(super) const MODEL_INFO: Keys = Keys {
    read: &[
        "access_groups",
        "base_model",
        "cache_read_input_token_cost",
        "id",
        "input_cost_per_request",
        "input_cost_per_second",
        "input_cost_per_token",
        "max_input_tokens",
        "mode",
        "output_cost_per_second",
        "output_cost_per_token",
        "prefill_params",
        "supports_assistant_prefill",
        "supports_pdf_input",
        "tokenizer",
    ],
    ignored: &[
        "input_cost_per_audio_token",
        "input_cost_per_character",
        "input_cost_per_query",
        "max_output_tokens",
        "max_tokens",
        "model",
        "output_cost_per_character",
        "supports_audio_input",
        "supports_image_input",
        "supports_pdf_output",
    ],
    restricting: &[(
        "team_id",
        "remove this line, and list the models of each team (`models` of /team/new)",
    )],
};

pub(super) const GENERAL: Keys = Keys {
    read: &[
        "database_url",
        MASTER_KEY,
        "max_request_size_mb",
        "ssl_certfile",
        "ssl_keyfile",
        "store_responses",
    ],
    ignored: &[
        "alert_to_webhook_url",
        "alert_types",
        "alerting",
        "alerting_args",
        "alerting_threshold",
        "allow_client_side_credentials",
        "allow_requests_on_db_unavailable",
        "allow_user_auth",
        "background_health_checks",
        "completion_model",
        "custom_key_generate",
        "custom_sso",
        "database_connection_pool_limit",
        "database_connection_timeout",
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
        "forward_client_headers_to_llm_api",
        "forward_openai_org_id",
        "global_max_parallel_requests",
        "health_check_details",
        "health_check_interval",
        "image_generation_model",
        "infer_model_from_keys",
        "litellm_key_header_name",
        "litellm_license",
        "max_parallel_requests",
        "maximum_spend_logs_retention_interval",
        "maximum_spend_logs_retention_period",
        "moderation_model",
        "pass_through_endpoints",
        "proxy_batch_polling_interval",
        "proxy_batch_write_at",
        "proxy_budget_rescheduler_max_time",
        "proxy_budget_rescheduler_min_time",
        "public_routes",
        "spend_report_frequency",
        "store_model_in_db",
        "store_prompts_in_spend_logs",
        "supported_db_objects",
        "ui_access_mode",
        "use_client_credentials_pass_through_routes",
        "use_x_forwarded_for",
        "user_api_key_cache_ttl",
        "user_mcp_management_mode",
    ],
    restricting: &[
        ("admin_only_routes", RESTRICT_BEFORE),
        ("allowed_ips", RESTRICT_BEFORE),
        ("allowed_routes", RESTRICT_BEFORE),
        ("custom_auth", AUTHENTICATE),
        ("custom_auth_settings", AUTHENTICATE),
        ("enable_jwt_auth", AUTHENTICATE),
        ("enable_oauth2_auth", AUTHENTICATE),
        ("enable_oauth2_proxy_auth", AUTHENTICATE),
        ("enforce_user_param", CHECK_BEFORE),
        ("enforced_params", CHECK_BEFORE),
        ("key_management_settings", PUT_KEYS_INTO_VARIABLES),
        ("key_management_system", PUT_KEYS_INTO_VARIABLES),
        ("litellm_jwtauth", AUTHENTICATE),
        ("max_response_size_mb", LIMIT_SIZE),
        ("oauth2_config_mappings", AUTHENTICATE),
        ("reject_clientside_metadata_tags", CHECK_BEFORE),
        ("service_account_settings", CHECK_BEFORE),
        ("use_azure_key_vault", PUT_KEYS_INTO_VARIABLES),
        ("use_google_kms", PUT_KEYS_INTO_VARIABLES),
    ],
};

const AUTHENTICATE: &str = "set `master_key` and remove this line, or authenticate clients in a \
    proxy in front of the gateway";
const RESTRICT_BEFORE: &str =
    "remove this line, and restrict access in a firewall or proxy in front of the gateway";
const CHECK_BEFORE: &str = "remove this line, and check requests in front of the gateway";
const PUT_KEYS_INTO_VARIABLES: &str =
    "remove this line, and give keys in environment variables (`os.environ/NAME`)";
const BUDGETS_OF_KEYS: &str =
    "remove this line, and give budgets to keys, users or teams (`max_budget` of /key/generate)";
const LIMITS_OF_KEYS: &str = "remove this line, and give each key its limits in /key/generate";
const LIMIT_SIZE: &str = "remove this line: the gateway has limits of its own";

pub(super) const LITELLM: Keys = Keys {
    read: &[
        "allowed_fails",
        "cache",
        "cache_params",
        "content_policy_fallbacks",
        "context_window_fallbacks",
        "default_fallbacks",
        "drop_params",
        "fallbacks",
        "json_logs",
        "num_retries",
        "request_timeout",
    ],
    ignored: &[
        "add_function_to_prompt",
        "callbacks",
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
        "force_ipv4",
        "key_generation_settings",
        "langfuse_default_tags",
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
        "use_chat_completions_url_for_anthropic_messages",
    ],
    restricting: &[
        ("banned_keywords_list", CHECK_BEFORE),
        ("blocked_user_list", RESTRICT_BEFORE),
        ("guardrails", CHECK_BEFORE),
        ("max_budget", BUDGETS_OF_KEYS),
        ("max_end_user_budget", BUDGETS_OF_KEYS),
        ("max_internal_user_budget", BUDGETS_OF_KEYS),
        ("upperbound_key_generate_params", LIMITS_OF_KEYS),
    ],
};

/// LiteLLM's `callbacks` that refuse or change requests.
pub(super) const GUARDS: &[&str] = &[
    "aporia_prompt_injection",
    "banned_keywords",
    "blocked_user_check",
    "detect_prompt_injection",
    "google_text_moderation",
    "hide_secrets",
    "lakera_prompt_injection",
    "llamaguard_moderations",
    "llmguard_moderations",
    "openai_moderations",
    "presidio",
];

pub(super) const ROUTER: Keys = Keys {
    read: &[
        "allowed_fails",
        "cache_responses",
        "content_policy_fallbacks",
        "context_window_fallbacks",
        "continue_streams", // not in LiteLLM
        "cooldown_time",
        "deadline", // not in LiteLLM
        "default_fallbacks",
        "default_max_parallel_requests",
        "default_priority",
        "deployment_affinity_ttl_seconds",
        "disable_cooldowns",
        "enable_pre_call_check",
        "enable_pre_call_checks",
        "enable_tag_filtering",
        "fallbacks",
        "hedge", // not in LiteLLM
        "max_fallbacks",
        "model_group_alias",
        "num_retries",
        "optional_pre_call_checks",
        "queue", // not in LiteLLM
        "redis_db",
        "redis_host",
        "redis_password",
        "redis_port",
        "redis_ssl", // not in LiteLLM
        "redis_url",
        "redis_username", // not in LiteLLM
        "retry_policy",
        "routing_strategy",
        "stream_timeout",
        "timeout",
    ],
    // `routing::WITHOUT_EFFECT` has the reasons.
    ignored: &[
        "alerting_config",
        "allowed_fails_policy",
        "assistants_config",
        "cache_kwargs",
        "caching_groups",
        "client_ttl",
        "debug_level",
        "default_litellm_params",
        "ignore_invalid_deployments",
        "model_group_retry_policy",
        "polling_interval",
        "provider_budget_config",
        "retry_after",
        "router_general_settings",
        "routing_groups",
        "routing_strategy_args",
        "set_verbose",
        "tag_filtering_match_any",
    ],
    restricting: &[],
};
