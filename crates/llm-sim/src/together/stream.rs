//! The events of a streamed response, with their times.

use std::ops::Range;

use tokio::time::Instant;

use crate::clock::later;
use crate::options::{Pace, Timing};
use crate::script::CallOrder;
use crate::sse::Timed;
use crate::together::catalog::Engine;
use crate::together::generation::{Choice, Generation};

/// The kind of a stream.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum TextEndpoint {
    Chat,
    Completion,
}

/// The events of a streamed response, each with its time.
pub(crate) struct Events {
    pub(super) generation: Generation,
    pub(super) endpoint: TextEndpoint,
    steps: std::vec::IntoIter<Step>,
    began: Instant,
    timing: Timing,
    /// Tokens sent so far, by choice: choices are generated in parallel.
    sent: Vec<usize>,
}

pub(super) struct Step {
    pub(super) choice: usize,
    pub(super) kind: Kind,
    /// The number of tokens in it.
    cost: usize,
}

pub(super) enum Kind {
    /// The first chunk of the new engine, or of a tool call of the old one.
    Role,
    /// These tokens of the choice's reasoning.
    Reasoning(Range<usize>),
    /// These tokens of the choice.
    Content(Range<usize>),
    /// The id and the name of this call.
    CallName(usize),
    /// A part of this call's arguments, perhaps beside tokens of the choice. `last` means that it
    /// already has the finish reason (old engine).
    CallArguments {
        call: usize,
        part: String,
        last: bool,
        beside: Range<usize>,
    },
    /// The old engine's last chunk may contain content and usage.
    Finish {
        rest: Range<usize>,
        usage: bool,
    },
    Usage,
    Error,
    Done,
}

impl Events {
    pub(crate) fn new(
        generation: Generation,
        endpoint: TextEndpoint,
        began: Instant,
        timing: &Timing,
        pace: &Pace,
    ) -> Self {
        let turbo = generation.request.engine.is_turbo();
        let mut columns: Vec<_> = (0..)
            .zip(&generation.choices)
            .map(|(at, choice)| steps(&generation, endpoint, at, choice, pace).into_iter())
            .collect();
        // Several choices are interleaved.
        let mut all = Vec::new();
        while columns
            .iter_mut()
            .fold(false, |any, column| match column.next() {
                Some(step) => {
                    all.push(step);
                    true
                }
                None => any,
            })
        {}
        if turbo {
            let last = all.iter_mut().rev().find_map(|step| match &mut step.kind {
                Kind::Finish { usage, .. } => Some(usage),
                _ => None,
            });
            if let Some(usage) = last {
                *usage = true;
            }
        } else {
            all.push(Step {
                choice: 0,
                kind: Kind::Usage,
                cost: 0,
            });
        }
        all.push(Step {
            choice: 0,
            kind: Kind::Done,
            cost: 0,
        });
        break_off(&mut all, generation.request.error_after);
        Self {
            began,
            timing: timing.clone(),
            sent: vec![0; generation.choices.len()],
            generation,
            endpoint,
            steps: all.into_iter(),
        }
    }
}

impl Iterator for Events {
    type Item = Timed;

    fn next(&mut self) -> Option<Timed> {
        let step = self.steps.next()?;
        let bytes = self.event(&step);
        let sent = match step.kind {
            // Events without a choice follow all others.
            Kind::Usage | Kind::Error | Kind::Done => self.sent.iter().max().copied(),
            _ => self.sent.get(step.choice).copied(),
        };
        let sent = sent.unwrap_or(0);
        let at = token_at(self.began, &self.timing, sent + step.cost);
        if let Some(of_choice) = self.sent.get_mut(step.choice) {
            *of_choice += step.cost;
        }
        Some(Timed {
            at,
            tokens: step.cost,
            bytes,
        })
    }
}

