use std::fmt;
use std::marker::PhantomData;

use llm_provider::endpoint::{Accumulate, StreamingRequest};
use llm_provider::{Chunk, Error, ErrorKind, Metadata, Reply, ReplyEvent, ReplyStream, Result};

/// A streamed reply that also returns the whole response at its end.
///
/// It keeps the text that has arrived, and parses each chunk; a [`ReplyStream`] does neither.
///
/// ```no_run
/// # async fn example() -> polyllm::Result<()> {
/// let client = polyllm::Client::from_env()?;
/// let chat = client.chat("together_ai/openai/gpt-oss-20b").with_user("What is Rust?");
/// let mut stream = chat.accumulating_stream().await?;
/// while let Some(text) = stream.next_text().await? {
///     print!("{text}");
/// }
/// let response = stream.finish().await?;
/// println!("{:?}", response.usage);
/// # Ok(())
/// # }
/// ```
pub struct AccumulatingStream<R> {
    stream: ReplyStream,
    accumulator: Option<Box<dyn Accumulate>>,
    has_failed: bool,
    request: PhantomData<fn() -> R>,
}

impl<R: StreamingRequest> AccumulatingStream<R> {
    pub(crate) fn new(stream: ReplyStream) -> Self {
        Self {
            stream,
            accumulator: R::ENDPOINT.accumulator(),
            has_failed: false,
            request: PhantomData,
        }
    }

    /// The metadata that is known when the stream starts.
    pub fn metadata(&self) -> &Metadata {
        &self.stream.metadata
    }

    /// The next event; `None` after the last.
    pub async fn next(&mut self) -> Option<Result<ReplyEvent>> {
        let event = self.stream.next().await?.and_then(|event| {
            if let (ReplyEvent::Chunk(chunk), Some(accumulator)) = (&event, &mut self.accumulator) {
                accumulator.push(chunk)?;
            }
            Ok(event)
        });
        self.has_failed |= event.is_err();
        Some(event)
    }

    /// The next chunk, skipping progress events; `None` after the last.
    ///
    /// # Errors
    /// The error with which the stream ended.
    pub async fn next_chunk(&mut self) -> Result<Option<Chunk>> {
        while let Some(event) = self.next().await {
            if let ReplyEvent::Chunk(chunk) = event? {
                return Ok(Some(chunk));
            }
        }
        Ok(None)
    }

    /// The next piece of text of the first choice, skipping everything else; `None` after the last.
    ///
    /// # Errors
    /// The error with which the stream ended.
    pub async fn next_text(&mut self) -> Result<Option<String>> {
        while let Some(chunk) = self.next_chunk().await? {
            if let Some(text) = chunk.text()? {
                return Ok(Some(text));
            }
        }
        Ok(None)
    }

    /// Reads the rest of the stream, and returns the response that a call without streaming would
    /// have returned.
    ///
    /// # Errors
    /// The error with which the stream ended. [`ErrorKind::Transport`] if that error was returned
    /// before.
    pub async fn finish(mut self) -> Result<R::Response> {
        while self.next_chunk().await?.is_some() {}
        let accumulator = self.accumulator.take().filter(|_| !self.has_failed);
        let accumulator = accumulator.ok_or_else(|| {
            let message = "the stream failed before the response was complete";
            Error::new(ErrorKind::Transport, message)
        })?;
        Reply::new(accumulator.finish(), self.stream.metadata).read()
    }
}

impl<R> fmt::Debug for AccumulatingStream<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AccumulatingStream")
            .field("metadata", &self.stream.metadata)
            .finish_non_exhaustive()
    }
}
