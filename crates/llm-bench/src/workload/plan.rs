use std::sync::Arc;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use serde_json::{Map, Value, json};

use crate::error::Error;
use crate::experiment::{RunLimits, Task};
use crate::job::{Draft, Job};
use crate::load::Load;
use crate::mix::{self, Mix};
use crate::record::TokenSource;
use crate::request::{BodyBuilder, Endpoint, PreparedRequest, ReplicateModel};
use crate::run::{Plan, RunSpec, Timing};
use crate::scenario::TrafficScenario;
use crate::schedule::{ArrivalProcess, RateProfile, Schedule};
use crate::target::Backend;
use crate::text_api::TextApi;
use crate::tokens::{self, Tokenizer};
use crate::workload::Dataset;
use crate::workload::prompts::Prompts;
use crate::workload::text::{Prefix, PromptWriter, Written};
use crate::workload::trace::{BLOCK, Trace, TraceRow};

/// The prompts and parameters of all runs of an experiment.
#[derive(Clone, Debug)]
pub struct Workload {
    pub(super) task: Task,
    pub(super) backend: Backend,
    bodies: Arc<BodyBuilder>,
    /// The models, if there are several.
    models: Option<Arc<Mix<String>>>,
    /// The models that a trace names.
    trace_models: Arc<[String]>,
    pub(super) dataset: Option<Arc<Dataset>>,
    pub(super) tokenizer: Option<Tokenizer>,
    pub(super) prefix: Option<Prefix>,
    pub(super) seed: u64,
}

impl Workload {
    /// Creates a workload for a task and a model.
    ///
    /// # Errors
    ///
    /// [`Error::Usage`] if the backend does not support the task, or the model's name is invalid on
    /// Replicate.
    pub fn new(task: Task, backend: Backend, model: impl Into<String>) -> Result<Self, Error> {
        if backend == Backend::Replicate && task != Task::TextToText {
            let reason = "predictions are supported for text-to-text only";
            return Err(Error::usage("--task", task.name(), reason));
        }
        let model = model.into();
        if backend == Backend::Replicate && !ReplicateModel::parse(&model).is_valid() {
            let reason = "expected owner/name, owner/name:version, a version or \
                          deployments/owner/name";
            return Err(Error::usage("--api-model-name", model, reason));
        }
        Ok(Self {
            task,
            backend,
            bodies: Arc::new(BodyBuilder {
                model,
                model_place: 0,
                additional: Map::new(),
                api: TextApi::Chat,
                stream: true,
            }),
            models: None,
            trace_models: Arc::default(),
            dataset: None,
            tokenizer: None,
            prefix: None,
            seed: 0,
        })
    }

    /// Merges parameters into every request, last; a null leaves a parameter out.
    #[must_use]
    pub fn with_additional_params(mut self, params: Map<String, Value>) -> Self {
        Arc::make_mut(&mut self.bodies).additional = params;
        self
    }

    /// Requests text in one piece. Its time to first token is that to the end of the response.
    /// Predictions of Replicate are not affected.
    #[must_use]
    pub fn with_streaming(mut self, stream: bool) -> Self {
        Arc::make_mut(&mut self.bodies).stream = stream;
        self
    }

    /// Requests text through another API than chat.
    ///
    /// # Errors
    ///
    /// [`Error::Usage`] if the task or the backend has only one.
    pub fn with_text_api(mut self, api: TextApi) -> Result<Self, Error> {
        let fits = match self.task {
            Task::TextToText => self.backend != Backend::Replicate,
            _ => false,
        };
        if api != TextApi::Chat && !fits {
            let reason = "supported for the task text-to-text, and not for Replicate";
            return Err(Error::usage("--endpoint-type", api.name(), reason));
        }
        Arc::make_mut(&mut self.bodies).api = api;
        Ok(self)
    }

