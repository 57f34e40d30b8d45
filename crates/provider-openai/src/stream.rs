use bytes::Bytes;
use futures_core::Stream;
use futures_util::StreamExt;
use llm_provider::{Error, ErrorKind, Record, Result};
use sse_codec::{EventStream, OwnedEvent, StreamError};

/// The records of an event stream in OpenAI's format: each event is a chunk, and `[DONE]` ends the reply.
pub(crate) fn records<S>(body: S) -> impl Stream<Item = Result<Record>> + Send + Unpin + use<S>
where
    S: Stream<Item = Result<Bytes>> + Send + Unpin,
{
    EventStream::new(body).map(record)
}

fn record(event: Result<OwnedEvent, StreamError<Error>>) -> Result<Record> {
    match event {
        Ok(event) if event.data.trim_ascii_start().starts_with(b"[DONE]") => Ok(Record::End),
        Ok(event) if event.is_incomplete() => Ok(Record::Incomplete(event.data)),
        Ok(event) => Ok(Record::Chunk(event.data)),
        Err(StreamError::Inner(error)) => Err(error),
        Err(error) => {
            let message = "the upstream's event stream cannot be read";
            Err(Error::new(ErrorKind::UnexpectedBody, message).with_source(error))
        }
    }
}
