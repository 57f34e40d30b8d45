//! Converts predictions to OpenAI text completions. A chat is converted from these at the end.

use std::time::{SystemTime, UNIX_EPOCH};

use llm_provider::{Chunk, Document, Metadata, ReplyEvent, Result};
use llm_types::completions::{CompletionChoice, CompletionResponse};
use llm_types::{CompletionTokensDetails, FinishReason, Usage};
use replicate_api::Prediction;
use serde_json::Value;

use crate::NAME;
use crate::input::Input;

/// Builds the reply, or the chunks, of one prediction.
#[derive(Clone, Debug)]
pub(crate) struct ReplyBuilder {
    /// The prefix of the reply's id.
    prefix: &'static str,
    id: String,
    created: u64,
    model: String,
    max_tokens: Option<u64>,
    prompt_chars: usize,
    separator: &'static str,
}

impl ReplyBuilder {
    pub(crate) fn new(prediction: &Prediction, model: &str, input: &Input) -> Self {
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        Self {
            prefix: input.id_prefix,
            id: format!("{}{}", input.id_prefix, prediction.id),
            created: now.as_secs(),
            model: model.to_owned(),
            max_tokens: input.max_tokens,
            prompt_chars: input.prompt_chars(),
            separator: input.separator,
        }
    }

    /// A builder for another prediction of the same call.
    pub(crate) fn of(&self, prediction: &Prediction) -> Self {
        Self {
            id: format!("{}{}", self.prefix, prediction.id),
            ..self.clone()
        }
    }

    /// The text of the output so far.
    pub(crate) fn text(&self, prediction: &Prediction) -> Result<String> {
        prediction.text_with(self.separator)
    }

    /// The text between the items of the output.
    pub(crate) fn separator(&self) -> &'static str {
        self.separator
    }

    /// The complete reply.
    pub(crate) fn complete(&self, prediction: &Prediction, text: String) -> CompletionResponse {
        let usage = self.usage(prediction, &text);
        self.response(text, Some(self.finish_reason(prediction)))
            .with_usage(usage)
    }

    /// A chunk with a piece of the text.
    pub(crate) fn chunk(&self, text: &str) -> ReplyEvent {
        let chunk = Chunk::new(Document::new(&self.response(text, None)));
        ReplyEvent::Chunk(chunk.with_output(!text.is_empty()))
    }

    /// The last chunks of a stream: the finish reason, then the usage. The usage also has the times,
    /// which were unknown when the stream's metadata was built.
    pub(crate) fn last_chunks(&self, prediction: &Prediction, text: &str) -> [ReplyEvent; 2] {
        let mut usage = self.usage(prediction, text);
        usage.extra.extend(times(prediction));
        let finish = self.response("", Some(self.finish_reason(prediction)));
        let last = self.empty().with_usage(usage.clone());
        [
            ReplyEvent::Chunk(Chunk::new(Document::new(&finish)).with_finish(true)),
            ReplyEvent::Chunk(Chunk::new(Document::new(&last)).with_usage(usage)),
        ]
    }

    fn response(
        &self,
        text: impl Into<String>,
        finish: Option<FinishReason>,
    ) -> CompletionResponse {
        self.empty()
            .with_choice(CompletionChoice::new(0, text, finish))
    }

    fn empty(&self) -> CompletionResponse {
        CompletionResponse::new(self.id.as_str(), self.created, self.model.as_str())
    }

    /// Replicate reports no finish reason, only the number of tokens.
    fn finish_reason(&self, prediction: &Prediction) -> FinishReason {
        match (tokens(prediction, OUTPUT), self.max_tokens) {
            (Some(written), Some(limit)) if written >= limit => FinishReason::Length,
            _ => FinishReason::Stop,
        }
    }

    /// The token counts that Replicate reports. If one is missing, it is estimated and the usage is
    /// marked.
    fn usage(&self, prediction: &Prediction, text: &str) -> Usage {
        let (input, output) = (tokens(prediction, INPUT), tokens(prediction, OUTPUT));
        let estimate = |chars: usize| chars.div_ceil(CHARS_PER_TOKEN) as u64;
        let mut usage = Usage::new(
            input.unwrap_or_else(|| estimate(self.prompt_chars)),
            output.unwrap_or_else(|| estimate(text.chars().count())),
        );
        if let Some(count) = logged(prediction, REASONING) {
            let mut details = CompletionTokensDetails::default();
            let most = usage.completion_tokens.unwrap_or(count);
            details.reasoning_tokens = Some(count.min(most));
            usage.completion_tokens_details = details.into();
        }
        if input.is_none() || output.is_none() {
            usage.extra.insert("estimated".to_owned(), true.into());
        }
        usage
    }
}

