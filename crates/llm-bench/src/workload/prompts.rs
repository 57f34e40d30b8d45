use std::sync::Arc;

use rand::RngExt;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use serde_json::json;

use crate::error::Error;
use crate::experiment::Task;
use crate::job::{Conversation, Job};
use crate::request::{Endpoint, PreparedRequest};
use crate::scenario::TrafficScenario;
use crate::target::Backend;
use crate::tokens;
use crate::workload::plan::Workload;
use crate::workload::text::PromptWriter;
use crate::workload::{DatasetRow, image};

/// An endless sequence of requests.
pub(super) struct Prompts {
    workload: Workload,
    scenario: TrafficScenario,
    batch_size: u32,
    rng: ChaCha8Rng,
    writer: PromptWriter,
    /// The rows of the dataset in random order, repeated.
    order: Vec<usize>,
    at: usize,
    id: u64,
    conversations: u64,
}

impl Prompts {
    pub(super) fn new(
        workload: &Workload,
        scenario: TrafficScenario,
        batch_size: u32,
        seed: u64,
    ) -> Result<Self, Error> {
        let rows = workload.dataset.as_ref().map_or(&[][..], |set| &set.rows);
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut order: Vec<usize> = (0..rows.len()).collect();
        order.shuffle(&mut rng);
        let lines = match scenario {
            TrafficScenario::Dataset => Vec::new(),
            _ => rows.iter().map(|row| row.text().to_owned()).collect(),
        };
        Ok(Self {
            writer: PromptWriter::new(lines, workload.tokenizer.clone(), workload.prefix),
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

    pub(super) fn try_next(&mut self) -> Result<Job, Error> {
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
            None => DatasetRow::prompt(DESCRIBE),
        };
        let images = match self.scenario {
            TrafficScenario::Image {
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
                    "the dataset has no images: set their column by --dataset-image-column";
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
            TrafficScenario::Embedding { tokens } => Some(tokens),
            _ => None,
        });
        self.batch(id, &documents, None)
    }

    fn rerank(&mut self, id: u64) -> Job {
        let (document, query) = match self.scenario {
            TrafficScenario::Rerank { document, query } => (Some(document), Some(query)),
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
        Job::single(
            id,
            PreparedRequest {
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

    fn row(&mut self) -> DatasetRow {
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
            // Without a dataset, a few words suffice.
            let tokens = self.rng.random_range(50..150);
            DatasetRow::prompt(self.writer.text(tokens, &mut self.rng))
        })
    }
}

impl Iterator for Prompts {
    type Item = Job;

    fn next(&mut self) -> Option<Job> {
        // The first request was checked before the run. Later ones can fail only because of an
        // unreadable image, and are skipped.
        (0..MAX_SKIPPED).find_map(|_| match self.try_next() {
            Ok(job) => Some(job),
            Err(_) => {
                self.id += 1;
                None
            }
        })
    }
}

const MAX_SKIPPED: u32 = 1000;

const DESCRIBE: &str = "Describe this image in detail.";