/// The time at which this many tokens are available: the first after its own delay, the others one
/// by one.
pub(crate) fn token_at(began: Instant, timing: &Timing, tokens: usize) -> Instant {
    let others = u32::try_from(tokens.saturating_sub(1)).unwrap_or(u32::MAX);
    let after = timing.token.saturating_mul(others);
    later(began, timing.first_token.saturating_add(after))
}

fn steps(
    generation: &Generation,
    endpoint: TextEndpoint,
    at: usize,
    choice: &Choice,
    pace: &Pace,
) -> Vec<Step> {
    let engine = generation.request.engine;
    let turbo = engine.is_turbo();
    let mut steps = Vec::new();
    let mut push = |kind, cost| {
        steps.push(Step {
            choice: at,
            kind,
            cost,
        })
    };
    if !turbo || !choice.calls.is_empty() {
        push(Kind::Role, 0);
    }
    let size = pace.tokens_per_event.max(1);
    for group in groups(choice.reasoning.len(), size) {
        let cost = group.len();
        push(Kind::Reasoning(group), cost);
    }
    let mut content = groups(choice.tokens.len(), size);
    let rest = match choice.finish {
        "eos" if !has_token_chunks(endpoint, engine) => content.next_back().unwrap_or(0..0),
        _ => 0..0,
    };
    let mut beside = match choice.order {
        CallOrder::Beside if !choice.calls.is_empty() => content.next_back().unwrap_or(0..0),
        _ => 0..0,
    };
    for group in content {
        let cost = group.len();
        push(Kind::Content(group), cost);
    }
    for mut kind in call_kinds(choice, turbo) {
        let mut cost = 1;
        if let Kind::CallArguments { beside: place, .. } = &mut kind {
            cost += beside.len();
            *place = std::mem::replace(&mut beside, 0..0);
        }
        push(kind, cost);
    }
    push(Kind::Finish { rest, usage: false }, 0);
    steps
}

/// The chunks of the calls: the old engine sends the arguments of a call at once.
fn call_kinds(choice: &Choice, turbo: bool) -> Vec<Kind> {
    let (mut first, mut second, mut kinds) = (Vec::new(), Vec::new(), Vec::new());
    for (at, call) in choice.calls.iter().enumerate() {
        let half = call.arguments.floor_char_boundary(call.arguments.len() / 2);
        let half = if turbo { 0 } else { half };
        let (head, tail) = call.arguments.split_at(half);
        let part = |part: &str| Kind::CallArguments {
            call: at,
            part: part.to_owned(),
            last: turbo && at + 1 == choice.calls.len(),
            beside: 0..0,
        };
        let name = Kind::CallName(at);
        if choice.order == CallOrder::Interleaved {
            kinds.push(name);
            first.extend((!head.is_empty()).then(|| part(head)));
            second.extend((!tail.is_empty()).then(|| part(tail)));
        } else {
            kinds.push(name);
            let parts = [head, tail].into_iter().filter(|part| !part.is_empty());
            kinds.extend(parts.map(part));
        }
    }
    kinds.extend(first);
    kinds.extend(second);
    kinds
}

/// Splits this many tokens into groups of a size.
fn groups(tokens: usize, size: usize) -> impl DoubleEndedIterator<Item = Range<usize>> {
    (0..tokens.div_ceil(size)).map(move |at| at * size..tokens.min((at + 1) * size))
}

/// Ends a stream with an error after this many tokens, without a finish, usage or `[DONE]`.
fn break_off(steps: &mut Vec<Step>, after: Option<usize>) {
    let Some(after) = after else { return };
    let mut tokens = 0;
    let end = steps.iter().position(|step| {
        tokens += step.cost;
        tokens > after || matches!(step.kind, Kind::Finish { .. })
    });
    steps.truncate(end.unwrap_or(steps.len()));
    steps.push(Step {
        choice: 0,
        kind: Kind::Error,
        cost: 0,
    });
}

/// Whether each chunk has a `token`, as in the specification's completion streams.
pub(super) fn has_token_chunks(endpoint: TextEndpoint, engine: Engine) -> bool {
    endpoint == TextEndpoint::Completion && engine == Engine::TurboEos
}
