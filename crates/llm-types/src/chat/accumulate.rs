//! [`Accumulator`]: joins the chunks of a stream into a response.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::chunk::{ChatChunk, ChunkChoice};
use super::content::Content;
use super::delta::{CustomCallDelta, Delta, FunctionCallDelta, ToolCallDelta};
use super::logprobs::{ChatLogprobs, Logprobs};
use super::response::{AssistantMessage, ChatResponse, Choice, FinishReason};
use super::tools::{CustomCall, FunctionCall, ToolCall};
use crate::field::Field;

/// Joins the chunks of a stream into the response that a call without streaming would return.
///
/// It accepts the variants of known engines: the usage is beside the finish reason or in a separate
/// chunk; a finish reason occurs twice; a new id under a used index starts another tool call;
/// reasoning has either name.
///
/// ```
/// use llm_types::{Accumulator, ChatChunk, ChunkChoice, Delta, FinishReason};
///
/// let chunk = ChatChunk::new("c-1", 1_780_000_000_u64, "llama");
/// let mut response = Accumulator::default();
/// for text in ["Good ", "morning"] {
///     response.push(chunk.clone().with_choice(ChunkChoice::new(0, Delta::content(text))));
/// }
/// response.push(chunk.with_choice(ChunkChoice::finish(0, FinishReason::Stop)));
/// assert!(response.is_finished());
/// assert_eq!(response.into_response().text().as_deref(), Some("Good morning"));
/// ```
#[derive(Clone, Debug, Default)]
pub struct Accumulator {
    response: Option<ChatResponse>,
    choices: BTreeMap<u32, PartialChoice>,
}

/// A choice under construction.
#[derive(Clone, Debug, Default)]
struct PartialChoice {
    message: Delta,
    calls: Vec<ToolCallDelta>,
    logprobs: Field<ChatLogprobs>,
    finish_reason: Field<FinishReason>,
    extra: Map<String, Value>,
}

impl Accumulator {
    /// Adds a chunk.
    pub fn push(&mut self, chunk: ChatChunk) {
        let response = self
            .response
            .get_or_insert_with(|| ChatResponse::new("", 0_u64, ""));
        // Some engines send a first chunk without id and model.
        if response.id.is_empty() {
            response.id = chunk.id;
        }
        if response.model.is_empty() {
            response.model = chunk.model;
        }
        if response.created.as_f64() == 0.0 {
            response.created = chunk.created;
        }
        replace(&mut response.usage, chunk.usage);
        replace(&mut response.service_tier, chunk.service_tier);
        replace(&mut response.system_fingerprint, chunk.system_fingerprint);
        merge(&mut response.extra, chunk.extra, &["obfuscation"]);
        for choice in chunk.choices {
            self.choices.entry(choice.index).or_default().push(choice);
        }
    }

    /// Whether there is at least one choice, and every choice has a finish reason.
    ///
    /// Otherwise, the stream was interrupted.
    pub fn is_finished(&self) -> bool {
        let finished = |choice: &PartialChoice| {
            let reason = choice.finish_reason.value();
            reason.is_some_and(|reason| !reason.as_str().is_empty())
        };
        !self.choices.is_empty() && self.choices.values().all(finished)
    }

    /// The response so far.
    ///
    /// Keys that OpenAI's schema requires are null if nothing was received. Log probabilities are
    /// converted to OpenAI's shape.
    pub fn into_response(self) -> ChatResponse {
        let empty = || ChatResponse::new("", 0_u64, "");
        let mut response = self.response.unwrap_or_else(empty);
        response.choices = self
            .choices
            .into_iter()
            .map(|(index, choice)| choice.into_choice(index))
            .collect();
        response
    }
}

impl Extend<ChatChunk> for Accumulator {
    fn extend<I: IntoIterator<Item = ChatChunk>>(&mut self, chunks: I) {
        chunks.into_iter().for_each(|chunk| self.push(chunk));
    }
}

impl FromIterator<ChatChunk> for Accumulator {
    fn from_iter<I: IntoIterator<Item = ChatChunk>>(chunks: I) -> Self {
        let mut this = Self::default();
        this.extend(chunks);
        this
    }
}

impl PartialChoice {
    fn push(&mut self, choice: ChunkChoice) {
        let Delta {
            role,
            content,
            refusal,
            reasoning,
            reasoning_content,
            tool_calls,
            function_call,
            extra,
        } = choice.delta;
        let logprobs = choice.logprobs.map(|logprobs| {
            // A bare number belongs to the only token of the chunk.
            logprobs.into_openai(content.as_str().unwrap_or_default())
        });
        match (&mut self.logprobs, logprobs) {
            (Field::Value(logprobs), Field::Value(more)) => logprobs.append(more),
            (logprobs, more) => replace(logprobs, more),
        }
        let message = &mut self.message;
        replace(&mut message.role, role);
        append(&mut message.content, content);
        append(&mut message.refusal, refusal);
        append(&mut message.reasoning, reasoning);
        append(&mut message.reasoning_content, reasoning_content);
        match (&mut message.function_call, function_call) {
            (Field::Value(call), Field::Value(more)) => append_function(call, more),
            (call, more) => replace(call, more),
        }
        append_extra(&mut message.extra, extra);
        for call in tool_calls.into_value().into_iter().flatten() {
            self.push_call(call);
        }
        // An empty reason counts as none (maple-proxy#3), and must not replace an earlier one.
        let reason = choice.finish_reason;
        if reason
            .value()
            .is_none_or(|reason| !reason.as_str().is_empty())
        {
            replace(&mut self.finish_reason, reason);
        }
        merge(&mut self.extra, choice.extra, &["text"]);
    }

