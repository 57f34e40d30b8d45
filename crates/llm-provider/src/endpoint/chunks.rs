//! Chunks, and the normalizer of a stream of chunks.

use std::collections::BTreeSet;
use std::error::Error as StdError;

use bytes::Bytes;
use llm_types::{Field, FinishReason, Usage};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::calls::SeenCalls;
use super::parts;
use super::repair::repaired;
use crate::{Document, Error, ErrorKind, Result};

/// A piece of a streamed reply, with what its normalizer found in it.
#[derive(Clone, Debug)]
pub struct Chunk {
    body: Document,
    has_output: bool,
    is_finish: bool,
    usage: Option<Box<Usage>>,
}

impl Chunk {
    /// Creates a chunk that has no output, finishes no choice, and has no usage.
    pub fn new(body: Document) -> Self {
        Self {
            body,
            has_output: false,
            is_finish: false,
            usage: None,
        }
    }

    /// Sets whether the chunk has output.
    #[must_use]
    pub fn with_output(mut self, has_output: bool) -> Self {
        self.has_output = has_output;
        self
    }

    /// Sets whether the chunk finishes a choice.
    #[must_use]
    pub fn with_finish(mut self, is_finish: bool) -> Self {
        self.is_finish = is_finish;
        self
    }

    /// Sets the token usage, which is in the last chunk of a stream, without choices.
    #[must_use]
    pub fn with_usage(mut self, usage: Usage) -> Self {
        self.usage = Some(Box::new(usage));
        self
    }

    /// The chunk as JSON.
    pub fn body(&self) -> &Document {
        &self.body
    }

    /// The text of the chunk.
    pub fn bytes(&self) -> &Bytes {
        self.body.bytes()
    }

    /// Whether the chunk has output: content, reasoning or a tool call. A role or a finish reason
    /// alone is not output.
    pub fn has_output(&self) -> bool {
        self.has_output
    }

    /// Whether the chunk finishes a choice.
    pub fn is_finish(&self) -> bool {
        self.is_finish
    }

    /// The token usage: in the last chunk of a stream, if the upstream counts tokens.
    pub fn usage(&self) -> Option<&Usage> {
        self.usage.as_deref()
    }

    /// Reads the chunk.
    ///
    /// # Errors
    /// [`ErrorKind::UnexpectedBody`] if it is not a `T`.
    pub fn read<T: DeserializeOwned>(&self) -> Result<T> {
        self.body.read().map_err(unexpected("a chunk"))
    }

    /// The text that the chunk adds to the first choice of a chat or a text completion.
    ///
    /// # Errors
    /// [`ErrorKind::UnexpectedBody`] if it is not a chunk of either.
    pub fn text(&self) -> Result<Option<String>> {
        if !self.has_output {
            return Ok(None);
        }
        let texts: Texts = self.read()?;
        let first = texts.choices.into_iter().find(|choice| choice.index == 0);
        let text = first.and_then(|choice| choice.text.or_else(|| choice.delta?.content));
        Ok(text.filter(|text| !text.is_empty()))
    }
}

#[derive(Deserialize)]
struct Texts {
    #[serde(default)]
    choices: Vec<ChoiceText>,
}

#[derive(Deserialize)]
struct ChoiceText {
    #[serde(default)]
    index: u32,
    #[serde(default)]
    text: Option<String>,
    #[serde(default)]
    delta: Option<DeltaText>,
}

#[derive(Deserialize)]
struct DeltaText {
    #[serde(default)]
    content: Option<String>,
}

/// Normalizes the chunks of one stream; see [`Endpoint::chunks`](super::Endpoint::chunks).
///
/// For every engine, the result has one finish reason per choice, and a last chunk with the usage and
/// without choices. Chunks that need no change keep their bytes.
pub trait Normalize: Send {
    /// Reads one chunk.
    ///
    /// # Errors
    /// The error that the upstream sent instead of a chunk, and [`ErrorKind::UnexpectedBody`] if the
    /// text is neither.
    fn read(&mut self, chunk: &Bytes) -> Result<Step>;