/// The metadata of a call, when its prediction has been created or has ended.
pub(crate) fn metadata(prediction: &Prediction, model: &str, input: &Input) -> Metadata {
    let mut metadata = Metadata::new(NAME, model);
    metadata.upstream_id = Some(prediction.id.clone());
    metadata.dropped_params = input.dropped.clone();
    let extra = [
        ("prompt_template", Some(input.format.0)),
        ("prompt_template_source", Some(input.format.1)),
        ("web_url", prediction.url("web")),
    ];
    let members = extra
        .into_iter()
        .filter_map(|(name, value)| Some((name.to_owned(), value?.into())));
    metadata.extra.extend(members);
    metadata.extra.extend(times(prediction));
    metadata
}

/// The times in seconds: of the run and in total, as Replicate reports them, and the difference, which
/// is the time in the queue and of the boot.
fn times(prediction: &Prediction) -> impl Iterator<Item = (String, Value)> {
    let metric = |name| prediction.metric(name);
    let (run, all) = (metric("predict_time"), metric("total_time"));
    let wait = all.zip(run).map(|(all, run)| (all - run).max(0.0));
    let times = [
        ("predict_time", run),
        ("total_time", all),
        ("wait_time", wait),
    ];
    times
        .into_iter()
        .filter_map(|(name, seconds)| Some((name.to_owned(), seconds?.into())))
}

/// A token count from the metrics or, if missing, from the logs: models that forward prompts to
/// another API log `Input token count: 644`.
fn tokens(prediction: &Prediction, (metric, label): (&str, &str)) -> Option<u64> {
    let measured = prediction.metric(metric);
    let measured = measured.filter(|count| (0.0..=MAX_TOKENS).contains(count));
    measured
        .map(|count| count as u64)
        .or_else(|| logged(prediction, label))
}

/// A count in the logs. Only the lines before any text are read: some models log the prompt, which
/// could contain such a line.
fn logged(prediction: &Prediction, label: &str) -> Option<u64> {
    let lines = prediction.logs.as_str()?.lines();
    let mut facts = lines.take_while(|line| is_fact(line));
    let count = facts.find_map(|line| line.trim_start().strip_prefix(label))?;
    let count: u64 = count.trim().parse().ok()?;
    (count as f64 <= MAX_TOKENS).then_some(count)
}

/// Whether a line of the logs has a name and one word, such as `Model variant: gpt-5.1`.
fn is_fact(line: &str) -> bool {
    let Some((name, value)) = line.split_once(": ") else {
        return line.trim().is_empty();
    };
    let has_prompt = name.to_ascii_lowercase().contains("prompt");
    !has_prompt && !value.trim().contains(char::is_whitespace)
}

const INPUT: (&str, &str) = ("input_token_count", "Input token count:");
const OUTPUT: (&str, &str) = ("output_token_count", "Output token count:");
/// They are among the output tokens, and only in the logs.
const REASONING: &str = "- Reasoning tokens:";

/// The most tokens of a prompt or a reply; a larger count is wrong.
const MAX_TOKENS: f64 = 1e9;

/// The average of English text with most tokenizers.
const CHARS_PER_TOKEN: usize = 4;
