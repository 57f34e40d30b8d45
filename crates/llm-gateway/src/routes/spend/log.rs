//! A usage record with the names of LiteLLM's spend logs, and its own names besides.

use gateway_store::{Money, Timestamp, UsageOutcome, UsageRecord};
use serde::Serialize;

#[derive(Serialize)]
pub(super) struct SpendLog<'r> {
    request_id: &'r str,
    call_type: &'r str,
    /// The id of the key.
    api_key: Option<&'r str>,
    key_alias: Option<&'r str>,
    spend: Money,
    total_tokens: u64,
    prompt_tokens: u64,
    completion_tokens: u64,
    cached_tokens: u64,
    reasoning_tokens: u64,
    #[serde(rename = "startTime")]
    start_time: String,
    #[serde(rename = "endTime")]
    end_time: String,
    #[serde(rename = "completionStartTime")]
    completion_start_time: Option<String>,
    model: &'r str,
    model_id: &'r str,
    model_group: &'r str,
    custom_llm_provider: &'r str,
    user: Option<&'r str>,
    team_id: Option<&'r str>,
    end_user: Option<&'r str>,
    session_id: Option<&'r str>,
    request_tags: &'r [String],
    cache_hit: &'static str,
    status: &'static str,
    outcome: UsageOutcome,
    duration_ms: u64,
    first_token_ms: Option<u64>,
    predict_ms: Option<u64>,
    attempts: u32,
    is_streamed: bool,
    is_estimated: bool,
    has_price: bool,
}

impl<'r> SpendLog<'r> {
    pub(super) fn new(record: &'r UsageRecord) -> Self {
        let after = |millis: u64| {
            let start = record.started_at.as_millis();
            let end = start.saturating_add(i64::try_from(millis).unwrap_or(i64::MAX));
            Timestamp::from_millis(end).to_string()
        };
        Self {
            request_id: &record.request_id,
            call_type: &record.endpoint,
            api_key: record.key_id.as_deref(),
            key_alias: record.key_alias.as_deref(),
            spend: record.cost,
            total_tokens: record.input_tokens.saturating_add(record.output_tokens),
            prompt_tokens: record.input_tokens,
            completion_tokens: record.output_tokens,
            cached_tokens: record.cached_tokens,
            reasoning_tokens: record.reasoning_tokens,
            start_time: after(0),
            end_time: after(record.duration_ms),
            completion_start_time: record.first_token_ms.map(after),
            model: &record.model,
            model_id: &record.deployment,
            model_group: &record.model_group,
            custom_llm_provider: &record.provider,
            user: record.user_id.as_deref(),
            team_id: record.team_id.as_deref(),
            end_user: record.end_user.as_deref(),
            session_id: record.session_id.as_deref(),
            request_tags: &record.tags,
            cache_hit: match record.outcome {
                UsageOutcome::Cached => "True",
                _ => "False",
            },
            status: match record.outcome {
                UsageOutcome::Failed => "failure",
                _ => "success",
            },
            outcome: record.outcome,
            duration_ms: record.duration_ms,
            first_token_ms: record.first_token_ms,
            predict_ms: record.predict_ms,
            attempts: record.attempts,
            is_streamed: record.is_streamed,
            is_estimated: record.is_estimated,
            has_price: record.has_price,
        }
    }
}
