//! The generated result of a request: choices in tokens, usage, and the plain body.

use serde_json::{Map, Number, Value, json};

use crate::options::SimReply;
use crate::script::CallOrder;
use crate::seed::{BASE62, Rng};
use crate::text::{Answer as Text, tokens};
use crate::together::catalog::Engine;
use crate::together::logprobs;
use crate::together::request::{Format, TextRequest};

/// A complete result, before it is written plain or streamed.
#[derive(Debug)]
pub(crate) struct Generation {
    pub(crate) id: String,
    pub(crate) created: u64,
    pub(crate) request: TextRequest,
    pub(crate) choices: Vec<Choice>,
}

#[derive(Debug)]
pub(crate) struct Choice {
    pub(crate) reasoning: Vec<String>,
    pub(crate) tokens: Vec<String>,
    pub(crate) calls: Vec<Call>,
    pub(crate) order: CallOrder,
    pub(crate) finish: &'static str,
    pub(crate) seed: Number,
}

/// A call of a tool.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) arguments: String,
}

impl Generation {
    pub(crate) fn new(
        request: TextRequest,
        id: String,
        created: u64,
        reply: &SimReply,
        rng: &mut Rng,
    ) -> Self {
        let choices = (0..request.choices)
            .map(|index| Choice::new(&request, index, reply, rng))
            .collect();
        Self {
            id,
            created,
            request,
            choices,
        }
    }

    /// The tokens that determine the delay: choices are generated in parallel.
    pub(crate) fn longest(&self) -> usize {
        self.choices
            .iter()
            .map(Choice::generated)
            .max()
            .unwrap_or(0)
    }

    /// The tokens of all choices.
    pub(crate) fn generated(&self) -> usize {
        self.choices.iter().map(Choice::generated).sum()
    }

    pub(crate) fn chat(&self) -> Value {
        let choices: Vec<_> = (0..)
            .zip(&self.choices)
            .map(|choice| self.choice(choice))
            .collect();
        let mut body = json!({
            "id": self.id,
            "object": "chat.completion",
            "created": self.created,
            "model": self.request.model,
            "prompt": self.prompt(),
            "choices": choices,
            "usage": self.usage(),
        });
        if !self.request.engine.is_turbo() {
            body["metadata"] = json!({"weight_version": "default"});
        }
        body
    }

    pub(crate) fn completion(&self) -> Value {
        let choices: Vec<_> = (0..)
            .zip(&self.choices)
            .map(|(index, choice): (u32, _)| {
                json!({
                    "text": choice.tokens.concat(),
                    "finish_reason": choice.finish,
                    "seed": choice.seed,
                    "logprobs": self.request.logprobs.map(|top| logprobs::completion(&choice.tokens, top)),
                    "index": index,
                })
            })
            .collect();
        json!({
            "id": self.id,
            "object": "text.completion",
            "created": self.created,
            "model": self.request.model,
            "prompt": self.prompt(),
            "choices": choices,
            "usage": self.usage(),
        })
    }

    pub(crate) fn usage(&self) -> Value {
        let prompt = self.request.prompt_tokens;
        let completion = self.generated();
        let reasoning: usize = self
            .choices
            .iter()
            .map(|choice| choice.reasoning.len())
            .sum();
        let mut usage = Map::new();
        usage.insert("prompt_tokens".into(), json!(prompt));
        usage.insert("completion_tokens".into(), json!(completion));
        usage.insert(
            "total_tokens".into(),
            json!(prompt.saturating_add(completion)),
        );
        match self.request.engine {
            Engine::Turbo => {
                usage.insert("cached_tokens".into(), json!(0));
            }
            Engine::TurboEos => {}
            Engine::Current => {
                usage.insert("reasoning_tokens".into(), json!(reasoning));
            }
            Engine::Detailed => {
                usage.insert(
                    "completion_tokens_details".into(),
                    json!({"reasoning_tokens": reasoning, "text_tokens": completion}),
                );
                usage.insert(
                    "prompt_tokens_details".into(),
                    json!({"cached_tokens": 0, "text_tokens": prompt}),
                );
            }
        }
        Value::Object(usage)
    }

    /// The prompt with `echo`, with logprobs if requested; otherwise an empty array.
    fn prompt(&self) -> Value {
        let echoed = self.request.echo.iter().map(|text| {
            let tokens: Vec<_> = tokens(text).map(str::to_owned).collect();
            let logprobs = self.request.logprobs.map(|_| logprobs::prompt(&tokens));
            json!({"text": text, "logprobs": logprobs})
        });
        echoed.collect()
    }

