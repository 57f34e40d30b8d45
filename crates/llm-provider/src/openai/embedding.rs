use llm_types::embeddings::{EmbeddingRequest, EmbeddingResponse, EncodingFormat};
use llm_types::{TextInput, Usage};
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Map;
use serde_json::value::RawValue;

use super::exchange::unexpected;
use crate::{Error, ErrorKind, Json, Metadata, Result};

/// An answer in the encoding that was asked for, with token counts.
///
/// Numbers that nobody wants in base64 keep their digits.
pub(super) fn normalize(
    request: &Json<EmbeddingRequest>,
    answer: Json<EmbeddingResponse>,
    metadata: &mut Metadata,
) -> Result<Json<EmbeddingResponse>> {
    let head: Head<'_> = serde_json::from_slice(answer.bytes()).map_err(not_embeddings)?;
    let format = match request.str_field("encoding_format").as_deref() {
        Some("base64") => EncodingFormat::Base64,
        _ => EncodingFormat::Float,
    };
    let usage = head.usage.is_none().then(|| estimate(request)).flatten();
    let as_wanted = |item: &Item<'_>| item.is_base64() == (format == EncodingFormat::Base64);
    let encoded = head.data.iter().all(as_wanted);
    let mut answer = if encoded {
        answer
    } else {
        let mut response = answer.into_value().map_err(not_embeddings)?;
        response.encode(&format).map_err(|error| {
            let message = "the upstream answered with a vector that cannot be read";
            Error::new(ErrorKind::UnexpectedBody, message).with_source(error)
        })?;
        Json::from_value(response)
    };
    if let Some(usage) = usage {
        let usage = serde_json::to_value(usage).map_err(not_embeddings)?;
        answer = answer.edit([("usage", usage)], &Map::new())?;
        metadata
            .extra
            .insert("usage_estimated".to_owned(), true.into());
    }
    Ok(answer)
}

/// What of an answer tells whether it has to be rewritten.
#[derive(Deserialize)]
struct Head<'a> {
    #[serde(borrow)]
    data: Vec<Item<'a>>,
    #[serde(default)]
    usage: Option<IgnoredAny>,
}

#[derive(Deserialize)]
struct Item<'a> {
    #[serde(borrow)]
    embedding: &'a RawValue,
}

impl Item<'_> {
    fn is_base64(&self) -> bool {
        self.embedding.get().starts_with('"')
    }
}

/// The tokens that the texts probably are; token ids are counted.
fn estimate(request: &Json<EmbeddingRequest>) -> Option<Usage> {
    let tokens = |text: &String| text.chars().count().div_ceil(CHARS_PER_TOKEN);
    let (count, is_estimate) = match &request.value().ok()?.input {
        TextInput::Text(text) => (tokens(text), true),
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

fn not_embeddings(error: serde_json::Error) -> Error {
    unexpected("embeddings", error)
}

/// What English text has with most tokenizers.
const CHARS_PER_TOKEN: usize = 4;
