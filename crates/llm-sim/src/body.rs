//! Faults of bodies: cut, ended early, stalled, corrupted, split into odd writes.

use std::io;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http_body_util::{BodyDataStream, BodyExt, Full};
use hyper::body::Body as _;
use hyper::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderValue};
use tokio::time::Instant;

use crate::clock::{Clock, later};
use crate::fault::{Fault, Faults};
use crate::http::{Answer, Body, frames};
use crate::options::Pace;

/// Rebuilds a response body so that it misbehaves as configured.
pub(crate) fn apply_faults(answer: Answer, faults: &Faults, pace: &Pace, clock: &Clock) -> Answer {
    let (mut parts, mut body) = answer.into_parts();
    for fault in faults.iter() {
        if let Fault::ContentType(kind) = fault
            && let Ok(kind) = HeaderValue::from_str(kind)
        {
            parts.headers.insert(CONTENT_TYPE, kind);
        }
    }
    let drip = faults.find(|fault| match fault {
        Fault::Drip(bytes, pause) => Some((*bytes, *pause)),
        _ => None,
    });
    let split = faults.find(|fault| match fault {
        Fault::Split(bytes) => Some(*bytes),
        _ => None,
    });
    let end = faults.find(|fault| match fault {
        Fault::CutAfter(at) => Some((*at, End::Cut)),
        Fault::EndAfter(at) => Some((*at, End::Clean)),
        Fault::GarbageAfter(at) => Some((*at, End::With(GARBAGE))),
        Fault::HalfCharAfter(at) => Some((*at, End::With(HALF_A_CHARACTER))),
        Fault::HangAfter(at) => Some((*at, End::Hang)),
        _ => None,
    });
    let write = drip
        .map(|(bytes, _)| bytes)
        .or(split)
        .or(pace.bytes_per_write);
    let garbage = faults.iter().any(|fault| *fault == Fault::Garbage);
    if write.is_none() && end.is_none() && !garbage {
        return Answer::from_parts(parts, body);
    }

    if garbage {
        parts.headers.remove(CONTENT_LENGTH);
        body = Full::new(Bytes::from_static(GARBAGE))
            .map_err(|never| match never {})
            .boxed_unsync();
    }
    // A cut body must still promise its full length, so that clients can detect the cut. A body
    // that ends otherwise has no known length.
    match (body.size_hint().exact(), end) {
        (Some(length), None | Some((_, End::Cut | End::Hang))) => {
            parts
                .headers
                .insert(CONTENT_LENGTH, HeaderValue::from(length));
        }
        _ => {
            parts.headers.remove(CONTENT_LENGTH);
        }
    }
    let faulty = FaultyBody {
        inner: body.into_data_stream(),
        ready: Bytes::new(),
        write: write.unwrap_or(usize::MAX),
        pause: drip.map(|(_, pause)| pause),
        sent: 0,
        end,
        clock: clock.clone(),
    };
    Answer::from_parts(parts, frames(stream::unfold(faulty, FaultyBody::next)))
}

#[derive(Clone, Copy)]
enum End {
    Cut,
    Clean,
    Hang,
    /// Ends with these bytes, which do not belong there.
    With(&'static [u8]),
}

struct FaultyBody {
    inner: BodyDataStream<Body>,
    ready: Bytes,
    write: usize,
    /// Between two writes.
    pause: Option<Duration>,
    sent: usize,
    end: Option<(usize, End)>,
    clock: Clock,
}

impl FaultyBody {
    async fn next(mut self) -> Option<(io::Result<Bytes>, Self)> {
        if self.sent > 0 {
            match self.pause {
                Some(pause) => self.clock.until(later(Instant::now(), pause)).await,
                // If the body is pending in between, hyper flushes what it has: one write per
                // piece.
                None => tokio::task::yield_now().await,
            }
        }
        let mut most = self.write;
        if let Some((at, end)) = self.end {
            most = most.min(at.saturating_sub(self.sent));
            if most == 0 {
                return match end {
                    End::Cut => Some((Err(io::ErrorKind::ConnectionReset.into()), self)),
                    End::Clean => None,
                    End::Hang => std::future::pending().await,
                    End::With(last) => {
                        self.end = Some((at, End::Clean));
                        Some((Ok(Bytes::from_static(last)), self))
                    }
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

/// The first half of a four-byte character.
const HALF_A_CHARACTER: &[u8] = &[0xf0, 0x9f];
