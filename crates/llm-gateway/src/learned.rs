//! [`Learned`]: what replies show about models, for the APIs on top of chat.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use llm_types::{ChatChunk, ChatRequest, ChatResponse, Field, FinishReason, Map, Usage, Value};

/// What replies showed about the models so far.
#[derive(Debug, Default)]
pub(crate) struct Learned(Mutex<HashMap<String, Model>>);

#[derive(Clone, Copy, Debug, Default)]
struct Model {
    ends: Ends,
    /// Prompt tokens as estimated and as reported, with older replies counting less.
    estimated: f64,
    reported: f64,
}

/// What an engine reports about the end of a text.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) enum Ends {
    /// Nothing is known.
    #[default]
    Unknown,
    /// Nothing that tells a stop sequence from a natural end.
    Nothing,
    /// `eos` for a natural end, as some engines of Together.
    Natural,
    /// The stop sequence in `stop_reason`, as vLLM.
    Sequence,
    /// Not always the same: several engines serve the model.
    Mixed,
}

/// Learns from the reply to one request.
#[derive(Debug)]
pub(crate) struct Watch {
    learned: Arc<Learned>,
    model: String,
    estimate: u64,
    /// Whether the request has stop sequences.
    has_stops: bool,
}

impl Learned {
    /// What the engine of a model reports about ends.
    pub(crate) fn ends(&self, model: &str) -> Ends {
        self.model(model).ends
    }

    /// The number of prompt tokens of a model, from an estimate.
    pub(crate) fn tokens(&self, model: &str, estimate: u64) -> u64 {
        let model = self.model(model);
        if model.estimated < 1.0 {
            return estimate;
        }
        let ratio = (model.reported / model.estimated).clamp(LEAST, MOST);
        // Counts of prompts fit into a float.
        ((estimate as f64) * ratio).round() as u64
    }

    fn model(&self, model: &str) -> Model {
        let models = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        models.get(model).copied().unwrap_or_default()
    }

    fn change(&self, model: &str, change: impl FnOnce(&mut Model)) {
        let mut models = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(model) = models.get_mut(model) {
            change(model);
        } else if models.len() < MAX_MODELS {
            change(models.entry(model.to_owned()).or_default());
        }
    }
}

impl Watch {
    /// Watches the reply to a request with this estimate of tokens.
    pub(crate) fn new(learned: &Arc<Learned>, chat: &ChatRequest, estimate: u64) -> Self {
        Self {
            learned: Arc::clone(learned),
            model: chat.model.clone(),
            estimate,
            has_stops: chat.stop.is_some(),
        }
    }

    /// The number of prompt tokens, as far as known before the reply.
    pub(crate) fn tokens(&self) -> u64 {
        self.learned.tokens(&self.model, self.estimate)
    }

    /// Learns from a chunk.
    pub(crate) fn chunk(&self, chunk: &ChatChunk) {
        self.usage(&chunk.usage);
        for choice in &chunk.choices {
            self.end(choice.finish_reason.value(), &choice.extra);
        }
    }

    /// Learns from a reply in one piece.
    pub(crate) fn reply(&self, reply: &ChatResponse) {
        self.usage(&reply.usage);
        for choice in &reply.choices {
            self.end(choice.finish_reason.value(), &choice.extra);
        }
    }

    fn usage(&self, usage: &Field<Usage>) {
        let reported = usage.value().map_or(0, Usage::prompt);
        if reported == 0 || self.estimate == 0 {
            return;
        }
        self.learned.change(&self.model, |model| {
            model.estimated = model.estimated * KEPT + self.estimate as f64;
            model.reported = model.reported * KEPT + reported as f64;
        });
    }

    fn end(&self, reason: Option<&FinishReason>, choice: &Map<String, Value>) {
        let Some(reason) = reason else {
            return;
        };
        let native = choice.get(FinishReason::NATIVE).and_then(Value::as_str);
        let ends = match native {
            Some("eos") => Ends::Natural,
            _ if choice.contains_key("stop_reason") => Ends::Sequence,
            // A natural end for certain, without a name for it.
            _ if *reason == FinishReason::Stop && !self.has_stops => Ends::Nothing,
            _ => return,
        };
        let known = self.learned.ends(&self.model);
        if known == ends || known == Ends::Mixed {
            return;
        }
        let ends = match known {
            Ends::Unknown => ends,
            _ => Ends::Mixed,
        };
        self.learned.change(&self.model, |model| model.ends = ends);
    }
}

/// How much the replies so far count when another one arrives.
const KEPT: f64 = 0.9;
/// The limits of the factor between estimated and actual tokens. Engines that report less hide
/// parts of the prompt; the least one also keeps longer prompts from having equal counts.
const LEAST: f64 = 0.6;
const MOST: f64 = 4.0;
/// More models than this, possible with wildcards, are not remembered.
const MAX_MODELS: usize = 4096;

#[cfg(test)]
mod tests {
    use llm_types::parse;

    use super::*;

    #[test]
    fn counts_follow_the_reported_usage_and_grow() {
        let learned = Arc::new(Learned::default());
        assert_eq!(learned.tokens("m", 100), 100);
        let reply = br#"{"choices": [], "usage": {"prompt_tokens": 150, "total_tokens": 150}}"#;
        let reply: ChatResponse = parse(reply).unwrap();
        for _ in 0..50 {
            Watch::new(&learned, &request("m"), 100).reply(&reply);
        }
        assert_eq!(learned.tokens("m", 100), 150);
        assert_eq!(learned.tokens("other", 100), 100);
        let counts: Vec<_> = (1..200)
            .map(|estimate| learned.tokens("m", estimate))
            .collect();
        assert!(counts.is_sorted_by(|one, next| one < next));
    }

    #[test]
    fn the_ends_of_an_engine_are_learned() {
        let stop = r#""finish_reason": "stop""#;
        let eos = r#""finish_reason": "stop", "native_finish_reason": "eos""#;
        let named = r#""finish_reason": "stop", "stop_reason": null"#;
        let length = r#""finish_reason": "length""#;
        for (choices, ends) in [
            (&[length][..], Ends::Unknown),
            (&[stop, length], Ends::Nothing),
            (&[eos, length, eos], Ends::Natural),
            (&[named], Ends::Sequence),
            (&[eos, stop], Ends::Mixed),
            (&[stop, eos, eos], Ends::Mixed),
            (&[named, eos, named], Ends::Mixed),
        ] {
            let learned = Arc::new(Learned::default());
            let watch = Watch::new(&learned, &request("m"), 1);
            for choice in choices {
                let chunk = format!(r#"{{"choices": [{{"index": 0, "delta": {{}}, {choice}}}]}}"#);
                watch.chunk(&parse(chunk.as_bytes()).unwrap());
            }
            assert_eq!(learned.ends("m"), ends, "{choices:?}");
        }
        // With stop sequences, a plain `stop` may be the end at one of them.
        let learned = Arc::new(Learned::default());
        let watch = Watch {
            has_stops: true,
            ..Watch::new(&learned, &request("m"), 1)
        };
        for choice in [eos, stop] {
            let chunk = format!(r#"{{"choices": [{{"index": 0, "delta": {{}}, {choice}}}]}}"#);
            watch.chunk(&parse(chunk.as_bytes()).unwrap());
        }
        assert_eq!(learned.ends("m"), Ends::Natural);
    }

    fn request(model: &str) -> ChatRequest {
        ChatRequest::new(model, Vec::new())
    }
}