    fn choice(&self, (index, choice): (u32, &Choice)) -> Value {
        let turbo = self.request.engine.is_turbo();
        let calls = choice.calls.iter().enumerate().map(|(index, call)| {
            json!({
                "id": call.id,
                "index": index,
                "type": "function",
                "function": {"name": call.name, "arguments": call.arguments},
            })
        });
        let mut message = json!({
            "role": "assistant",
            "content": choice.tokens.concat(),
            "tool_calls": calls.collect::<Vec<_>>(),
        });
        if !choice.reasoning.is_empty() {
            message["reasoning"] = json!(choice.reasoning.concat());
        }
        let logprobs = self.request.logprobs.map(|top| {
            if turbo {
                logprobs::columns(&choice.tokens)
            } else {
                logprobs::content(choice.reasoning.iter().chain(&choice.tokens), top)
            }
        });
        json!({
            "index": index,
            "message": message,
            "logprobs": logprobs,
            "finish_reason": choice.finish,
            "seed": turbo.then_some(&choice.seed),
        })
    }
}

impl Choice {
    fn new(request: &TextRequest, index: u64, reply: &SimReply, rng: &mut Rng) -> Self {
        let mut question = request.question(index);
        let turn = request.turn.as_ref();
        let mut reasoning = match turn {
            _ if !request.reasons => Vec::new(),
            Some(turn) => tokens(&turn.reasoning).map(str::to_owned).collect(),
            None => question.reasoning(),
        };
        let seed = js_rounded(rng.next());
        // Reasoning is billed, too: it can use up the whole limit.
        if let Some(most) = question.max_tokens {
            if most <= reasoning.len() && request.reasons {
                reasoning.truncate(most);
                return Self::without_text(reasoning, Vec::new(), "length", seed);
            }
            question.max_tokens = Some(most - reasoning.len());
        }
        if turn.is_none() && !request.tools.calls.is_empty() {
            let calls = &request.tools.calls;
            let calls = calls.iter().map(|call| Call {
                id: call_id(rng),
                name: call.name.clone(),
                arguments: call.arguments.clone(),
            });
            return Self::without_text(reasoning, calls.collect(), "tool_calls", seed);
        }
        let Text {
            tokens,
            cut,
            stopped,
        } = match (turn, structured(request, question.user_text)) {
            (Some(turn), _) => question.answer(&SimReply::Text(turn.text.clone())),
            (None, Some(value)) => question.answer(&SimReply::Text(value.to_string())),
            (None, None) => question.answer(reply),
        };
        let calls = turn.filter(|_| !cut && !stopped);
        let calls = calls.into_iter().flat_map(|turn| &turn.calls);
        let calls: Vec<_> = calls
            .map(|call| Call {
                id: call.id.clone().unwrap_or_else(|| call_id(rng)),
                name: call.name.clone(),
                arguments: call.arguments(),
            })
            .collect();
        let finish = match request.engine {
            _ if cut => "length",
            _ if !calls.is_empty() => "tool_calls",
            Engine::TurboEos if !stopped => "eos",
            _ => "stop",
        };
        Self {
            reasoning,
            tokens,
            calls,
            order: turn.map_or(CallOrder::Sequential, |turn| turn.order),
            finish,
            seed,
        }
    }

    fn without_text(
        reasoning: Vec<String>,
        calls: Vec<Call>,
        finish: &'static str,
        seed: Number,
    ) -> Self {
        Self {
            reasoning,
            tokens: Vec::new(),
            calls,
            order: CallOrder::Sequential,
            finish,
            seed,
        }
    }

    fn generated(&self) -> usize {
        self.reasoning.len() + self.tokens.len() + self.calls.len() * CALL_TOKENS
    }
}

/// The JSON that the request requires in place of text.
fn structured(request: &TextRequest, user_text: &str) -> Option<Value> {
    match &request.format {
        Format::Text => None,
        Format::Json => Some(json!({"simulated": true, "model": request.model, "said": user_text})),
        Format::Schema(schema) => Some(crate::sample::fitting(schema, "simulated")),
    }
}

fn call_id(rng: &mut Rng) -> String {
    format!("call_{}", rng.word(BASE62, 24).to_ascii_lowercase())
}

/// Seeds are unsigned 64-bit numbers, rounded to a float as in JavaScript: 15924764223251450000.
fn js_rounded(seed: u64) -> Number {
    let rounded = format!("{}", seed as f64);
    rounded
        .parse::<u64>()
        .map_or_else(|_| Number::from(u64::MAX), Number::from)
}

/// The approximate cost of a tool call.
const CALL_TOKENS: usize = 19;
