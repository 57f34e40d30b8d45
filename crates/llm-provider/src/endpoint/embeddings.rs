use llm_types::embeddings::{EmbeddingRequest, EmbeddingResponse, EncodingFormat};
use llm_types::{TextInput, Usage};
use serde_json::{Map, Value};

use super::check::{self, Kind};
use super::chunks::unexpected;
use super::{Endpoint, Request, params};
use crate::{Capability, Document, Error, ErrorKind, Metadata, ParamSpec, Result};

/// Embeddings.
#[derive(Clone, Copy, Debug)]
#[allow(clippy::exhaustive_structs, reason = "it has no fields")]
pub struct Embeddings;

impl Endpoint for Embeddings {
    fn capability(&self) -> Capability {
        Capability::Embeddings
    }

    fn path(&self) -> &'static str {
        "/v1/embeddings"
    }

    fn check(&self, request: &Document) -> Result<()> {
        check::texts(&check::members(request, MEMBERS)?, "input")
    }

    fn params(&self) -> &'static [ParamSpec] {
        params::EMBEDDINGS
    }

    fn normalize(
        &self,
        request: &Document,
        reply: Document,
        metadata: &mut Metadata,
    ) -> Result<Document> {
        normalize(request, reply, metadata)
    }
}

impl Request for EmbeddingRequest {
    type Response = EmbeddingResponse;
    const ENDPOINT: &'static dyn Endpoint = &Embeddings;
}

/// The reply in the requested encoding, with token counts.
///
/// Vectors that are already in this encoding keep their digits.
fn normalize(request: &Document, mut reply: Document, metadata: &mut Metadata) -> Result<Document> {
    let encodings = Encodings::of(&reply)?;
    let (format, differs) = match request.str("encoding_format").as_deref() {
        Some("base64") => (EncodingFormat::Base64, encodings.floats),
        None | Some("float") => (EncodingFormat::Float, encodings.base64),
        // A format of the upstream, such as `int8`.
        Some(_) => (EncodingFormat::Float, false),
    };
    if differs {
        let mut response: EmbeddingResponse = reply.read().map_err(unexpected(WHAT))?;
        response.encode(&format).map_err(|error| {
            let message = "the upstream's reply has a vector that cannot be read";
            Error::new(ErrorKind::UnexpectedBody, message).with_source(error)
        })?;
        reply = Document::new(&response);
    }
    if !reply.has_value("usage") {
        if let Some(usage) = estimate(request) {
            reply.set("usage", usage);
            let estimated = "usage_estimated".to_owned();
            metadata.extra.insert(estimated, true.into());
        }
    } else if lacks_total(&reply)
        && let Ok(Some(mut usage)) = reply.read_member::<Map<String, Value>>("usage")
        && let Some(tokens) = usage.get("prompt_tokens").cloned()
    {
        usage.insert("total_tokens".to_owned(), tokens);
        reply.set("usage", usage);
    }
    Ok(reply)
}

fn lacks_total(reply: &Document) -> bool {
    let usage = reply.object().ok().and_then(|reply| reply.object("usage"));
    usage.is_some_and(|usage| usage.bytes("total_tokens").is_none())
}

/// The encodings that occur in a reply.
#[derive(Default)]
struct Encodings {
    base64: bool,
    floats: bool,
}

impl Encodings {
    /// Checks only the first byte of each vector; the numbers are not read.
    fn of(reply: &Document) -> Result<Self> {
        let object = reply.object().map_err(unexpected(WHAT))?;
        let items = object.objects("data").ok_or_else(no_vectors)?;
        let mut found = Self::default();
        for item in items {
            let item = item.map_err(|_| no_vectors())?;
            match item.bytes("embedding").and_then(<[u8]>::first) {
                Some(b'"') => found.base64 = true,
                Some(b'[') => found.floats = true,
                _ => return Err(no_vectors()),
            }
        }
        Ok(found)
    }
}

fn no_vectors() -> Error {
    Error::new(
        ErrorKind::UnexpectedBody,
        "the upstream's reply has no vectors",
    )
}

/// The token usage: estimated for texts, counted for token ids.
fn estimate(request: &Document) -> Option<Usage> {
    let tokens = |text: &String| text.chars().count().div_ceil(CHARS_PER_TOKEN);
    let (count, is_estimate) = match request.read_member::<TextInput>("input").ok()?? {
        TextInput::Text(text) => (tokens(&text), true),
        TextInput::Texts(texts) => (texts.iter().map(tokens).sum(), true),
        TextInput::Tokens(ids) => (ids.len(), false),
        TextInput::TokenLists(lists) => (lists.iter().map(Vec::len).sum(), false),
    };
    let mut usage = Usage::prompt_only(count as u64);
    if is_estimate {
        usage.extra.insert("estimated".to_owned(), true.into());
    }
    Some(usage)
}

/// The average for English text with most tokenizers.
const CHARS_PER_TOKEN: usize = 4;
const WHAT: &str = "embeddings";

/// Members that have the same type at every upstream.
const MEMBERS: &[(&str, Kind)] = &[
    ("dimensions", Kind::Number),
    ("encoding_format", Kind::String),
];
