use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_core::Stream;
use futures_util::StreamExt;

use crate::endpoint::{Chunk, Normalize, Step};
use crate::{ErrorKind, ReplyEvent, Result};

/// One record of a streamed reply: an event of an event stream, a line of NDJSON, or an
/// equivalent item. See [`ReplyStream::from_records`](crate::ReplyStream::from_records).
///
/// A provider whose upstream is not OpenAI-compatible converts each record to a chunk in OpenAI's
/// schema.
#[derive(Clone)]
#[non_exhaustive]
pub enum Record {
    /// A chunk.
    Chunk(Bytes),
    /// The upstream reported the end of the reply.
    End,
    /// A chunk that may be truncated, because the connection ended within it. It is ignored if it
    /// cannot be read.
    Incomplete(Bytes),
    /// The last chunk: the upstream reported the end of the reply with it.
    Last(Bytes),
}

/// Shows only the length, since a chunk contains output.
impl fmt::Debug for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Chunk(chunk) => write!(f, "Chunk({} bytes)", chunk.len()),
            Self::End => f.write_str("End"),
            Self::Incomplete(chunk) => write!(f, "Incomplete({} bytes)", chunk.len()),
            Self::Last(chunk) => write!(f, "Last({} bytes)", chunk.len()),
        }
    }
}

/// Normalizes records to the events of a [`ReplyStream`](crate::ReplyStream).
pub(crate) struct Records<S> {
    records: S,
    normalizer: Box<dyn Normalize>,
    state: State,
}

#[derive(Debug, PartialEq)]
enum State {
    Reading,
    /// The last chunk was read; what the normalizer holds back is due.
    Ending,
    Ended,
}

impl<S> Records<S> {
    pub(crate) fn new(records: S, normalizer: Box<dyn Normalize>) -> Self {
        Self {
            records,
            normalizer,
            state: State::Reading,
        }
    }

    fn read(&mut self, record: &Record) -> Result<Option<Chunk>> {
        let (chunk, is_incomplete) = match record {
            Record::End => return self.end(true),
            Record::Chunk(chunk) => (chunk, false),
            Record::Incomplete(chunk) => (chunk, true),
            Record::Last(chunk) => {
                self.state = State::Ending;
                (chunk, false)
            }
        };
        match self.normalizer.read(chunk) {
            Ok(Step::Chunk(chunk)) => Ok(Some(chunk)),
            Ok(Step::Skip) => Ok(None),
            Err(error) if is_incomplete && error.kind() == ErrorKind::UnexpectedBody => {
                self.end(false)
            }
            Err(error) => Err(error),
        }
    }

    fn end(&mut self, is_complete: bool) -> Result<Option<Chunk>> {
        self.state = State::Ended;
        self.normalizer.end(is_complete)
    }
}

impl<S> Stream for Records<S>
where
    S: Stream<Item = Result<Record>> + Unpin,
{
    type Item = Result<ReplyEvent>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        loop {
            let read = match this.state {
                State::Ended => return Poll::Ready(None),
                State::Ending => this.end(true),
                State::Reading => match ready!(this.records.poll_next_unpin(cx)) {
                    Some(Ok(record)) => this.read(&record),
                    Some(Err(error)) => Err(error),
                    None => this.end(false),
                },
            };
            match read {
                Ok(None) => {}
                Ok(Some(chunk)) => return Poll::Ready(Some(Ok(ReplyEvent::Chunk(chunk)))),
                Err(error) => {
                    this.state = State::Ended;
                    return Poll::Ready(Some(Err(error)));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::stream;

    use super::*;
    use crate::endpoint::{Chat, Endpoint};
    use crate::{Document, Error, Metadata, ReplyStream};

    fn reply(records: Vec<Result<Record>>) -> ReplyStream {
        let request = Document::from_bytes(r#"{"model":"m","messages":[]}"#);
        let normalizer = Chat.chunks(&request).unwrap();
        ReplyStream::from_records(Metadata::default(), stream::iter(records), normalizer)
    }

    fn chunk(text: &str, finish: &str) -> Bytes {
        let choice =
            format!(r#"{{"index":0,"delta":{{"content":"{text}"}},"finish_reason":{finish}}}"#);
        format!(r#"{{"id":"1","created":1,"model":"m","choices":[{choice}]}}"#).into()
    }

    async fn read(records: Vec<Result<Record>>) -> Result<String> {
        let mut stream = reply(records);
        let mut whole = String::new();
        while let Some(text) = stream.next_text().await? {
            whole += &text;
        }
        assert!(stream.next().await.is_none());
        Ok(whole)
    }

    #[tokio::test]
    async fn every_form_of_end_completes_the_reply() {
        let (one, two) = (chunk("one", "null"), chunk("two", "\"stop\""));
        for end in [
            vec![Ok(Record::Last(two.clone()))],
            vec![Ok(Record::Chunk(two.clone())), Ok(Record::End)],
            vec![Ok(Record::Incomplete(two.clone()))],
            vec![
                Ok(Record::Chunk(two.clone())),
                Ok(Record::Incomplete("{\"a".into())),
            ],
        ] {
            let records = [Ok(Record::Chunk(one.clone()))]
                .into_iter()
                .chain(end)
                .collect();
            assert_eq!(read(records).await.unwrap(), "onetwo");
        }
    }

    #[tokio::test]
    async fn an_interrupted_stream_ends_with_an_error() {
        let one = || Ok(Record::Chunk(chunk("one", "null")));
        for records in [
            vec![one()],
            vec![one(), Ok(Record::Incomplete("{\"a".into()))],
        ] {
            let error = read(records).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Transport);
        }
        let failed = vec![
            one(),
            Err(Error::new(ErrorKind::UpstreamFailed, "failed")),
            one(),
        ];
        assert_eq!(
            read(failed).await.unwrap_err().kind(),
            ErrorKind::UpstreamFailed
        );
        let unreadable = vec![one(), Ok(Record::Chunk("{\"a".into()))];
        assert_eq!(
            read(unreadable).await.unwrap_err().kind(),
            ErrorKind::UnexpectedBody
        );
    }

    #[test]
    fn debug_shows_no_output() {
        let shown = format!("{:?}", Record::Last("secret".into()));
        assert_eq!(shown, "Last(6 bytes)");
    }
}
