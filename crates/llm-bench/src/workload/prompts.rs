use std::sync::Arc;

use rand::RngExt;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use serde_json::json;

use crate::error::Error;
use crate::experiment::Task;
use crate::job::{Conversation, Draft, Job};
use crate::request::{BodyBuilder, Endpoint};
use crate::scenario::TrafficScenario;
use crate::target::Backend;
use crate::tokens;
use crate::workload::image::SizedImages;
use crate::workload::plan::Workload;
use crate::workload::text::{PromptWriter, Written};
use crate::workload::{Dataset, DatasetRow};

/// An endless sequence of requests.
///
/// It decides lengths and rows in order; the requests are written elsewhere, each with its own
/// random numbers.
pub(super) struct Prompts {
    materials: Arc<Materials>,
    rng: ChaCha8Rng,
    /// The rows of the dataset in random order, repeated.
    order: Vec<usize>,
    at: usize,
    id: u64,
    conversations: u64,
}

/// What all requests of a run are made of.
struct Materials {
    workload: Workload,
    scenario: TrafficScenario,
    writer: PromptWriter,
    images: Option<(SizedImages, u32)>,
    batch_size: u32,
}

/// The decisions about a request.
struct Choice {
    id: u64,
    /// The number of its conversation.
    number: u64,
    seed: u64,
    /// Tokens of the prompt and of the output.
    lengths: Option<(u64, u64)>,
    /// Indices of the dataset's rows.
    rows: Vec<usize>,
}

impl Prompts {
    pub(super) fn new(
        workload: &Workload,
        scenario: TrafficScenario,
        batch_size: u32,
        seed: u64,
    ) -> Self {
        let rows = rows(workload.dataset.as_deref());
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut order: Vec<usize> = (0..rows.len()).collect();
        order.shuffle(&mut rng);
        let lines = match scenario {
            TrafficScenario::Dataset => Vec::new(),
            _ => rows.iter().map(|row| row.text().to_owned()).collect(),
        };
        let images = match scenario {
            TrafficScenario::Image {
                width,
                height,
                count,
            } => Some((SizedImages::new(width, height), count)),
            _ => None,
        };
        Self {
            materials: Arc::new(Materials {
                writer: PromptWriter::new(lines, workload.tokenizer.clone(), workload.prefix),
                workload: workload.clone(),
                scenario,
                images,
                batch_size: batch_size.max(1),
            }),
            rng,
            order,
            at: 0,
            id: 0,
            conversations: 0,
        }
    }

    /// The first request.
    ///
    /// # Errors
    ///
    /// If it cannot be written, as probably no other can.
    pub(super) fn first(&self) -> Result<Job, Error> {
        let mut prompts = Self {
            materials: Arc::clone(&self.materials),
            rng: self.rng.clone(),
            order: self.order.clone(),
            ..*self
        };
        prompts.draft().write()
    }

    fn draft(&mut self) -> Draft {
        let materials = Arc::clone(&self.materials);
        let lengths = materials.scenario.sample(&mut self.rng);
        let rows = (0..materials.rows_per_request()).filter_map(|_| self.row());
        let rows = rows.collect();
        let choice = Choice {
            id: self.id,
            number: self.conversations,
            rows,
            seed: self.rng.random(),
            lengths,
        };
        let turns = materials.turns(&choice);
        self.conversations += u64::from(turns.is_some());
        let requests = turns.unwrap_or(1);
        self.id += requests;
        Draft::new(requests, move || materials.write(&choice))
    }

    fn row(&mut self) -> Option<usize> {
        let row = self.order.get(self.at).copied();
        self.at += 1;
        if self.at >= self.order.len() {
            self.at = 0;
            self.order.shuffle(&mut self.rng);
        }
        row
    }
}

impl Iterator for Prompts {
    type Item = Draft;

    fn next(&mut self) -> Option<Draft> {
        Some(self.draft())
    }
}

impl Materials {
    /// The rows of the dataset that a request takes unchanged.
    fn rows_per_request(&self) -> u32 {
        if self.workload.dataset.is_none() {
            return 0;
        }
        match (self.workload.task, self.scenario) {
            (Task::ImageTextToText, _) => 1,
            (Task::TextToText, TrafficScenario::Dataset) => 1,
            (Task::TextToEmbeddings, TrafficScenario::Dataset) => self.batch_size,
            (Task::TextToRerank, TrafficScenario::Dataset) => self.batch_size + 1,
            _ => 0,
        }
    }

    /// The number of requests of a conversation.
    fn turns(&self, choice: &Choice) -> Option<u64> {
        let row = &self.rows()[*choice.rows.first()?];
        self.is_conversation(row)
            .then(|| row.turns.len().max(1) as u64)
    }

    fn is_conversation(&self, row: &DatasetRow) -> bool {
        self.workload.task == Task::TextToText
            && self.workload.backend != Backend::Replicate
            && (row.turns.len() > 1 || row.system.is_some())
    }

    fn write(&self, choice: &Choice) -> Result<Job, Error> {
        let mut rng = ChaCha8Rng::seed_from_u64(choice.seed);
        Ok(match self.workload.task {
            Task::TextToText => self.chat(choice, &mut rng),
            Task::ImageTextToText => self.vision(choice)?,
            Task::TextToEmbeddings => self.embeddings(choice, &mut rng),
            Task::TextToRerank => self.rerank(choice, &mut rng),
        })
    }

