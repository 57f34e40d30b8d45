use std::sync::Arc;

use rand::RngExt;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use serde_json::{Map, Value, json};

use crate::error::Error;
use crate::experiment::{Limits, Load, Task};
use crate::job::{Conversation, Job};
use crate::request::{Bodies, Endpoint, Prepared};
use crate::run::{RunSpec, Timing};
use crate::scenario::Scenario;
use crate::schedule::{ArrivalProcess, RateProfile, Schedule};
use crate::target::Backend;
use crate::tokens::{self, Tokenizer};
use crate::workload::image;
use crate::workload::text::{Prefix, Writer};
use crate::workload::trace::{BLOCK, Trace, TraceRow};
use crate::workload::{Dataset, Row};

/// What all runs of an experiment ask.
#[derive(Clone, Debug)]
pub struct Workload {
    task: Task,
    backend: Backend,
    bodies: Arc<Bodies>,
    dataset: Option<Arc<Dataset>>,
    tokenizer: Option<Tokenizer>,
    prefix: Option<Prefix>,
    seed: u64,
}

impl Workload {
    /// Prompts for a task and a model.
    ///
    /// # Errors
    ///
    /// [`Error::Usage`] when the backend cannot do the task.
    pub fn new(task: Task, backend: Backend, model: impl Into<String>) -> Result<Self, Error> {
        if backend == Backend::Replicate && task != Task::TextToText {
            let reason = "predictions are measured for text-to-text only";
            return Err(Error::usage("--task", task.name(), reason));
        }
        Ok(Self {
            task,
            backend,
            bodies: Arc::new(Bodies {
                model: model.into(),
                additional: Map::new(),
            }),
            dataset: None,
            tokenizer: None,
            prefix: None,
            seed: 0,
        })
    }

    /// Merges these into every request, last.
    #[must_use]
    pub fn with_additional_params(mut self, params: Map<String, Value>) -> Self {
        Arc::make_mut(&mut self.bodies).additional = params;
        self
    }

    /// Takes prompts, or their words, from here.
    #[must_use]
    pub fn with_dataset(mut self, dataset: Dataset) -> Self {
        self.dataset = Some(Arc::new(dataset));
        self
    }

    /// Counts the tokens of prompts by this.
    #[must_use]
    pub fn with_tokenizer(mut self, tokenizer: Tokenizer) -> Self {
        self.tokenizer = Some(tokenizer);
        self
    }

    /// Begins all prompts alike.
    #[must_use]
    pub fn with_prefix(mut self, prefix: Prefix) -> Self {
        self.prefix = Some(prefix);
        self
    }