    fn push_call(&mut self, more: ToolCallDelta) {
        let latest = self
            .calls
            .iter_mut()
            .rev()
            .find(|call| call.index == more.index);
        let is_another = |call: &ToolCallDelta| match (call.id.as_str(), more.id.as_str()) {
            (Some(id), Some(new)) => !new.is_empty() && id != new,
            _ => false,
        };
        let Some(call) = latest.filter(|call| !is_another(call)) else {
            return self.calls.push(more);
        };
        if more.id.as_str().is_some_and(|id| !id.is_empty()) {
            call.id = more.id;
        }
        replace(&mut call.type_, more.type_);
        match (&mut call.function, more.function) {
            (Field::Value(call), Field::Value(more)) => append_function(call, more),
            (call, more) => replace(call, more),
        }
        match (&mut call.custom, more.custom) {
            (Field::Value(call), Field::Value(more)) => append_custom(call, more),
            (call, more) => replace(call, more),
        }
        merge(&mut call.extra, more.extra, &[]);
    }

    fn into_choice(self, index: u32) -> Choice {
        let delta = self.message;
        let mut message = AssistantMessage::new();
        if let Field::Value(role) = delta.role {
            message.role = role;
        }
        let calls: Vec<ToolCall> = self.calls.into_iter().map(into_call).collect();
        // Streams start with empty content even if only tool calls follow.
        let is_kept = |text: &String| !text.is_empty() || calls.is_empty();
        message.content =
            Field::nullable(delta.content.into_value().filter(is_kept)).map(Content::Text);
        message.refusal = Field::nullable(delta.refusal.into_value());
        message.reasoning = Field::optional(delta.reasoning.into_value());
        message.reasoning_content = Field::optional(delta.reasoning_content.into_value());
        message.tool_calls = Field::optional(Some(calls).filter(|calls| !calls.is_empty()));
        message.function_call =
            Field::optional(delta.function_call.into_value()).map(into_function);
        message.extra = delta.extra;
        if let Some(Value::Array(links)) = message.extra.shift_remove("annotations") {
            message.annotations = Field::Value(links);
        }
        if let Some(audio) = message.extra.shift_remove("audio") {
            message.audio = Field::Value(audio);
        }
        Choice {
            index,
            message,
            logprobs: Field::nullable(self.logprobs.into_value()).map(Logprobs::Content),
            finish_reason: Field::nullable(self.finish_reason.into_value()),
            extra: self.extra,
        }
    }
}

fn into_call(call: ToolCallDelta) -> ToolCall {
    ToolCall {
        id: Field::optional(call.id.into_value()),
        type_: Field::optional(call.type_.into_value()),
        index: None,
        function: Field::optional(call.function.into_value()).map(into_function),
        custom: Field::optional(call.custom.into_value()).map(|call| CustomCall {
            name: call.name.into_value().unwrap_or_default(),
            input: Field::Value(call.input.into_value().unwrap_or_default()),
            extra: call.extra,
        }),
        extra: call.extra,
    }
}

fn into_function(call: FunctionCallDelta) -> FunctionCall {
    FunctionCall {
        name: call.name.into_value().unwrap_or_default(),
        arguments: Field::Value(call.arguments.into_value().unwrap_or_default()),
        extra: call.extra,
    }
}

fn append_function(call: &mut FunctionCallDelta, more: FunctionCallDelta) {
    append(&mut call.name, more.name);
    append(&mut call.arguments, more.arguments);
    merge(&mut call.extra, more.extra, &[]);
}

fn append_custom(call: &mut CustomCallDelta, more: CustomCallDelta) {
    append(&mut call.name, more.name);
    append(&mut call.input, more.input);
    merge(&mut call.extra, more.extra, &[]);
}

/// Appends text; null and absent add nothing.
fn append(text: &mut Field<String>, more: Field<String>) {
    match (text, more) {
        (Field::Value(text), Field::Value(more)) => text.push_str(&more),
        (text, more) => replace(text, more),
    }
}

/// The later value wins; null and absent change nothing.
fn replace<T>(slot: &mut Field<T>, new: Field<T>) {
    if new.is_value() || slot.is_absent() {
        *slot = new;
    }
}

/// The later value of each member wins. The members in `leave_out` describe a single chunk, and are
/// dropped.
fn merge(into: &mut Map<String, Value>, more: Map<String, Value>, leave_out: &[&str]) {
    for (key, value) in more {
        let keep = !value.is_null() || !into.contains_key(&key);
        if keep && !leave_out.contains(&key.as_str()) {
            into.insert(key, value);
        }
    }
}

/// Appends the texts and lists of a delta, such as `reasoning_details`: members of a delta are
/// increments.
fn append_extra(into: &mut Map<String, Value>, more: Map<String, Value>) {
    for (key, value) in more {
        match (into.get_mut(&key), value) {
            _ if key == "token_id" => {}
            (Some(Value::String(text)), Value::String(more)) => text.push_str(&more),
            (Some(Value::Array(list)), Value::Array(more)) => list.extend(more),
            (Some(_), Value::Null) => {}
            (_, value) => {
                into.insert(key, value);
            }
        }
    }
}
