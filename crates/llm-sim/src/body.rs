//! Faults of bodies: cut, ended early, stalled, split into odd writes.

use std::io;

use bytes::Bytes;
use futures_util::stream;
use http_body_util::{BodyDataStream, BodyExt, Full};
use hyper::body::Body as _;
use hyper::header::{CONTENT_LENGTH, HeaderValue};

use crate::fault::{Fault, Faults};
use crate::http::{Answer, Body, frames};
use crate::options::Pace;

/// Rebuilds an answer's body so that it misbehaves as asked.
pub(crate) fn spoil(answer: Answer, faults: &Faults, pace: &Pace) -> Answer {
    let split = faults
        .find(|fault| {
            if let Fault::Split(bytes) = fault {
                Some(*bytes)
            } else {
                None
            }
        })
        .or(pace.bytes_per_write);
    let end = faults.find(|fault| match fault {
        Fault::CutAfter(at) => Some((*at, End::Cut)),
        Fault::EndAfter(at) => Some((*at, End::Clean)),
        Fault::HangAfter(at) => Some((*at, End::Hang)),
        _ => None,
    });
    let garbage = faults.iter().any(|fault| *fault == Fault::Garbage);
    if split.is_none() && end.is_none() && !garbage {
        return answer;
    }

    let (mut parts, mut body) = answer.into_parts();
    if garbage {
        parts.headers.remove(CONTENT_LENGTH);
        body = Full::new(Bytes::from_static(GARBAGE))
            .map_err(|never| match never {})
            .boxed_unsync();
    }
    // A body that is cut must still promise its full length, or nobody could tell.
    if let Some(length) = body.size_hint().exact() {
        parts
            .headers
            .insert(CONTENT_LENGTH, HeaderValue::from(length));
    }
    let spoiled = Spoiled {
        inner: body.into_data_stream(),
        ready: Bytes::new(),
        write: split.unwrap_or(usize::MAX),
        sent: 0,
        end,
    };
    Answer::from_parts(parts, frames(stream::unfold(spoiled, Spoiled::next)))
}

#[derive(Clone, Copy)]
enum End {
    Cut,
    Clean,
    Hang,
}

struct Spoiled {
    inner: BodyDataStream<Body>,
    ready: Bytes,
    write: usize,
    sent: usize,
    end: Option<(usize, End)>,
}

impl Spoiled {
    async fn next(mut self) -> Option<(io::Result<Bytes>, Self)> {
        use futures_util::StreamExt;

        // Seen as pending in between, hyper flushes what it has: one write per piece.
        if self.sent > 0 {
            tokio::task::yield_now().await;
        }
        let mut most = self.write;
        if let Some((at, end)) = self.end {
            most = most.min(at - self.sent);
            if most == 0 {
                return match end {
                    End::Cut => Some((Err(io::ErrorKind::ConnectionReset.into()), self)),
                    End::Clean => None,
                    End::Hang => std::future::pending().await,
                };
            }
        }
        while self.ready.is_empty() {
            match self.inner.next().await? {
                Ok(bytes) => self.ready = bytes,
                Err(error) => return Some((Err(error), self)),
            }
        }
        let piece = self.ready.split_to(most.min(self.ready.len()));
        self.sent += piece.len();
        Some((Ok(piece), self))
    }
}

/// Neither JSON, nor an event, nor UTF-8.
const GARBAGE: &[u8] = b"\xff\xfe<<<garbage>>> {\"choices\": [ \xc3\x28 data: \x00\n";
