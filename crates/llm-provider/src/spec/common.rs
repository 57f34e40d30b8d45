//! The settings that several providers have, declared once.

use std::time::Duration;

use super::setting::SettingSpec;
use super::value::{SettingValue, ValueKind};
use crate::timeouts::TOTAL;

pub(super) const API_KEY: SettingSpec =
    SettingSpec::new("api_key", ValueKind::Secret, "The key to the account");

pub(super) const API_BASE: SettingSpec = SettingSpec::new(
    "api_base",
    ValueKind::Url,
    "The address of the upstream, with or without `/v1`",
);

/// The settings of all providers: the fields of [`Settings`](crate::Settings).
pub const COMMON_SETTINGS: &[SettingSpec] = &[
    API_KEY,
    API_BASE,
    SettingSpec::new(
        "timeout",
        ValueKind::PositiveSeconds,
        "The time limit of a call that is not streamed, retries included",
    )
    .with_default(SettingValue::Seconds(TOTAL)),
    SettingSpec::new(
        "stream_timeout",
        ValueKind::PositiveSeconds,
        "The time limit of a streamed call until the head of its response, retries included; \
         by default that of `timeout`",
    ),
    SettingSpec::new(
        "connect_timeout",
        ValueKind::PositiveSeconds,
        "The time limit of connecting: name resolution, TCP, proxy and TLS",
    )
    .with_default(SettingValue::Seconds(Duration::from_secs(10))),
    SettingSpec::new(
        "first_byte_timeout",
        ValueKind::PositiveSeconds,
        "The time limit of each attempt until the head of its response",
    ),
    SettingSpec::new(
        "idle_timeout",
        ValueKind::PositiveSeconds,
        "The time limit of each wait for the next bytes of a response; by default that of the call",
    ),
    SettingSpec::new(
        "max_retries",
        ValueKind::Count { max: 100 },
        "How often a call is sent again that cannot have been billed: after a failure to connect, \
         408, 409, 429, 503 and 529",
    )
    .with_default(SettingValue::Count(2)),
    SettingSpec::new(
        "retry_billed",
        ValueKind::Bool,
        "Whether a call is also sent again that may have been billed: after a timeout, a broken \
         connection and any 5xx",
    )
    .with_default(SettingValue::Bool(false)),
    SettingSpec::new(
        "extra_headers",
        ValueKind::Headers,
        "Headers to add to each request to the upstream",
    ),
    SettingSpec::new(
        "ca_file",
        ValueKind::Path,
        "A PEM file of certificate authorities to trust besides the system's",
    ),
];

/// Whether the models of a provider take prompts instead of messages.
pub const TEXT_COMPLETION: SettingSpec = SettingSpec::new(
    "text_completion",
    ValueKind::Bool,
    "Whether the models take prompts, so that messages are sent as a prompt",
)
.with_default(SettingValue::Bool(false));

/// The settings of a provider that turns messages into prompts: LiteLLM's keys of a prompt
/// template, and the policy for control tokens.
pub const TEMPLATE_SETTINGS: &[SettingSpec] = &[
    SettingSpec::new(
        "roles",
        ValueKind::TextMap {
            keys: &["pre_message", "post_message"],
        },
        "The prompt template: for each role the texts before and after a message, or one text \
         that precedes `pre_message_sep`",
    ),
    SettingSpec::new(
        "initial_prompt_value",
        ValueKind::Text,
        "The text at the start of the prompt, after `bos_token`",
    ),
    SettingSpec::new(
        "final_prompt_value",
        ValueKind::Text,
        "The text at the end of the prompt, such as the start of the reply",
    ),
    SettingSpec::new(
        "bos_token",
        ValueKind::Text,
        "The text at the start, and before a system message that follows one of the assistant",
    ),
    SettingSpec::new(
        "eos_token",
        ValueKind::Text,
        "The text after each message of the assistant",
    ),
    SettingSpec::new(
        "pre_message_sep",
        ValueKind::Text,
        "The text between a role and its message, if `roles` has texts",
    ),
    SettingSpec::new(
        "post_message_sep",
        ValueKind::Text,
        "The text after each message, if `roles` has texts",
    ),
    SettingSpec::new(
        "control_tokens",
        ValueKind::Choice(&["neutralise", "reject", "keep"]),
        "What to do with control tokens in the content of messages: break them up, refuse the \
         request, or keep them",
    )
    .with_default(SettingValue::Text("neutralise")),
];