    /// Ends the stream, and returns its last chunk, if any. `is_complete`: whether the upstream
    /// reported the end of the reply.
    ///
    /// # Errors
    /// [`ErrorKind::Transport`] if a choice is unfinished.
    fn end(&mut self, is_complete: bool) -> Result<Option<Chunk>>;
}

/// The result of normalizing one chunk.
#[derive(Debug)]
#[allow(
    clippy::exhaustive_enums,
    clippy::large_enum_variant,
    reason = "there is a chunk or none; most steps have one"
)]
pub enum Step {
    /// No chunk.
    Skip,
    /// A chunk.
    Chunk(Chunk),
}

/// A chunk type that [`Normalizer`] can normalize.
pub(super) trait ChunkType: DeserializeOwned + Serialize + Send + 'static {
    /// Inspects a chunk without building it.
    ///
    /// # Errors
    /// If it is not JSON, or not a chunk.
    fn inspect(data: &[u8], seen: &Seen) -> Result<Inspection, Box<dyn StdError + Send + Sync>>;

    /// Removes the usage, and returns it with a chunk that has it and no choices.
    fn take_usage(&mut self) -> Option<(Self, Usage)>;

    /// Normalizes the rest of the chunk; `false` if nothing is left.
    fn normalize(&mut self, seen: &mut Seen) -> bool;

    /// Whether the chunk has output.
    fn has_output(&self) -> bool;

    /// Whether the chunk finishes a choice.
    fn is_finish(&self) -> bool;
}

/// The result of [`ChunkType::inspect`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Inspection {
    /// A chunk that may pass unchanged, and whether it has output.
    Plain { has_output: bool },
    /// A chunk that has to be normalized.
    Differs,
    /// An error that ends the stream.
    Error,
}

/// The state of a reply after the chunks so far.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// Whether the request asks for log probabilities.
    pub(super) logprobs: bool,
    /// Whether only the first tool call of a choice is kept.
    pub(super) single_call: bool,
    pub(super) calls: SeenCalls,
    /// Whether the request asks for several choices.
    pub(super) several: bool,
    /// The choices, as far as chunks were normalized.
    begun: BTreeSet<u32>,
    finished: BTreeSet<u32>,
}

impl Seen {
    /// Whether any choice has finished.
    pub(super) fn any_finish(&self) -> bool {
        !self.finished.is_empty()
    }

    /// Keeps the first finish reason of a choice, under OpenAI's name. Returns whether the choice
    /// finished in an earlier chunk.
    pub(super) fn finish(
        &mut self,
        index: u32,
        reason: &mut Field<FinishReason>,
        extra: &mut Map<String, Value>,
    ) -> bool {
        self.begun.insert(index);
        let ended = self.finished.contains(&index);
        let canonical = canonical(reason.take(), extra);
        *reason = Field::Null;
        if !ended && canonical.is_value() {
            self.finished.insert(index);
            *reason = canonical;
        }
        ended
    }
}

/// Normalizes a stream of `C`.
#[derive(Debug)]
pub(super) struct Normalizer<C> {
    choices: usize,
    seen: Seen,
    usage: Option<(C, Usage)>,
}

impl<C: ChunkType> Normalizer<C> {
    /// Creates the normalizer of the streamed reply to `request`.
    pub(super) fn new(request: &Document) -> Self {
        let per_prompt: Option<f64> = request.read_member("n").ok().flatten();
        let per_prompt = per_prompt.unwrap_or(1.0).max(1.0) as usize;
        let choices = per_prompt.saturating_mul(prompts(request));
        Self {
            choices,
            seen: Seen {
                logprobs: request.has("logprobs"),
                several: choices > 1,
                ..Seen::default()
            },
            usage: None,
        }
    }

    /// Sets whether only the first tool call of a choice is kept.
    pub(super) fn with_single_call(mut self, single_call: bool) -> Self {
        self.seen.single_call = single_call;
        self
    }
}