    fn chat(&self, choice: &Choice, rng: &mut ChaCha8Rng) -> Job {
        let id = choice.id;
        if let Some((input, output)) = choice.lengths {
            let written = self.writer.prompt(input, rng);
            return self.workload.text(id, written, Some(output));
        }
        let empty = DatasetRow::default();
        let row = choice.rows.first().map_or(&empty, |row| &self.rows()[*row]);
        let single = || {
            let written = self.counted(row.text());
            self.workload.text(id, written, row.max_tokens)
        };
        if !self.is_conversation(row) {
            return single();
        }
        let bodies = self.workload.bodies(choice.number);
        let tokenizer = &self.workload.tokenizer;
        let job = Conversation::job(
            id,
            choice.number,
            bodies,
            tokenizer.clone(),
            row.system.as_deref(),
            row.turns.clone(),
            row.max_tokens,
        );
        job.unwrap_or_else(single)
    }

    fn vision(&self, choice: &Choice) -> Result<Job, Error> {
        let synthetic = DatasetRow::prompt(DESCRIBE);
        let index = choice.rows.first().copied();
        let row = index.map_or(&synthetic, |row| &self.rows()[row]);
        let images = match &self.images {
            Some((images, count)) => {
                let sized = (0..*count).map(|n| match (index, row.images.len()) {
                    (Some(index), known @ 1..) => {
                        let image = n as usize % known;
                        images.resized((index, image), &row.images[image])
                    }
                    _ => images.synthetic(choice.id * u64::from(*count) + u64::from(n)),
                });
                sized.collect::<Result<Vec<_>, _>>()?
            }
            None if row.images.is_empty() => {
                let reason =
                    "the dataset has no images: set their column by --dataset-image-column";
                return Err(Error::usage("--traffic-scenario", "dataset", reason));
            }
            None => row.images.clone(),
        };
        let mut content = vec![json!({"type": "text", "text": row.text()})];
        let images = images.into_iter();
        content.extend(images.map(|url| json!({"type": "image_url", "image_url": {"url": url}})));
        let message = json!({"role": "user", "content": content});
        let input = tokens::count(self.workload.tokenizer.as_ref(), row.text());
        let workload = &self.workload;
        Ok(workload.messages(choice.id, &[message], input, row.max_tokens))
    }

    fn embeddings(&self, choice: &Choice, rng: &mut ChaCha8Rng) -> Job {
        let documents = match self.scenario {
            TrafficScenario::Embedding { tokens } => self.documents(tokens, rng),
            _ => self.documents_of(&choice.rows),
        };
        let body = |bodies: &BodyBuilder, documents: &[String]| bodies.embeddings(documents);
        self.batch(choice.id, Endpoint::Embeddings, documents, body)
    }

    fn rerank(&self, choice: &Choice, rng: &mut ChaCha8Rng) -> Job {
        let (documents, query) = match self.scenario {
            TrafficScenario::Rerank { document, query } => {
                (self.documents(document, rng), self.writer.text(query, rng))
            }
            _ => {
                let mut documents = self.documents_of(&choice.rows);
                let query = documents.pop().unwrap_or_default();
                (documents, query)
            }
        };
        let body =
            |bodies: &BodyBuilder, documents: &[String]| bodies.rerank(&query.text, documents);
        let mut job = self.batch(choice.id, Endpoint::Rerank, documents, body);
        job.first.input.0 += query.tokens.0;
        job
    }

    fn batch(
        &self,
        id: u64,
        endpoint: Endpoint,
        documents: Vec<Written>,
        body: impl Fn(&BodyBuilder, &[String]) -> bytes::Bytes,
    ) -> Job {
        let counts = documents.iter().map(|document| document.tokens);
        let input = counts.reduce(|a, b| (a.0 + b.0, a.1)).unwrap_or_default();
        let texts: Vec<String> = documents.into_iter().map(|written| written.text).collect();
        let bodies = self.workload.bodies(id);
        Job::single(id, bodies.request(endpoint, body(&bodies, &texts), input))
    }

    fn documents(&self, tokens: u64, rng: &mut ChaCha8Rng) -> Vec<Written> {
        let documents = (0..self.batch_size).map(|_| self.writer.text(tokens, rng));
        documents.collect()
    }

    fn documents_of(&self, rows: &[usize]) -> Vec<Written> {
        let texts = rows.iter().map(|row| self.rows()[*row].text());
        texts.map(|text| self.counted(text)).collect()
    }

    fn counted(&self, text: &str) -> Written {
        Written {
            text: text.to_owned(),
            tokens: tokens::count(self.workload.tokenizer.as_ref(), text),
        }
    }

    fn rows(&self) -> &[DatasetRow] {
        rows(self.workload.dataset.as_deref())
    }
}

fn rows(dataset: Option<&Dataset>) -> &[DatasetRow] {
    dataset.map_or(&[][..], |dataset| &dataset.rows)
}

const DESCRIBE: &str = "Describe this image in detail.";
