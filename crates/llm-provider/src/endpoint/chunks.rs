//! Chunks, and what normalizes a stream of them.

use std::collections::BTreeSet;
use std::error::Error as StdError;

use bytes::Bytes;
use llm_types::{Field, FinishReason, Usage};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{Document, Error, ErrorKind, Result};

/// A piece of a streamed answer, and what its normalizer found out about it.
#[derive(Clone, Debug)]
pub struct Chunk {
    body: Document,
    has_output: bool,
    is_finish: bool,
    usage: Option<Box<Usage>>,
}

impl Chunk {
    /// A chunk that has no output, ends no choice, and has no usage.
    pub fn new(body: Document) -> Self {
        Self {
            body,
            has_output: false,
            is_finish: false,
            usage: None,
        }
    }

    /// Sets whether it adds to the answer.
    #[must_use]
    pub fn with_output(mut self, has_output: bool) -> Self {
        self.has_output = has_output;
        self
    }

    /// Sets whether a choice ends with it.
    #[must_use]
    pub fn with_finish(mut self, is_finish: bool) -> Self {
        self.is_finish = is_finish;
        self
    }

    /// Sets the token counts, which the last chunk of a stream has, and which has no choices.
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

    /// Whether it adds to the answer: content, reasoning or a tool call. A chunk that only announces
    /// an answer, or ends it, does not.
    pub fn has_output(&self) -> bool {
        self.has_output
    }

    /// Whether a choice ends with it.
    pub fn is_finish(&self) -> bool {
        self.is_finish
    }

    /// The token counts, in the last chunk of a stream whose upstream counts.
    pub fn usage(&self) -> Option<&Usage> {
        self.usage.as_deref()
    }

    /// Reads the chunk.
    ///
    /// # Errors
    /// [`ErrorKind::UnexpectedBody`] when it is not a `T`.
    pub fn read<T: DeserializeOwned>(&self) -> Result<T> {
        self.body.read().map_err(unexpected("a chunk"))
    }

    /// The text that the chunk adds to the first choice of a chat or a text completion.
    ///
    /// # Errors
    /// [`ErrorKind::UnexpectedBody`] when it is not a chunk of either.
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
/// Whatever the engine, the result has one finish reason for each choice, and the usage alone in a
/// last chunk. Chunks that need no change keep their bytes.
pub trait Normalize: Send {
    /// Reads one chunk.
    ///
    /// # Errors
    /// The error that the upstream sent instead of a chunk, and [`ErrorKind::UnexpectedBody`] for
    /// what is neither.
    fn read(&mut self, chunk: &Bytes) -> Result<Step>;

    /// Ends the stream; the result is its last chunk. `is_complete` if the upstream said that it is
    /// the end.
    ///
    /// # Errors
    /// [`ErrorKind::Transport`] when choices are unfinished.
    fn end(&mut self, is_complete: bool) -> Result<Option<Chunk>>;
}

/// What a chunk contributes to a normalized stream.
#[derive(Debug)]
#[allow(
    clippy::exhaustive_enums,
    clippy::large_enum_variant,
    reason = "either there is a chunk or there is none; chunks are the rule"
)]
pub enum Step {
    /// Nothing now.
    Skip,
    /// This chunk.
    Chunk(Chunk),
}

/// A chunk type that [`Normalizer`] can normalize.
pub(super) trait ChunkType: DeserializeOwned + Serialize + Send + 'static {
    /// Looks at a chunk without building it.
    ///
    /// # Errors
    /// When it is not JSON, or not a chunk.
    fn inspect(data: &[u8], seen: &Seen) -> Result<Inspection, Box<dyn StdError + Send + Sync>>;

    /// Takes the usage out of the chunk, and makes a chunk of it that has no choices.
    fn take_usage(&mut self) -> Option<(Self, Usage)>;

    /// Normalizes what is left; `false` when that adds nothing.
    fn normalize(&mut self, seen: &mut Seen) -> bool;

    /// Whether it adds to the answer.
    fn has_output(&self) -> bool;

    /// Whether a choice ends with it.
    fn is_finish(&self) -> bool;
}

/// What [`ChunkType::inspect`] finds.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Inspection {
    /// A chunk that may pass as it is, and whether it has output.
    Plain { has_output: bool },
    /// A chunk that has to be normalized.
    Differs,
    /// An error that ends the stream.
    Error,
}

/// What was seen of an answer so far.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// Whether log probabilities were asked for.
    pub(super) logprobs: bool,
    finished: BTreeSet<u32>,
}

impl Seen {
    /// Whether any choice has ended.
    pub(super) fn any_finish(&self) -> bool {
        !self.finished.is_empty()
    }

    /// Keeps the first finish reason of a choice, under OpenAI's name. Returns whether the choice
    /// had ended before.
    pub(super) fn finish(
        &mut self,
        index: u32,
        reason: &mut Field<FinishReason>,
        extra: &mut Map<String, Value>,
    ) -> bool {
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
    /// For the stream that answers `request`.
    pub(super) fn new(request: &Document) -> Self {
        let choices = request.u64("n").unwrap_or(1).max(1);
        Self {
            choices: usize::try_from(choices).unwrap_or(usize::MAX),
            seen: Seen {
                logprobs: request.has("logprobs"),
                ..Seen::default()
            },
            usage: None,
        }
    }
}

impl<C: ChunkType> Normalize for Normalizer<C> {
    fn read(&mut self, data: &Bytes) -> Result<Step> {
        let unexpected = |error: Box<dyn StdError + Send + Sync>| {
            let message = "the upstream sent a chunk that cannot be read";
            Error::new(ErrorKind::UnexpectedBody, message).with_source(error)
        };
        match C::inspect(data, &self.seen).map_err(unexpected)? {
            Inspection::Plain { has_output } => {
                let chunk = Chunk::new(Document::from_bytes(data.clone()));
                return Ok(Step::Chunk(chunk.with_output(has_output)));
            }
            Inspection::Error => return Err(Error::in_stream(data)),
            Inspection::Differs => {}
        }
        let mut chunk: C =
            serde_json::from_slice(data).map_err(|error| unexpected(error.into()))?;
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
        let choices = if is_complete { 1 } else { self.choices };
        if self.seen.finished.len() < choices {
            let message = "the upstream ended its stream in the middle of the answer";
            return Err(Error::new(ErrorKind::Transport, message));
        }
        let usage = self.usage.take();
        Ok(usage.map(|(chunk, usage)| of(&chunk).with_usage(usage)))
    }
}

/// A chunk that was built, or that had to be read.
pub(super) fn of<C: ChunkType>(chunk: &C) -> Chunk {
    Chunk::new(Document::new(chunk))
        .with_output(chunk.has_output())
        .with_finish(chunk.is_finish())
}

/// OpenAI's name of a finish reason; an engine's own name is kept beside it, and the empty string
/// counts as none.
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

/// The error of an upstream that answered with something else than `what`.
pub(super) fn unexpected<E>(what: &'static str) -> impl Fn(E) -> Error
where
    E: Into<Box<dyn StdError + Send + Sync>>,
{
    move |error| {
        let message = format!("the upstream's answer is not {what}");
        Error::new(ErrorKind::UnexpectedBody, message).with_source(error)
    }
}