    /// Requests several models instead of one, with these weights. A conversation and a job stay with
    /// one model.
    ///
    /// # Errors
    ///
    /// [`Error::Usage`] if there is no model, a weight is not above zero, or the backend is Replicate.
    pub fn with_models(mut self, models: Vec<(String, f64)>) -> Result<Self, Error> {
        let invalid = |reason: &str| Error::usage("--api-model-name", "", reason);
        if self.backend == Backend::Replicate {
            return Err(invalid("several models are not supported for Replicate"));
        }
        if models.is_empty() || models.iter().any(|(_, weight)| !is_weight(*weight)) {
            return Err(invalid("expected models with weights above zero"));
        }
        self.models = Some(Arc::new(Mix::new(models, mix::MODELS)));
        Ok(self)
    }

    /// What writes the bodies of a job or a request with this number.
    pub(super) fn bodies(&self, number: u64) -> Arc<BodyBuilder> {
        let models = self.models.as_ref();
        match models.and_then(|models| models.choose(number)) {
            None => Arc::clone(&self.bodies),
            Some((place, model)) => {
                let mut bodies = BodyBuilder::clone(&self.bodies);
                bodies.model.clone_from(model);
                bodies.model_place = u32::try_from(place).unwrap_or(u32::MAX);
                Arc::new(bodies)
            }
        }
    }

    /// Knows the models that a trace names.
    pub(super) fn with_trace(&self, trace: &Trace) -> Self {
        Self {
            trace_models: trace.models().into(),
            ..self.clone()
        }
    }

    /// The place of a model in the list of models: the workload's own, then those of the trace.
    pub(super) fn place_of(&self, model: &str) -> u32 {
        let models = self.models.as_ref();
        let own: Vec<&String> = match models {
            Some(models) => models.values().collect(),
            None => vec![&self.bodies.model],
        };
        let mut names = own.into_iter().chain(self.trace_models.iter());
        let place = names.position(|name| name == model).unwrap_or_default();
        u32::try_from(place).unwrap_or(u32::MAX)
    }

    /// The same workload for another model alone.
    fn with_only(&self, model: &str) -> Self {
        let mut only = self.clone();
        let bodies = Arc::make_mut(&mut only.bodies);
        model.clone_into(&mut bodies.model);
        bodies.model_place = self.place_of(model);
        only.models = None;
        only
    }

    /// Takes prompts, or the lines of prompts, from a dataset.
    #[must_use]
    pub fn with_dataset(mut self, dataset: Dataset) -> Self {
        self.dataset = Some(Arc::new(dataset));
        self
    }

    /// Counts the tokens of prompts with a tokenizer.
    #[must_use]
    pub fn with_tokenizer(mut self, tokenizer: Tokenizer) -> Self {
        self.tokenizer = Some(tokenizer);
        self
    }

    /// Starts all prompts with a shared prefix.
    #[must_use]
    pub fn with_prefix(mut self, prefix: Prefix) -> Self {
        self.prefix = Some(prefix);
        self
    }

    /// Sets the seed; equal seeds give equal requests at equal times.
    #[must_use]
    pub fn with_seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// A run of a scenario at a load. `number` distinguishes the runs of an experiment, so that no
    /// two send the same prompts.
    ///
    /// # Errors
    ///
    /// [`Error::Usage`] if the scenario does not fit the task or the dataset, or the load is
    /// invalid.
    pub fn run(
        &self,
        number: u32,
        scenario: TrafficScenario,
        load: LoadSpec,
        batch_size: u32,
        limits: RunLimits,
    ) -> Result<RunSpec, Error> {
        scenario.check(self.task)?;
        scenario.check_batch(batch_size)?;
        if let Some(prefix) = self.prefix {
            let least = scenario.least_input().ok_or_else(|| {
                let reason = "supported for the scenarios D, N and U only";
                Error::usage("--prefix-len", scenario.to_string(), reason)
            })?;
            prefix.check(least)?;
        }
        if scenario == TrafficScenario::Dataset && self.dataset.is_none() {
            let reason = "needs --dataset-path or --dataset-config";
            return Err(Error::usage("--traffic-scenario", "dataset", reason));
        }
        let seed = self.seed ^ (u64::from(number) << 32);
        let (load, timing) = match load {
            LoadSpec::Concurrency(concurrency) => {
                (Load::Concurrency { concurrency }, Timing::Immediate)
            }
            LoadSpec::Rate {
                per_second,
                profile,
                arrivals,
                max_concurrency,
            } => {
                let schedule = Schedule::new(profile, arrivals, seed ^ ARRIVALS)?;
                let load = Load::Rate {
                    per_second,
                    ramp: profile.changes(),
                    arrivals: arrivals.to_string(),
                    max_concurrency,
                };
                (load, Timing::At(Box::new(schedule)))
            }
        };
        let prompts = Prompts::new(self, scenario, batch_size, seed);
        // An invalid first request is reported before anything is sent.
        let job_bytes = prompts.first()?.first.body.len();
        Ok(RunSpec {
            scenario: scenario.to_string(),
            load,
            batch_size,
            plan: Box::new(RequestLimit::new(prompts, limits.max_requests)),
            timing,
            limits,
            budget: None,
            job_bytes,
        })
    }