    /// Begins random choices here; equal seeds give equal requests at equal times.
    #[must_use]
    pub fn with_seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// The run of a scenario at a load; `number` tells the runs of an experiment apart, so that no
    /// two send the same prompts.
    ///
    /// # Errors
    ///
    /// [`Error::Usage`] when the scenario does not go with the task or the dataset, or the load
    /// makes no sense.
    pub fn run(
        &self,
        number: u32,
        scenario: Scenario,
        load: LoadSpec,
        batch_size: u32,
        limits: Limits,
    ) -> Result<RunSpec, Error> {
        scenario.check(self.task)?;
        if let Some(prefix) = self.prefix {
            let least = scenario.least_input().ok_or_else(|| {
                let reason = "goes with the scenarios D, N and U only";
                Error::usage("--prefix-len", scenario.to_string(), reason)
            })?;
            prefix.check(least)?;
        }
        if scenario == Scenario::Dataset && self.dataset.is_none() {
            let reason = "needs --dataset-path or --dataset-config";
            return Err(Error::usage("--traffic-scenario", "dataset", reason));
        }
        let seed = self.seed ^ (u64::from(number) << 32);
        let (load, timing) = match load {
            LoadSpec::Concurrency(concurrency) => {
                (Load::Concurrency { concurrency }, Timing::AtOnce)
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
                    arrivals: arrivals.to_string(),
                    max_concurrency,
                };
                (load, Timing::At(Box::new(schedule)))
            }
        };
        let mut prompts = Prompts::new(self, scenario, batch_size, seed)?;
        // What cannot be made is told before anything is sent.
        prompts.try_next()?;
        let prompts = Prompts::new(self, scenario, batch_size, seed)?;
        Ok(RunSpec {
            scenario: scenario.to_string(),
            load,
            batch_size,
            plan: Box::new(Limited::new(prompts, limits.max_requests)),
            timing,
            limits,
            budget: None,
        })
    }

    /// The run of a trace, `speed` times as fast as it was.
    ///
    /// # Errors
    ///
    /// [`Error::Usage`] when the speed is not above 0, or the task is not chat.
    pub fn replay(
        &self,
        trace: &Trace,
        speed: f64,
        max_concurrency: Option<u32>,
        limits: Limits,
    ) -> Result<RunSpec, Error> {
        if !(speed > 0.0 && speed.is_finite()) {
            let reason = "expected a factor above 0";
            return Err(Error::usage("--trace-speed", speed.to_string(), reason));
        }
        if self.task != Task::TextToText {
            let reason = "traces are replayed for text-to-text only";
            return Err(Error::usage("--task", self.task.name(), reason));
        }
        let zero = trace.rows.first().map_or(0.0, |row| row.timestamp);
        let workload = self.clone();
        let rows = trace.rows.clone();
        let plan = (0..).zip(rows).map(move |(id, row)| {
            let mut job = workload.replayed(id, &row);
            job.scheduled_ns = Some(((row.timestamp - zero) / speed * 1e6) as u64);
            job
        });
        Ok(RunSpec {
            scenario: "trace".to_owned(),
            load: Load::Trace {
                speed,
                max_concurrency,
            },
            batch_size: 1,
            plan: Box::new(Limited::new(plan, limits.max_requests)),
            timing: Timing::Own,
            limits,
            budget: None,
        })
    }

    fn replayed(&self, id: u64, row: &TraceRow) -> Job {
        let text = match (&row.prompt, &row.messages) {
            (Some(prompt), _) => prompt.clone(),
            (None, Some(messages)) if self.backend != Backend::Replicate => {
                return self.messages(id, messages, row.output_length);
            }
            (None, Some(messages)) => {
                let texts = messages.iter().filter_map(|m| m.get("content")?.as_str());
                texts.collect::<Vec<_>>().join("\n")
            }
            (None, None) => self.blocks(id, row),
        };
        self.text(id, &text, row.output_length)
    }

    /// A prompt of blocks: equal numbers give equal text, so that caches work as they did.
    fn blocks(&self, id: u64, row: &TraceRow) -> String {
        let writer = Writer::new(Vec::new(), self.tokenizer.clone(), None);
        let mut left = row.input_length.unwrap_or(1).max(1);
        let mut blocks = Vec::new();
        let own = |index: u64| (id << 16) ^ index ^ OWN_BLOCKS;
        let mut hashes = row.hash_ids.iter().copied();
        for index in 0.. {
            if left == 0 {
                break;
            }
            let seed = hashes.next().unwrap_or_else(|| own(index));
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            blocks.push(writer.text(left.min(BLOCK), &mut rng));
            left = left.saturating_sub(BLOCK);
        }
        blocks.join(" ")
    }

    fn text(&self, id: u64, text: &str, max_tokens: Option<u64>) -> Job {
        if self.backend == Backend::Replicate {
            return Job::once(
                id,
                Prepared {
                    endpoint: Endpoint::Prediction,
                    body: self.bodies.prediction(text, max_tokens),
                    input: tokens::count(self.tokenizer.as_ref(), text),
                    turn: None,
                },
            );
        }
        self.messages(id, &[json!({"role": "user", "content": text})], max_tokens)
    }

    fn messages(&self, id: u64, messages: &[Value], max_tokens: Option<u64>) -> Job {
        let texts = messages.iter().filter_map(|m| m.get("content")?.as_str());
        let counts = texts.map(|text| tokens::count(self.tokenizer.as_ref(), text));
        let input = counts.reduce(|a, b| (a.0 + b.0, a.1)).unwrap_or_default();
        Job::once(
            id,
            Prepared {
                endpoint: Endpoint::Chat,
                body: self.bodies.chat(messages, max_tokens),
                input,
                turn: None,
            },
        )
    }
}

