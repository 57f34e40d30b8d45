//! The dialects of Together's streams. A chunk is written once per token, so it is written directly
//! as bytes.

use std::borrow::Cow;
use std::ops::Range;

use bytes::Bytes;
use serde::Serialize;
use serde_json::{Number, Value, json};

use crate::sse::data;
use crate::together::catalog::Engine;
use crate::together::error::Refusal;
use crate::together::generation::Choice;
use crate::together::logprobs;
use crate::together::stream::{Events, Kind, Step, TextEndpoint, has_token_chunks};

impl Events {
    pub(super) fn event(&self, step: &Step) -> Bytes {
        let choice = self.generation.choices.get(step.choice);
        match (&step.kind, choice) {
            (Kind::Error, _) => data(&json!({"error": Refusal::of_status(500, None).error()})),
            (Kind::Usage, _) => {
                let no_choices: [(); 0] = [];
                data(&self.chunk(no_choices, Some(Some(self.generation.usage()))))
            }
            (Kind::Done, _) | (_, None) => Bytes::from_static(b"data: [DONE]\n\n"),
            (_, Some(choice)) if self.has_token_chunks() => self.token(step, choice),
            (_, Some(choice)) if self.generation.request.engine.is_turbo() => {
                self.turbo(step, choice)
            }
            (_, Some(choice)) => self.current(step, choice),
        }
    }

    /// Whether this is the completion stream of the specification, which differs from the recorded
    /// one.
    fn has_token_chunks(&self) -> bool {
        has_token_chunks(self.endpoint, self.generation.request.engine)
    }

    /// The completions of 2024: the token with its logprob, and the finish reason at the top level.
    fn token(&self, step: &Step, choice: &Choice) -> Bytes {
        let finish = match &step.kind {
            Kind::Finish { usage, .. } => Some(*usage),
            _ => None,
        };
        let text = match &step.kind {
            Kind::Content(range) => joined(&choice.tokens, range),
            _ => Cow::Borrowed(""),
        };
        let (id, token) = match finish {
            Some(_) => (END_OF_TURN, "<|eot_id|>"),
            None => (logprobs::id(&text), &*text),
        };
        let body = TokenChoice {
            index: step.choice,
            text: &text,
            delta: finish.is_none().then_some(TokenDelta {
                role: "assistant",
                token_id: id,
                content: &text,
            }),
        };
        let usage = finish.unwrap_or(false).then(|| self.generation.usage());
        let last = Token {
            token: json!({
                "id": id, "text": token, "logprob": logprobs::number(token),
                "special": finish.is_some(),
            }),
            seed: &choice.seed,
            finish_reason: finish.map(|_| choice.finish),
        };
        data(&Chunk {
            token: Some(last),
            ..self.chunk([body], Some(usage))
        })
    }

    /// Engine of 2024 to 2026: `text` doubles `delta.content`, and the last chunk has it all.
    fn turbo(&self, step: &Step, choice: &Choice) -> Bytes {
        let range = match &step.kind {
            Kind::Content(range)
            | Kind::CallArguments { beside: range, .. }
            | Kind::Finish { rest: range, .. } => range,
            _ => &(0..0),
        };
        let text = joined(&choice.tokens, range);
        let finishing = matches!(&step.kind, Kind::Finish { .. });
        let token_id = match &step.kind {
            Kind::Finish { .. } => Some(END_OF_TURN),
            Kind::Content(_) => token_id(&text),
            _ => None,
        };
        let mut finish = finishing.then_some(choice.finish);
        let tool_calls = match &step.kind {
            Kind::CallName(call) => Some(call_start(choice, *call)),
            Kind::CallArguments {
                call, part, last, ..
            } => {
                finish = last.then_some(choice.finish);
                Some(json!([{"index": call, "function": {"arguments": part}}]))
            }
            _ if self.generation.request.engine == Engine::TurboEos => Some(Value::Null),
            _ => None,
        };
        let last = choice.tokens.get(range.clone()).and_then(<[_]>::last);
        let logprob = last.filter(|_| self.generation.request.logprobs.is_some());
        // Chunks of a tool call have neither seed nor usage before the last one.
        let of_a_call = !choice.calls.is_empty() && !finishing;
        let usage = match &step.kind {
            Kind::Finish { usage: true, .. } => Some(Some(self.generation.usage())),
            _ if of_a_call => None,
            _ => Some(None),
        };
        let body = ChatChoice {
            index: step.choice,
            text: &text,
            logprobs: logprob.map(|token| logprobs::number(token)),
            finish_reason: finish,
            delta: Delta {
                token_id,
                role: "assistant",
                content: &text,
                reasoning: None,
                tool_calls,
            },
            seed: (!of_a_call).then(|| finishing.then_some(&choice.seed)),
            role: matches!(step.kind, Kind::Role).then_some("assistant"),
        };
        data(&self.chunk([body], usage))
    }

