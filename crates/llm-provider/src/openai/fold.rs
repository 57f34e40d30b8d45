//! Streams folded into the answers that would have come in one piece.

use std::collections::BTreeMap;

use llm_types::completions::{CompletionChoice, CompletionRequest, CompletionResponse};
use llm_types::{Accumulator, ChatChunk, ChatRequest, ChatResponse, Field};

use super::exchange::{Exchange, unexpected};
use super::stream::WireChunk;
use crate::{Json, Reply, ReplyEvent, ReplyStream, Result, StreamingOperation};

/// An operation whose chunks add up to its response.
pub(super) trait Fold: Exchange + StreamingOperation<Chunk: WireChunk> {
    /// What has come so far.
    type Sum: Default + Send;

    /// Adds a chunk.
    fn add(sum: &mut Self::Sum, chunk: Self::Chunk);

    /// The response, when all has come.
    fn response(sum: Self::Sum) -> Self::Response;
}

/// Reads a stream to its end.
pub(super) async fn fold<R: Fold>(mut stream: ReplyStream<R::Chunk>) -> Result<Reply<R::Response>> {
    let mut sum = R::Sum::default();
    while let Some(event) = stream.next().await {
        if let ReplyEvent::Chunk(chunk) = event? {
            let chunk = chunk.into_value();
            R::add(
                &mut sum,
                chunk.map_err(|error| unexpected("a chunk", error))?,
            );
        }
    }
    let response = Json::from_value(R::response(sum));
    Ok(Reply::new(response, stream.metadata))
}

impl Fold for ChatRequest {
    type Sum = Accumulator;

    fn add(sum: &mut Accumulator, chunk: ChatChunk) {
        sum.push(chunk);
    }

    fn response(sum: Accumulator) -> ChatResponse {
        sum.into_response()
    }
}

impl Fold for CompletionRequest {
    type Sum = (Option<CompletionResponse>, BTreeMap<u32, CompletionChoice>);

    fn add((response, choices): &mut Self::Sum, mut chunk: CompletionResponse) {
        for more in std::mem::take(&mut chunk.choices) {
            match choices.get_mut(&more.index) {
                Some(choice) => append(choice, more),
                None => drop(choices.insert(more.index, more)),
            }
        }
        match response {
            Some(response) if chunk.usage.is_value() => response.usage = chunk.usage,
            Some(_) => {}
            None => *response = Some(chunk),
        }
    }

    fn response((response, choices): Self::Sum) -> CompletionResponse {
        let mut response = response.unwrap_or_else(|| CompletionResponse::new("", 0_u64, ""));
        response.choices = choices.into_values().collect();
        response
    }
}

fn append(choice: &mut CompletionChoice, more: CompletionChoice) {
    let text = std::mem::take(&mut choice.text);
    choice.logprobs = match (choice.logprobs.take(), more.logprobs) {
        (Field::Value(logprobs), Field::Value(others)) => {
            Field::Value(logprobs.append(&text, others, &more.text))
        }
        (logprobs, others) if others.is_value() || logprobs.is_absent() => others,
        (logprobs, _) => logprobs,
    };
    choice.text = text + &more.text;
    if more.finish_reason.is_value() {
        choice.finish_reason = more.finish_reason;
    }
    choice.extra.extend(more.extra);
}
