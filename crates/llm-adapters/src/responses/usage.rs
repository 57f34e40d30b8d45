//! Converts token usage.

use llm_types::Usage;
use llm_types::responses::ResponsesUsage;

pub(super) fn convert(usage: &Usage) -> ResponsesUsage {
    let details = usage.prompt_tokens_details.value();
    let mut converted = counts(usage.prompt(), usage.completion());
    converted.total_tokens = usage.total();
    converted.input_tokens_details.cached_tokens = usage.cached().unwrap_or(0);
    if let Some(written) = details.and_then(|details| details.cache_write_tokens) {
        converted.input_tokens_details.cache_write_tokens = Some(written);
    }
    // Together counts them separately, and sometimes reports more of them than output tokens.
    let reasoning = usage.reasoning().unwrap_or(0).min(usage.completion());
    converted.output_tokens_details.reasoning_tokens = reasoning;
    converted
}

pub(super) fn counts(input: u64, output: u64) -> ResponsesUsage {
    let mut usage = ResponsesUsage::default();
    usage.input_tokens = input;
    usage.output_tokens = output;
    usage.total_tokens = input.saturating_add(output);
    // OpenAI's clients require it.
    usage.input_tokens_details.cache_write_tokens = Some(0);
    usage
}
