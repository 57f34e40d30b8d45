//! The dialects in which Together streams.

use bytes::Bytes;
use serde_json::{Value, json};

use crate::sse::data;
use crate::together::catalog::Engine;
use crate::together::error::Refusal;
use crate::together::generation::Choice;
use crate::together::logprobs;
use crate::together::stream::{Events, Kind, Step, Surface, of_tokens};

impl Events {
    pub(super) fn event(&self, step: &Step) -> Bytes {
        let chunk = match &step.kind {
            Kind::Done => return data("[DONE]"),
            Kind::Error => json!({"error": Refusal::of_status(500, None).error()}),
            Kind::Usage => self.chunk(json!([]), Some(self.generation.usage())),
            _ if self.is_of_tokens() => self.token(step),
            _ if self.generation.ask.engine.is_turbo() => self.turbo(step),
            _ => self.current(step),
        };
        data(&chunk.to_string())
    }

    /// Whether this is the completion stream that the spec has, which is not the one recorded.
    fn is_of_tokens(&self) -> bool {
        of_tokens(self.surface, self.generation.ask.engine)
    }

    /// The completions of 2024: the token with its logprob, and the finish reason at the top.
    fn token(&self, step: &Step) -> Value {
        let Some(choice) = self.generation.choices.get(step.choice) else {
            return Value::Null;
        };
        let finish = match &step.kind {
            Kind::Finish { usage, .. } => Some(*usage),
            _ => None,
        };
        let text = match &step.kind {
            Kind::Content(tokens) => tokens.concat(),
            _ => String::new(),
        };
        let (id, told) = match finish {
            Some(_) => (END_OF_TURN, "<|eot_id|>"),
            None => (logprobs::id(&text), text.as_str()),
        };
        let mut body = json!({"index": step.choice, "text": text});
        if finish.is_none() {
            body["delta"] = json!({"role": "assistant", "token_id": id, "content": text});
        }
        let usage = finish.unwrap_or(false).then(|| self.generation.usage());
        let mut chunk = self.chunk(json!([body]), Some(json!(usage)));
        chunk["token"] = json!({
            "id": id, "text": told, "logprob": logprobs::number(told), "special": finish.is_some(),
        });
        chunk["seed"] = json!(choice.seed);
        chunk["finish_reason"] = json!(finish.map(|_| choice.finish));
        chunk
    }

    /// Engine of 2024 to 2026: `text` doubles `delta.content`, and the last chunk has it all.
    fn turbo(&self, step: &Step) -> Value {
        let Some(choice) = self.generation.choices.get(step.choice) else {
            return Value::Null;
        };
        let tokens = match &step.kind {
            Kind::Content(tokens) | Kind::Finish { rest: tokens, .. } => tokens.as_slice(),
            _ => &[],
        };
        let text = tokens.concat();
        let finishing = matches!(&step.kind, Kind::Finish { .. });
        let token_id = match &step.kind {
            Kind::Finish { .. } => Some(END_OF_TURN),
            Kind::Content(_) => token_id(&text),
            _ => None,
        };
        let mut delta = json!({"token_id": token_id, "role": "assistant", "content": text});
        let mut finish = finishing.then_some(choice.finish);
        let calls = match &step.kind {
            Kind::CallName => Some(json!([self.call_start(choice)])),
            Kind::CallArguments { part, last } => {
                finish = last.then_some(choice.finish);
                Some(json!([{"index": 0, "function": {"arguments": part}}]))
            }
            _ => None,
        };
        match calls {
            Some(calls) => delta["tool_calls"] = calls,
            None if self.generation.ask.engine == Engine::TurboEos => {
                delta["tool_calls"] = Value::Null;
            }
            None => {}
        }
        let logprob = self.generation.ask.logprobs.and_then(|_| tokens.last());
        let mut body = json!({
            "index": step.choice,
            "text": delta["content"],
            "logprobs": logprob.map(|token| logprobs::number(token)),
            "finish_reason": finish,
            "delta": delta,
        });
        // Chunks of a tool call have neither seed nor usage until the last.
        let of_a_call = choice.call.is_some() && !finishing;
        if !of_a_call {
            body["seed"] = json!(finishing.then_some(&choice.seed));
        }
        if matches!(step.kind, Kind::Role) {
            body["role"] = json!("assistant");
        }
        let usage = match &step.kind {
            Kind::Finish { usage: true, .. } => Some(self.generation.usage()),
            _ if of_a_call => None,
            _ => Some(Value::Null),
        };
        self.chunk(json!([body]), usage)
    }

    /// Engine of 2026: role first and without `usage`, reasoning, a finish chunk of its own. Qwen
    /// says `usage: null` from the start, and `""` where it does not reason.
    fn current(&self, step: &Step) -> Value {
        let Some(choice) = self.generation.choices.get(step.choice) else {
            return Value::Null;
        };
        let detailed = self.generation.ask.engine == Engine::Detailed;
        let silent = if detailed { json!("") } else { Value::Null };
        let mut delta = json!({
            "token_id": null, "role": "assistant", "content": "", "reasoning": silent,
        });
        let mut logprobs = Value::Null;
        let mut finish = None;
        match &step.kind {
            Kind::Reasoning(tokens) => delta["reasoning"] = json!(tokens.concat()),
            Kind::Content(tokens) => {
                delta["content"] = json!(tokens.concat());
                if let Some(top) = self.generation.ask.logprobs {
                    logprobs = logprobs::streamed(tokens, top);
                }
            }
            Kind::CallName => delta["tool_calls"] = json!([self.call_start(choice)]),
            Kind::CallArguments { part, .. } => {
                delta["tool_calls"] = json!([{
                    "id": null, "index": 0, "type": "function",
                    "function": {"name": null, "arguments": part},
                }]);
            }
            Kind::Finish { .. } => finish = Some(choice.finish),
            _ => {}
        }
        let body = json!([{
            "index": step.choice,
            "text": delta["content"],
            "logprobs": logprobs,
            "finish_reason": finish,
            "delta": delta,
        }]);
        let first = matches!(step.kind, Kind::Role) && !detailed;
        let usage = if first { None } else { Some(Value::Null) };
        self.chunk(body, usage)
    }

    /// `usage`: a value, `null`, or no such key.
    fn chunk(&self, choices: Value, usage: Option<Value>) -> Value {
        let object = match self.surface {
            Surface::Chat => "chat.completion.chunk",
            Surface::Completion => "completion.chunk",
        };
        let mut chunk = json!({
            "id": self.generation.id,
            "object": object,
            "created": self.generation.created,
            "choices": choices,
            "model": self.generation.ask.model,
        });
        if let Some(usage) = usage {
            chunk["usage"] = usage;
        }
        chunk
    }

    fn call_start(&self, choice: &Choice) -> Value {
        let name = self
            .generation
            .ask
            .tools
            .call
            .as_ref()
            .map(|call| &call.name);
        json!({
            "index": 0, "id": choice.call, "type": "function",
            "function": {"name": name, "arguments": ""},
        })
    }
}

/// A number for some tokens, `null` for others: the recordings do not say which.
fn token_id(text: &str) -> Option<u64> {
    let id = logprobs::id(text);
    (!id.is_multiple_of(3)).then_some(id)
}

/// Llama 3's `<|eot_id|>`.
const END_OF_TURN: u64 = 128_009;