    /// A run of a trace, `speed` times as fast as recorded; delays of conversations are shorter by the
    /// same factor. With a concurrency, this many requests or jobs run at a time, whenever they were
    /// recorded.
    ///
    /// # Errors
    ///
    /// [`Error::Usage`] if the speed is not from 0.001 to 1,000,000, the task is not chat, the trace
    /// has no times and there is no concurrency, or it names models for Replicate.
    pub fn replay(
        &self,
        trace: &Trace,
        speed: f64,
        load: ReplayLoad,
        limits: RunLimits,
    ) -> Result<RunSpec, Error> {
        if !(1e-3..=1e6).contains(&speed) {
            let reason = "expected a factor from 0.001 to 1000000";
            return Err(Error::usage("--trace-speed", speed.to_string(), reason));
        }
        if self.task != Task::TextToText {
            let reason = "traces are supported for text-to-text only";
            return Err(Error::usage("--task", self.task.name(), reason));
        }
        if self.backend == Backend::Replicate
            && let Some(model) = trace.models().first()
        {
            let reason = "the trace names models, which is not supported for Replicate";
            return Err(Error::usage("--trace", model, reason));
        }
        let is_timed = matches!(load, ReplayLoad::Recorded { .. });
        if is_timed && !trace.has_times() {
            let reason =
                "the trace has no times: set --num-concurrency, the number of jobs at a time";
            return Err(Error::usage("--trace", "", reason));
        }
        let (plan, job_bytes): (Plan, usize) = match trace.jobs.is_empty() {
            true => self.replayed_rows(trace, speed, is_timed),
            false => self.replayed_jobs(trace, speed, is_timed)?,
        };
        let (load, timing) = match load {
            ReplayLoad::Concurrency(concurrency) => {
                (Load::Concurrency { concurrency }, Timing::Immediate)
            }
            ReplayLoad::Recorded { max_concurrency } => {
                let load = Load::Trace {
                    speed,
                    max_concurrency,
                };
                (load, Timing::PerJob)
            }
        };
        Ok(RunSpec {
            scenario: trace.scenario().to_owned(),
            load,
            batch_size: 1,
            plan: Box::new(RequestLimit::new(plan, limits.max_requests)),
            timing,
            limits,
            budget: None,
            job_bytes,
        })
    }

    fn replayed_rows(&self, trace: &Trace, speed: f64, is_timed: bool) -> (Plan, usize) {
        let zero = trace.rows.first().map_or(0.0, |row| row.timestamp);
        let job_bytes = trace.rows.iter().map(TraceRow::bytes).max().unwrap_or(0);
        let writer = PromptWriter::new(Vec::new(), self.tokenizer.clone(), None);
        let shared = Arc::new((self.with_trace(trace), writer));
        let rows = trace.rows.clone();
        let plan = (0..).zip(rows).map(move |(id, row)| {
            let shared = Arc::clone(&shared);
            Draft::new(1, move || {
                let (workload, writer) = &*shared;
                let mut job = match &row.model {
                    Some(model) => workload.with_only(model).replayed(id, &row, writer),
                    None => workload.replayed(id, &row, writer),
                };
                let at = ((row.timestamp - zero) / speed * 1e6) as u64;
                job.scheduled_ns = is_timed.then_some(at);
                Ok(job)
            })
        });
        (Box::new(plan), job_bytes)
    }