/// A load as it is asked for.
#[non_exhaustive]
#[derive(Clone, Copy, Debug)]
pub enum LoadSpec {
    /// As many requests in flight at any time.
    Concurrency(u32),
    /// Requests start at times of their own.
    Rate {
        /// The rate in reports: that at the end of the profile.
        per_second: f64,
        /// The rate over time.
        profile: RateProfile,
        /// How arrivals spread.
        arrivals: ArrivalProcess,
        /// Most requests in flight.
        max_concurrency: Option<u32>,
    },
}

/// Requests without an end.
struct Prompts {
    workload: Workload,
    scenario: Scenario,
    batch_size: u32,
    rng: ChaCha8Rng,
    writer: Writer,
    /// Rows of the dataset in random order, again and again.
    order: Vec<usize>,
    at: usize,
    id: u64,
    conversations: u64,
}

impl Prompts {
    fn new(
        workload: &Workload,
        scenario: Scenario,
        batch_size: u32,
        seed: u64,
    ) -> Result<Self, Error> {
        let rows = workload.dataset.as_ref().map_or(&[][..], |set| &set.rows);
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut order: Vec<usize> = (0..rows.len()).collect();
        order.shuffle(&mut rng);
        let lines = match scenario {
            Scenario::Dataset => Vec::new(),
            _ => rows.iter().map(|row| row.text().to_owned()).collect(),
        };
        Ok(Self {
            writer: Writer::new(lines, workload.tokenizer.clone(), workload.prefix),
            workload: workload.clone(),
            scenario,
            batch_size: batch_size.max(1),
            rng,
            order,
            at: 0,
            id: 0,
            conversations: 0,
        })
    }

    fn try_next(&mut self) -> Result<Job, Error> {
        let id = self.id;
        let job = match self.workload.task {
            Task::TextToText => self.chat(id),
            Task::ImageTextToText => self.vision(id)?,
            Task::TextToEmbeddings => self.embeddings(id),
            Task::TextToRerank => self.rerank(id),
        };
        self.id += job.requests();
        Ok(job)
    }

    fn chat(&mut self, id: u64) -> Job {
        if let Some((input, output)) = self.scenario.sample(&mut self.rng) {
            let text = self.writer.prompt(input, &mut self.rng);
            return self.workload.text(id, &text, Some(output));
        }
        let row = self.row();
        if self.workload.backend == Backend::Replicate
            || row.turns.len() <= 1 && row.system.is_none()
        {
            return self.workload.text(id, row.text(), row.max_tokens);
        }
        let number = self.conversations;
        self.conversations += 1;
        let text = row.text().to_owned();
        let (bodies, tokenizer) = (&self.workload.bodies, &self.workload.tokenizer);
        Conversation::job(
            id,
            number,
            Arc::clone(bodies),
            tokenizer.clone(),
            row.system.as_deref(),
            row.turns,
            row.max_tokens,
        )
        .unwrap_or_else(|| self.workload.text(id, &text, None))
    }

    fn vision(&mut self, id: u64) -> Result<Job, Error> {
        let row = match self.workload.dataset {
            Some(_) => self.row(),
            None => Row::prompt(DESCRIBE),
        };
        let images = match self.scenario {
            Scenario::Image {
                width,
                height,
                count,
            } => {
                let sized = (0..count).map(|n| {
                    let source = row.images.get(n as usize % row.images.len().max(1));
                    let number = id * u64::from(count) + u64::from(n);
                    image::sized(source.map(String::as_str), (width, height), number)
                });
                sized.collect::<Result<Vec<_>, _>>()?
            }
            _ if row.images.is_empty() => {
                let reason =
                    "the dataset has no images: name their column by --dataset-image-column";
                return Err(Error::usage("--traffic-scenario", "dataset", reason));
            }
            _ => row.images.clone(),
        };
        let mut content = vec![json!({"type": "text", "text": row.text()})];
        let images = images.into_iter();
        content.extend(images.map(|url| json!({"type": "image_url", "image_url": {"url": url}})));
        let message = json!({"role": "user", "content": content});
        let mut job = self.workload.messages(id, &[message], row.max_tokens);
        job.first.input = tokens::count(self.workload.tokenizer.as_ref(), row.text());
        Ok(job)
    }

