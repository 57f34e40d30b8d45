//! Splits a complete response into chunks, for clients that requested a stream.

use super::chunk::{ChatChunk, ChunkChoice};
use super::delta::{CustomCallDelta, Delta, FunctionCallDelta, ToolCallDelta};
use super::response::{ChatResponse, Choice};
use super::tools::{FunctionCall, ToolCall};
use crate::field::Field;

impl ChatResponse {
    /// The stream that adds up to this response, as OpenAI would send it, without `[DONE]`.
    ///
    /// Each choice starts with its role. Reasoning, content, refusal and tool calls follow, each in
    /// one chunk, then the finish reason. With `include_usage`, the last chunk has the usage and no
    /// choices, and all others have `"usage": null`.
    pub fn into_chunks(self, include_usage: bool) -> Vec<ChatChunk> {
        let mut head = ChatChunk::new(self.id, self.created, self.model);
        head.service_tier = self.service_tier;
        head.system_fingerprint = self.system_fingerprint;
        if include_usage {
            head.usage = Field::Null;
        }
        let choices = self.choices.into_iter().flat_map(split_choice);
        let chunk = |choice| head.clone().with_choice(choice);
        let mut chunks: Vec<ChatChunk> = choices.map(chunk).collect();
        if let (true, Field::Value(usage)) = (include_usage, self.usage) {
            chunks.push(head.clone().with_usage(usage));
        }
        if chunks.is_empty() && !self.extra.is_empty() {
            chunks.push(head);
        }
        if let Some(first) = chunks.first_mut() {
            first.extra = self.extra;
        }
        chunks
    }
}

fn split_choice(choice: Choice) -> Vec<ChunkChoice> {
    let Choice {
        index,
        message,
        logprobs,
        finish_reason,
        extra,
    } = choice;
    let text = message.text().map(|text| text.into_owned());
    let mut start = Delta {
        role: Field::Value(message.role),
        content: Field::nullable(text.as_ref().map(|_| String::new())),
        extra: message.extra,
        ..Delta::default()
    };
    if let Field::Value(links) = message.annotations {
        start.extra.insert("annotations".to_owned(), links.into());
    }
    if let Field::Value(audio) = message.audio {
        start.extra.insert("audio".to_owned(), audio);
    }
    let mut deltas = vec![start];
    let mut add = |delta: Delta| deltas.push(delta);
    if let Field::Value(reasoning) = message.reasoning {
        add(Delta {
            reasoning: Field::Value(reasoning),
            ..Delta::default()
        });
    }
    if let Field::Value(reasoning) = message.reasoning_content {
        add(Delta::reasoning_content(reasoning));
    }
    if let Some(text) = text.filter(|text| !text.is_empty()) {
        add(Delta::content(text));
    }
    if let Field::Value(refusal) = message.refusal {
        add(Delta {
            refusal: Field::Value(refusal),
            ..Delta::default()
        });
    }
    let calls = message.tool_calls.into_value().unwrap_or_default();
    if !calls.is_empty() {
        let calls = (0..)
            .zip(calls)
            .map(|(index, call)| split_call(index, call))
            .collect();
        add(Delta {
            tool_calls: Field::Value(calls),
            ..Delta::default()
        });
    }
    if let Field::Value(call) = message.function_call {
        add(Delta {
            function_call: Field::Value(split_function(call)),
            ..Delta::default()
        });
    }
    let mut choices: Vec<_> = deltas
        .into_iter()
        .map(|delta| ChunkChoice::new(index, delta))
        .collect();
    if logprobs.is_value()
        && let Some(last) = choices.last_mut()
    {
        last.logprobs = logprobs;
    }
    let mut finish = ChunkChoice::new(index, Delta::default());
    finish.finish_reason = Field::nullable(finish_reason.into_value());
    finish.extra = extra;
    choices.push(finish);
    choices
}

fn split_call(index: u32, call: ToolCall) -> ToolCallDelta {
    ToolCallDelta {
        index,
        id: Field::optional(call.id.into_value()),
        type_: Field::optional(call.type_.into_value()),
        function: Field::optional(call.function.into_value()).map(split_function),
        custom: Field::optional(call.custom.into_value()).map(|call| CustomCallDelta {
            name: Field::Value(call.name),
            input: Field::Value(call.input.into_value().unwrap_or_default()),
            extra: call.extra,
        }),
        extra: call.extra,
    }
}

fn split_function(call: FunctionCall) -> FunctionCallDelta {
    FunctionCallDelta {
        name: Field::Value(call.name),
        arguments: Field::Value(call.arguments.into_value().unwrap_or_default()),
        extra: call.extra,
    }
}