    fn replayed(&self, id: u64, row: &TraceRow, writer: &PromptWriter) -> Job {
        let counted = |text: String| Written {
            tokens: tokens::count(self.tokenizer.as_ref(), &text),
            text,
        };
        let written = match (&row.prompt, &row.messages) {
            (Some(prompt), _) => counted(prompt.clone()),
            (None, Some(messages)) => {
                let texts = messages.iter().filter_map(|m| m.get("content")?.as_str());
                let text = counted(texts.collect::<Vec<_>>().join("\n"));
                if self.backend != Backend::Replicate {
                    return self.messages(id, messages, text.tokens, row.output_length);
                }
                text
            }
            (None, None) => {
                let length = row.input_length.unwrap_or(1);
                blocks(id, length, &row.hash_ids, writer)
            }
        };
        self.text(id, written, row.output_length)
    }

    pub(super) fn text(&self, id: u64, written: Written, max_tokens: Option<u64>) -> Job {
        if self.backend == Backend::Replicate {
            let body = self.bodies.prediction(&written.text, max_tokens);
            let request = PreparedRequest::new(Endpoint::Prediction, body, written.tokens);
            return Job::single(id, request);
        }
        let message = json!({"role": "user", "content": written.text});
        self.messages(id, &[message], written.tokens, max_tokens)
    }

    pub(super) fn messages(
        &self,
        id: u64,
        messages: &[Value],
        input: (u64, TokenSource),
        max_tokens: Option<u64>,
    ) -> Job {
        let bodies = self.bodies(id);
        let body = bodies.text(messages, max_tokens, &Map::new());
        Job::single(id, bodies.request(bodies.text_endpoint(), body, input))
    }
}

pub(crate) fn is_weight(weight: f64) -> bool {
    weight.is_finite() && weight > 0.0
}

/// A prompt of blocks: equal numbers give equal text, so that caches work as recorded.
pub(super) fn blocks(id: u64, length: u64, hash_ids: &[u64], writer: &PromptWriter) -> Written {
    let mut left = length.max(1);
    let mut blocks = Vec::new();
    let mut tokens = (0, TokenSource::default());
    let own = |index: u64| (id << 16) ^ index ^ UNIQUE_BLOCKS;
    let mut hashes = hash_ids.iter().copied();
    for index in 0.. {
        if left == 0 {
            break;
        }
        let seed = hashes.next().unwrap_or_else(|| own(index));
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let block = writer.text(left.min(BLOCK), &mut rng);
        tokens = (tokens.0 + block.tokens.0, block.tokens.1);
        blocks.push(block.text);
        left = left.saturating_sub(BLOCK);
    }
    Written {
        text: blocks.join(" "),
        tokens,
    }
}

/// When the requests or jobs of a trace start.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ReplayLoad {
    /// A fixed number of them at a time.
    Concurrency(u32),
    /// As recorded.
    Recorded {
        /// The limit of them at a time.
        max_concurrency: Option<u32>,
    },
}

/// A load.
#[non_exhaustive]
#[derive(Clone, Copy, Debug)]
pub enum LoadSpec {
    /// A fixed number of requests in flight.
    Concurrency(u32),
    /// Requests start at scheduled times.
    Rate {
        /// The rate in reports: the last one of the profile.
        per_second: f64,
        /// The rate over time.
        profile: RateProfile,
        /// The distribution of arrivals.
        arrivals: ArrivalProcess,
        /// The limit of requests in flight.
        max_concurrency: Option<u32>,
    },
}

/// Limits jobs to a number of requests; a conversation that would exceed it does not start.
struct RequestLimit<I> {
    jobs: I,
    left: u64,
}

impl<I> RequestLimit<I> {
    fn new(jobs: I, max: u64) -> Self {
        Self { jobs, left: max }
    }
}

impl<I: Iterator<Item = Draft>> Iterator for RequestLimit<I> {
    type Item = Draft;

    fn next(&mut self) -> Option<Draft> {
        if self.left == 0 {
            return None;
        }
        let job = self.jobs.next()?;
        self.left = self.left.saturating_sub(job.requests);
        Some(job)
    }
}

const ARRIVALS: u64 = 0x6172_7269_7661_6c73;

const UNIQUE_BLOCKS: u64 = 1 << 63;
