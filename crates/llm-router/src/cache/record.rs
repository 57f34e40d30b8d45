use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use futures_util::Stream;
use llm_provider::{Chunk, Metadata, ReplyEvent, ReplyStream, Result};

use super::{Slot, weight_of};
use crate::core::Core;

/// Passes on a stream and keeps its chunks if it ends without an error.
#[derive(Debug)]
pub(crate) struct Recorder {
    stream: ReplyStream,
    core: Arc<Core>,
    slot: Slot,
    metadata: Metadata,
    /// `None` if the stream is too large or has ended.
    chunks: Option<Vec<Chunk>>,
    weight: usize,
}

impl Recorder {
    /// A stream that is recorded, if the slot allows it.
    pub(crate) fn record(stream: ReplyStream, core: &Arc<Core>, slot: Slot) -> ReplyStream {
        if !slot.writes {
            return stream;
        }
        let metadata = stream.metadata.clone();
        let recorder = Self {
            stream,
            core: Arc::clone(core),
            slot,
            metadata: metadata.clone(),
            chunks: Some(Vec::new()),
            weight: 0,
        };
        ReplyStream::new(metadata, recorder)
    }

    fn push(&mut self, chunk: &Chunk) {
        let Some(chunks) = &mut self.chunks else {
            return;
        };
        self.weight = self.weight.saturating_add(weight_of(chunk));
        chunks.push(chunk.clone());
        let largest = usize::try_from(self.slot.cache.largest()).unwrap_or(usize::MAX);
        if self.weight > largest {
            self.chunks = None;
        }
    }
}

impl Stream for Recorder {
    type Item = Result<ReplyEvent>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let event = ready!(Pin::new(&mut self.stream).poll_next(cx));
        match &event {
            Some(Ok(ReplyEvent::Chunk(chunk))) => self.push(chunk),
            Some(Ok(_)) => {}
            Some(Err(_)) => self.chunks = None,
            None => {
                if let Some(chunks) = self.chunks.take().filter(|chunks| !chunks.is_empty()) {
                    let now = self.core.clock.now();
                    self.slot.store_stream(&self.metadata, chunks, now);
                }
            }
        }
        Poll::Ready(event)
    }
}