    fn embeddings(&mut self, id: u64) -> Job {
        let documents = self.documents(match self.scenario {
            Scenario::Embedding { tokens } => Some(tokens),
            _ => None,
        });
        self.batch(id, &documents, None)
    }

    fn rerank(&mut self, id: u64) -> Job {
        let (document, query) = match self.scenario {
            Scenario::Rerank { document, query } => (Some(document), Some(query)),
            _ => (None, None),
        };
        let documents = self.documents(document);
        let query = match query {
            Some(tokens) => self.writer.text(tokens, &mut self.rng),
            None => self.row().text().to_owned(),
        };
        self.batch(id, &documents, Some(&query))
    }

    fn batch(&self, id: u64, documents: &[String], query: Option<&str>) -> Job {
        let tokenizer = self.workload.tokenizer.as_ref();
        let texts = documents.iter().map(String::as_str).chain(query);
        let counts = texts.map(|text| tokens::count(tokenizer, text));
        let input = counts.reduce(|a, b| (a.0 + b.0, a.1)).unwrap_or_default();
        let (endpoint, body) = match query {
            None => (
                Endpoint::Embeddings,
                self.workload.bodies.embeddings(documents),
            ),
            Some(query) => {
                let body = self.workload.bodies.rerank(query, documents);
                (Endpoint::Rerank, body)
            }
        };
        let turn = None;
        Job::once(
            id,
            Prepared {
                endpoint,
                body,
                input,
                turn,
            },
        )
    }

    fn documents(&mut self, tokens: Option<u64>) -> Vec<String> {
        let documents = (0..self.batch_size).map(|_| match tokens {
            Some(tokens) => self.writer.text(tokens, &mut self.rng),
            None => self.row().text().to_owned(),
        });
        documents.collect()
    }

    fn row(&mut self) -> Row {
        let rows = self
            .workload
            .dataset
            .as_ref()
            .map_or(&[][..], |set| &set.rows);
        let index = self.order.get(self.at).copied();
        self.at += 1;
        if self.at >= self.order.len() {
            self.at = 0;
            self.order.shuffle(&mut self.rng);
        }
        let row = index.and_then(|index| rows.get(index)).cloned();
        row.unwrap_or_else(|| {
            // Without a dataset a few words do.
            let tokens = self.rng.random_range(50..150);
            Row::prompt(self.writer.text(tokens, &mut self.rng))
        })
    }
}

impl Iterator for Prompts {
    type Item = Job;

    fn next(&mut self) -> Option<Job> {
        // The first one was made before the run, and all are made alike but for their images:
        // one that cannot be read is passed over.
        (0..MOST_MISSES).find_map(|_| match self.try_next() {
            Ok(job) => Some(job),
            Err(_) => {
                self.id += 1;
                None
            }
        })
    }
}

/// Jobs until so many requests are made; a conversation is not begun that would go beyond.
struct Limited<I> {
    jobs: I,
    left: u64,
}

impl<I> Limited<I> {
    fn new(jobs: I, most: u64) -> Self {
        Self { jobs, left: most }
    }
}

impl<I: Iterator<Item = Job>> Iterator for Limited<I> {
    type Item = Job;

    fn next(&mut self) -> Option<Job> {
        if self.left == 0 {
            return None;
        }
        let job = self.jobs.next()?;
        self.left = self.left.saturating_sub(job.requests());
        Some(job)
    }
}

const ARRIVALS: u64 = 0x6172_7269_7661_6c73;

const OWN_BLOCKS: u64 = 1 << 63;

const MOST_MISSES: u32 = 1000;

const DESCRIBE: &str = "Describe this image in detail.";
