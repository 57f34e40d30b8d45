//! Converts token usage.

use llm_types::messages::{MessagesUsage, OutputTokensDetails};
use llm_types::{Field, Usage, Value};

/// The usage of a message; the four counts are always set, since clients stop at nulls
/// (litellm#24176).
pub(super) fn convert(usage: &Usage) -> MessagesUsage {
    let read = usage.cached().unwrap_or(0);
    let created = cache_written(usage);
    // OpenAI counts cached tokens as part of the prompt, Anthropic beside it.
    let input = usage.prompt().saturating_sub(read.saturating_add(created));
    let output = usage.completion();
    let mut converted = counts(input, created, read, output);
    if let Some(reasoning) = usage.reasoning() {
        let mut details = OutputTokensDetails::default();
        // Together counts them separately, and sometimes reports more of them than output tokens.
        details.thinking_tokens = Some(reasoning.min(output));
        converted.output_tokens_details = Field::Value(details);
    }
    converted
}

pub(super) fn counts(input: u64, created: u64, read: u64, output: u64) -> MessagesUsage {
    let mut usage = MessagesUsage::default();
    usage.input_tokens = Some(input);
    usage.cache_creation_input_tokens = Some(created);
    usage.cache_read_input_tokens = Some(read);
    usage.output_tokens = Some(output);
    usage
}

/// Tokens written to a cache, under the names of known engines.
fn cache_written(usage: &Usage) -> u64 {
    let details = usage.prompt_tokens_details.value();
    let extra = |key| details?.extra.get(key).and_then(Value::as_u64);
    let flat = |key| usage.extra.get(key).and_then(Value::as_u64);
    details
        .and_then(|details| details.cache_write_tokens)
        .or_else(|| extra("created_cache_tokens"))
        .or_else(|| flat("cache_creation_input_tokens"))
        .unwrap_or(0)
}
