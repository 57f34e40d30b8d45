//! Writes the jobs of a trace.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

use crate::agent::{AgentContext, AgentHelpers, AgentJob, AgentSession, AgentTurn, History};
use crate::error::Error;
use crate::job::{Draft, Job};
use crate::record::{JobPart, TokenSource};
use crate::run::Plan;
use crate::target::Backend;
use crate::text_api::text_of;
use crate::tokens;
use crate::workload::plan::{Workload, blocks};
use crate::workload::sessions::{JobSpec, SessionSpec, TurnSpec};
use crate::workload::text::PromptWriter;
use crate::workload::trace::Trace;

impl Workload {
    /// The jobs of a trace, and the size of the largest in bytes.
    pub(super) fn replayed_jobs(
        &self,
        trace: &Trace,
        speed: f64,
        is_timed: bool,
    ) -> Result<(Plan, usize), Error> {
        if self.backend == Backend::Replicate {
            let reason = "conversations are not supported for Replicate";
            return Err(Error::usage("--trace", "", reason));
        }
        let times = trace.jobs.iter().filter_map(|job| job.timestamp);
        let zero = times.fold(f64::INFINITY, f64::min);
        let timing = JobTiming {
            zero: if zero.is_finite() { zero } else { 0.0 },
            speed,
            is_timed,
        };
        let writer = PromptWriter::new(Vec::new(), self.tokenizer.clone(), None);
        let shared = Arc::new((self.with_trace(trace), writer, timing));
        let bytes = trace.jobs.iter().map(|job| job.root.bytes());
        let job_bytes = bytes.max().unwrap_or(0);
        let (mut id, mut conversations) = (0, 0);
        let jobs = (0..).zip(trace.jobs.clone()).map(move |(number, spec)| {
            let shared = Arc::clone(&shared);
            let (requests, sessions) = (spec.requests(), spec.root.sessions());
            let place = Place {
                job: number,
                id,
                conversation: conversations,
            };
            id += requests;
            conversations += sessions;
            Draft::new(requests, move || {
                let (workload, writer, timing) = &*shared;
                Ok(workload.job(&spec, place, writer, *timing))
            })
        });
        Ok((Box::new(jobs), job_bytes))
    }

    fn job(
        &self,
        spec: &JobSpec,
        mut place: Place,
        writer: &PromptWriter,
        timing: JobTiming,
    ) -> Job {
        let (first_id, job) = (place.id, place.job);
        let root = self.session(&spec.root, &mut place, writer, timing);
        let part = JobPart {
            job,
            requests: u32::try_from(spec.requests()).unwrap_or(u32::MAX),
        };
        let context = Arc::new(AgentContext {
            bodies: self.bodies(job),
            tokenizer: self.tokenizer.clone(),
            part,
        });
        let first = root.request(0, &mut History::default(), &context);
        let at = spec.timestamp.unwrap_or(timing.zero);
        Job {
            scheduled_ns: timing.is_timed.then_some(timing.nanos(at - timing.zero)),
            agent: Some(AgentJob { root, context }),
            ..Job::single(first_id, first)
        }
    }

    fn session(
        &self,
        spec: &SessionSpec,
        place: &mut Place,
        writer: &PromptWriter,
        timing: JobTiming,
    ) -> AgentSession {
        let (first_id, number) = (place.id, place.conversation);
        place.id += spec.turns.len() as u64;
        place.conversation += 1;
        let turns = (first_id..).zip(&spec.turns).map(|(id, turn)| {
            let helpers = turn.helpers.iter().map(|helpers| AgentHelpers {
                sessions: helpers
                    .sessions
                    .iter()
                    .map(|session| self.session(session, place, writer, timing))
                    .collect(),
                join_at: helpers.join_at,
                inherit: helpers.inherit,
            });
            let helpers = helpers.collect();
            AgentTurn {
                helpers,
                ..self.turn(id, turn, writer, timing)
            }
        });
        AgentSession {
            first_id,
            number,
            turns: turns.collect(),
        }
    }

    fn turn(
        &self,
        id: u64,
        spec: &TurnSpec,
        writer: &PromptWriter,
        timing: JobTiming,
    ) -> AgentTurn {
        let mut messages = spec.messages.clone();
        let mut input: (u64, TokenSource) = (0, TokenSource::default());
        let mut count = |(tokens, source): (u64, TokenSource)| input = (input.0 + tokens, source);
        for message in &messages {
            count(tokens::count(self.tokenizer.as_ref(), &text_of(message)));
        }
        if let Some(length) = spec.input_length {
            let written = blocks(id, length, &spec.hash_ids, writer);
            count(written.tokens);
            messages.push(json!({"role": "user", "content": written.text}));
        }
        let mut parameters = spec.parameters.clone();
        if let Some(model) = &spec.model {
            parameters.insert("model".to_owned(), model.as_str().into());
        }
        let not_before = spec.timestamp.filter(|_| timing.is_timed);
        AgentTurn {
            messages,
            input,
            max_tokens: spec.max_tokens,
            parameters,
            model: spec.model.as_deref().map(|model| self.place_of(model)),
            is_whole: spec.is_whole,
            wait: Duration::from_nanos(timing.nanos(spec.delay)),
            not_before_ns: not_before.map(|at| timing.nanos(at - timing.zero)),
            helpers: Vec::new(),
        }
    }
}

impl SessionSpec {
    /// The number of conversations, with those of helpers.
    fn sessions(&self) -> u64 {
        let helpers = self.turns.iter().flat_map(|turn| &turn.helpers);
        let helpers = helpers.flat_map(|helpers| &helpers.sessions);
        1 + helpers.map(Self::sessions).sum::<u64>()
    }
}

/// The next numbers of a plan.
#[derive(Clone, Copy)]
struct Place {
    job: u64,
    id: u64,
    conversation: u64,
}

#[derive(Clone, Copy)]
struct JobTiming {
    /// The earliest time of the trace, in milliseconds.
    zero: f64,
    speed: f64,
    /// Whether recorded times count.
    is_timed: bool,
}

impl JobTiming {
    fn nanos(self, milliseconds: f64) -> u64 {
        (milliseconds / self.speed * 1e6) as u64
    }
}
