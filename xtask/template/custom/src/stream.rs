use bytes::Bytes;
use futures_core::Stream;
use futures_util::StreamExt;
use http::HeaderMap;
use http::header::CONTENT_TYPE;
use llm_provider::{Error, ErrorKind, Record, Result};
use sse_codec::{LineStream, OwnedLine, StreamError};

use crate::wire;

/// The chunks of a streamed reply: one JSON object on each line.
pub(crate) fn records<S>(body: S, model: String) -> impl Stream<Item = Result<Record>> + Send + Unpin
where
    S: Stream<Item = Result<Bytes>> + Send + Unpin,
{
    LineStream::new(body).map(move |line| record(line, &model))
}

fn record(line: Result<OwnedLine, StreamError<Error>>, model: &str) -> Result<Record> {
    match line {
        Ok(line) => match wire::record(&line.data, model) {
            // The connection broke within the line.
            Err(error) if line.is_incomplete() && error.kind() == ErrorKind::UnexpectedBody => {
                Ok(Record::Incomplete(line.data))
            }
            record => record,
        },
        Err(StreamError::Inner(error)) => Err(error),
        Err(error) => {
            let message = "the stream cannot be read";
            Err(Error::new(ErrorKind::UnexpectedBody, message).with_source(error))
        }
    }
}

pub(crate) fn is_ndjson(headers: &HeaderMap) -> bool {
    let content_type = headers.get(CONTENT_TYPE);
    content_type.is_some_and(|value| value.as_bytes().starts_with(b"application/x-ndjson"))
}