    /// Engine of 2026: first the role, without `usage`; then reasoning; a separate finish chunk.
    /// Qwen has `usage: null` from the start, and `""` if it does not reason.
    fn current(&self, step: &Step, choice: &Choice) -> Bytes {
        let detailed = self.generation.request.engine == Engine::Detailed;
        let mut text = Cow::Borrowed("");
        let mut reasoning = detailed.then_some(Cow::Borrowed(""));
        let mut tool_calls = None;
        let mut logprobs = None;
        let mut finish = None;
        match &step.kind {
            Kind::Reasoning(range) => reasoning = Some(joined(&choice.reasoning, range)),
            Kind::Content(range) => {
                text = joined(&choice.tokens, range);
                let tokens = choice.tokens.get(range.clone()).unwrap_or_default();
                let top = self.generation.request.logprobs;
                logprobs = top.map(|top| logprobs::streamed(tokens, top));
            }
            Kind::CallName(call) => tool_calls = Some(call_start(choice, *call)),
            Kind::CallArguments {
                call, part, beside, ..
            } => {
                text = joined(&choice.tokens, beside);
                tool_calls = Some(json!([{
                    "id": null, "index": call, "type": "function",
                    "function": {"name": null, "arguments": part},
                }]));
            }
            Kind::Finish { .. } => finish = Some(choice.finish),
            Kind::Role | Kind::Usage | Kind::Error | Kind::Done => {}
        }
        let body = ChatChoice {
            index: step.choice,
            text: &text,
            logprobs,
            finish_reason: finish,
            delta: Delta {
                token_id: None,
                role: "assistant",
                content: &text,
                reasoning: Some(reasoning),
                tool_calls,
            },
            seed: None,
            role: None,
        };
        let first = matches!(step.kind, Kind::Role) && !detailed;
        data(&self.chunk([body], (!first).then_some(None)))
    }

    /// `usage`: a value, `null`, or absent.
    fn chunk<C>(&self, choices: C, usage: Option<Option<Value>>) -> Chunk<'_, C> {
        Chunk {
            id: &self.generation.id,
            object: match self.endpoint {
                TextEndpoint::Chat => "chat.completion.chunk",
                TextEndpoint::Completion => "completion.chunk",
            },
            created: self.generation.created,
            choices,
            model: &self.generation.request.model,
            usage,
            token: None,
        }
    }
}

/// The first chunk of a call: its id and its name.
fn call_start(choice: &Choice, index: usize) -> Value {
    let call = choice.calls.get(index);
    json!([{
        "index": index, "id": call.map(|call| &call.id), "type": "function",
        "function": {"name": call.map(|call| &call.name), "arguments": ""},
    }])
}

#[derive(Serialize)]
struct Chunk<'a, C> {
    id: &'a str,
    object: &'static str,
    created: u64,
    choices: C,
    model: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    usage: Option<Option<Value>>,
    #[serde(flatten)]
    token: Option<Token<'a>>,
}

#[derive(Serialize)]
struct ChatChoice<'a> {
    index: usize,
    text: &'a str,
    logprobs: Option<Value>,
    finish_reason: Option<&'static str>,
    delta: Delta<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    seed: Option<Option<&'a Number>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<&'static str>,
}

#[derive(Serialize)]
struct Delta<'a> {
    token_id: Option<u64>,
    role: &'static str,
    content: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reasoning: Option<Option<Cow<'a, str>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_calls: Option<Value>,
}

#[derive(Serialize)]
struct TokenChoice<'a> {
    index: usize,
    text: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    delta: Option<TokenDelta<'a>>,
}

#[derive(Serialize)]
struct TokenDelta<'a> {
    role: &'static str,
    token_id: u64,
    content: &'a str,
}

/// The end of a completion chunk of the specification.
#[derive(Serialize)]
struct Token<'a> {
    token: Value,
    seed: &'a Number,
    finish_reason: Option<&'static str>,
}

/// The text of some tokens.
fn joined<'a>(tokens: &'a [String], range: &Range<usize>) -> Cow<'a, str> {
    match tokens.get(range.clone()) {
        Some([token]) => Cow::Borrowed(token),
        Some(tokens) => Cow::Owned(tokens.concat()),
        None => Cow::Borrowed(""),
    }
}

/// A number for some tokens, `null` for others: the recordings do not show which.
fn token_id(text: &str) -> Option<u64> {
    let id = logprobs::id(text);
    (!id.is_multiple_of(3)).then_some(id)
}

/// Llama 3's `<|eot_id|>`.
const END_OF_TURN: u64 = 128_009;