impl<C: ChunkType> Normalize for Normalizer<C> {
    fn read(&mut self, data: &Bytes) -> Result<Step> {
        let unexpected = |error: Box<dyn StdError + Send + Sync>| {
            let message = "the upstream sent a chunk that cannot be read";
            Error::new(ErrorKind::UnexpectedBody, message).with_source(error)
        };
        if data.trim_ascii().is_empty() {
            return Ok(Step::Skip);
        }
        let inspection = match C::inspect(data, &self.seen) {
            Ok(inspection) => inspection,
            Err(error) => match repaired(data) {
                Some(data) => return self.read(&data),
                None => return Err(unexpected(error)),
            },
        };
        match inspection {
            Inspection::Plain { has_output } => {
                let chunk = Chunk::new(Document::from_bytes(data.clone()));
                return Ok(Step::Chunk(chunk.with_output(has_output)));
            }
            Inspection::Error => return Err(Error::in_stream(data)),
            Inspection::Differs => {}
        }
        let mut chunk: C = match serde_json::from_slice(data) {
            Ok(chunk) => chunk,
            Err(error) => match repaired(data).or_else(|| parts::joined(data)) {
                Some(data) => return self.read(&data),
                None => return Err(unexpected(error.into())),
            },
        };
        if let Some(usage) = chunk.take_usage() {
            self.usage = Some(usage);
        }
        Ok(if chunk.normalize(&mut self.seen) {
            Step::Chunk(of(&chunk))
        } else {
            Step::Skip
        })
    }

    fn end(&mut self, is_complete: bool) -> Result<Option<Chunk>> {
        // Some upstreams return fewer choices than requested.
        let choices = match is_complete {
            true if self.seen.several => self.seen.begun.len().max(1),
            true => 1,
            false => self.choices.max(self.seen.begun.len()),
        };
        if self.seen.finished.len() < choices {
            let message = "the upstream ended its stream before the reply was complete";
            return Err(Error::new(ErrorKind::Transport, message));
        }
        let usage = self.usage.take();
        Ok(usage.map(|(chunk, usage)| of(&chunk).with_usage(usage)))
    }
}

/// The number of prompts of a text completion: texts, or lists of tokens.
fn prompts(request: &Document) -> usize {
    let prompts: Option<Vec<&RawValue>> = request
        .get("prompt")
        .and_then(|prompts| serde_json::from_slice(prompts).ok());
    let prompts = prompts.unwrap_or_default();
    let is_one = |prompt: &&&RawValue| !prompt.get().starts_with(['"', '[']);
    match prompts.first().filter(is_one) {
        Some(_) => 1,
        None => prompts.len().max(1),
    }
}

/// Converts a typed chunk.
pub(super) fn of<C: ChunkType>(chunk: &C) -> Chunk {
    Chunk::new(Document::new(chunk))
        .with_output(chunk.has_output())
        .with_finish(chunk.is_finish())
}

/// Converts a finish reason to OpenAI's name. An engine's name is kept in `extra`, and the empty
/// string counts as none.
pub(super) fn canonical(
    reason: Field<FinishReason>,
    extra: &mut Map<String, Value>,
) -> Field<FinishReason> {
    let Field::Value(native) = reason else {
        return reason;
    };
    if native.as_str().is_empty() {
        return Field::Null;
    }
    let canonical = native.clone().canonical();
    if canonical != native {
        extra.insert(FinishReason::NATIVE.to_owned(), native.as_str().into());
    }
    Field::Value(canonical)
}

/// Creates the error for a reply that is not `what`.
pub(super) fn unexpected<E>(what: &'static str) -> impl Fn(E) -> Error
where
    E: Into<Box<dyn StdError + Send + Sync>>,
{
    move |error| {
        let message = format!("the upstream's reply is not {what}");
        Error::new(ErrorKind::UnexpectedBody, message).with_source(error)
    }
}
