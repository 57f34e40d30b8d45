//! Embeddings of several inputs: each input has an entry of its own, the same as that of a call with
//! this input alone.

use std::sync::Arc;

use llm_provider::{Call, Capability, Document, Metadata, Reply};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::{Body, CacheControl, Entry, Flight, ReplyCache, Scope, Slot, slot};
use crate::TokenCounts;
use crate::clock::Nanos;

/// The inputs of a call for embeddings, and what is known of them.
#[derive(Debug)]
pub(crate) struct Batch {
    inputs: Vec<Input>,
}

#[derive(Debug)]
struct Input {
    text: Box<RawValue>,
    slot: Slot,
    known: Option<Arc<Entry>>,
}

/// A reply in OpenAI's schema. The vectors are not read.
#[derive(Deserialize, Serialize)]
struct Embeddings {
    object: String,
    data: Vec<Box<RawValue>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    model: Option<Value>,
    #[serde(default)]
    usage: Map<String, Value>,
    #[serde(flatten)]
    extra: Map<String, Value>,
}

/// The batch of a call; `None` if it has fewer than two inputs, or does not use the cache.
pub(crate) fn batch(
    cache: &Arc<ReplyCache>,
    control: &CacheControl,
    scope: &Scope<'_>,
    now: Nanos,
) -> Option<Batch> {
    let call = scope.call;
    if call.endpoint.capability() != Capability::Embeddings {
        return None;
    }
    let texts: Vec<Box<RawValue>> = call.body.read_member("input").ok()??;
    let is_input = |text: &RawValue| text.get().starts_with(['"', '[']);
    if texts.len() < 2 || !texts.iter().all(|text| is_input(text)) {
        return None;
    }
    let inputs = texts.into_iter().map(|text| {
        let mut single = call.clone();
        single.body.set("input", &text);
        let scope = Scope {
            call: &single,
            ..*scope
        };
        let slot = slot(cache, control, &scope)?;
        let known = slot.fresh(now).filter(|_| slot.reads);
        Some(Input { text, slot, known })
    });
    Some(Batch {
        inputs: inputs.collect::<Option<_>>()?,
    })
}

impl Batch {
    /// The call for the inputs that are not known; `None` if all are.
    pub(crate) fn rest(&self, call: &Call) -> Option<Call> {
        let missing: Vec<_> = self.missing().map(|input| &input.text).collect();
        if missing.is_empty() {
            return None;
        }
        let mut call = call.clone();
        if missing.len() < self.inputs.len() {
            call.body.set("input", missing);
        }
        Some(call)
    }

    fn missing(&self) -> impl Iterator<Item = &Input> {
        self.inputs.iter().filter(|input| input.known.is_none())
    }

    /// The reply without any call.
    pub(crate) fn reply(&self) -> Option<Reply> {
        let entry = self.inputs.first()?.known.as_ref()?;
        let known = read(entry)?;
        let zero = ["prompt_tokens", "total_tokens"];
        let embeddings = Embeddings {
            data: self.vectors(Vec::new())?,
            usage: zero
                .map(|name| (name.to_owned(), 0.into()))
                .into_iter()
                .collect(),
            ..known
        };
        Some(Reply::new(Document::new(&embeddings), entry.metadata()))
    }

    /// Keeps the parts of the reply to [`rest`](Self::rest), and completes it. Its usage is that of
    /// the call that was sent. `None` if it does not have a vector for each input.
    pub(crate) fn complete(&self, rest: Reply, now: Nanos) -> Option<Reply> {
        let embeddings: Embeddings = rest.body.read().ok()?;
        let mut vectors = vec![None; embeddings.data.len()];
        for (place, vector) in embeddings.data.iter().enumerate() {
            let mut vector = Document::from_bytes(vector.get().to_owned());
            // Some engines leave the index out, and keep the order.
            if !vector.has("index") {
                vector.set("index", place);
            }
            let index = usize::try_from(vector.u64("index")?).ok()?;
            *vectors.get_mut(index)? = Some(vector);
        }
        let vectors: Vec<Document> = vectors.into_iter().collect::<Option<_>>()?;
        if vectors.len() != self.missing().count() {
            return None;
        }
        self.keep(&embeddings, &rest.metadata, &vectors, now)?;
        if vectors.len() == self.inputs.len() {
            return Some(rest);
        }
        let data = self.vectors(vectors)?;
        let body = Document::new(&Embeddings { data, ..embeddings });
        let mut metadata = rest.metadata;
        metadata
            .extra
            .insert(super::CACHE.to_owned(), "partial".into());
        Some(Reply::new(body, metadata))
    }

    /// Keeps each vector as the reply to a call with its input alone. Its tokens are estimated by its
    /// share of the text.
    fn keep(
        &self,
        all: &Embeddings,
        metadata: &Metadata,
        vectors: &[Document],
        now: Nanos,
    ) -> Option<()> {
        let counts: TokenCounts = serde_json::from_value(Value::Object(all.usage.clone())).ok()?;
        let length = |input: &Input| u64::try_from(input.text.get().len()).unwrap_or(u64::MAX);
        let whole: u64 = self.missing().map(length).sum::<u64>().max(1);
        for (input, vector) in self.missing().zip(vectors) {
            let tokens = counts.total().saturating_mul(length(input)).div_ceil(whole);
            let mut usage = Map::new();
            usage.insert("prompt_tokens".to_owned(), tokens.into());
            usage.insert("total_tokens".to_owned(), tokens.into());
            if vectors.len() > 1 {
                usage.insert("estimated".to_owned(), true.into());
            }
            let single = Embeddings {
                object: all.object.clone(),
                data: vec![at(vector.clone(), 0)?],
                model: all.model.clone(),
                usage,
                extra: all.extra.clone(),
            };
            let reply = Reply::new(Document::new(&single), metadata.clone());
            input.slot.store(Flight::Alone, &reply, now);
        }
        Some(())
    }

    /// The vectors of all inputs, in order; `missing` are those of the inputs that were not known.
    fn vectors(&self, missing: Vec<Document>) -> Option<Vec<Box<RawValue>>> {
        let mut missing = missing.into_iter();
        let vectors = self.inputs.iter().enumerate().map(|(index, input)| {
            let vector = match &input.known {
                Some(entry) => {
                    let first = read(entry)?.data.into_iter().next()?;
                    Document::from_bytes(String::from(Box::<str>::from(first)))
                }
                None => missing.next()?,
            };
            at(vector, index)
        });
        vectors.collect()
    }
}

fn read(entry: &Entry) -> Option<Embeddings> {
    match &entry.body {
        Body::Whole(body) => body.read().ok(),
        Body::Stream(_) => None,
    }
}

/// A vector at a place of a reply; its digits stay the same.
fn at(mut vector: Document, index: usize) -> Option<Box<RawValue>> {
    vector.set("index", index);
    let text = String::from_utf8(vector.bytes().to_vec()).ok()?;
    RawValue::from_string(text).ok()
}
