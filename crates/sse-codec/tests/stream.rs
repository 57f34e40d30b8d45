//! `EventStream`: a stream of events from a stream of reads.

#![cfg(feature = "stream")]
#![allow(clippy::panic, clippy::unwrap_used, reason = "helpers of tests")]

use std::io;
use std::iter;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use futures_util::stream::FusedStream;
use futures_util::{FutureExt, Stream, StreamExt, stream};
use sse_codec::{Decoder, EventStream, Kind, LimitExceeded, Limits, OwnedEvent, StreamError};

#[test]
fn events_and_the_tail() {
    let mut events = events([
        "id: 1\nda",
        "ta: one\n\ndata: t",
        "wo\n\nid: 2\ndata: [DONE]",
    ]);
    assert_eq!(texts(&mut events), ["one", "two", "[DONE] (incomplete)"]);
    assert_eq!(
        events.last_event_id(),
        "1",
        "the id of the tail is not committed"
    );
    assert!(events.is_terminated());
}

#[test]
fn a_complete_stream_has_no_tail() {
    assert_eq!(texts(&mut events(["data: one\n\n"])), ["one"]);
    assert_eq!(texts(&mut events([])), [""; 0]);
    assert_eq!(texts(&mut events(["", "\n", ""])), [""; 0]);
}

#[test]
fn a_read_is_decoded_once_if_the_next_read_is_pending() {
    // Between two reads the inner stream is pending once, like a socket.
    let mut polls = ["da", "ta: o", "ne\n\n"]
        .into_iter()
        .flat_map(|read| [None, Some(read)]);
    let inner = stream::poll_fn(move |cx| match polls.next() {
        None => Poll::Ready(None),
        Some(Some(read)) => Poll::Ready(Some(Ok::<_, io::Error>(Bytes::from_static(
            read.as_bytes(),
        )))),
        Some(None) => {
            cx.waker().wake_by_ref();
            Poll::Pending
        }
    });
    let mut events = EventStream::new(inner);
    let mut data = Vec::new();
    let mut cx = Context::from_waker(Waker::noop());
    loop {
        match events.poll_next_unpin(&mut cx) {
            Poll::Pending => {}
            Poll::Ready(Some(event)) => data.push(event.unwrap().text().into_owned()),
            Poll::Ready(None) => break,
        }
    }
    assert_eq!(data, ["one"]);
}

#[test]
fn comments_and_empty_events_on_request() {
    let reads = [": hi\n\nevent: done", "\n\n:408: 408 Request Timeout\n"];
    assert_eq!(texts(&mut events(reads)), [""; 0]);

    let events = events(reads).with_comments(true).with_empty_events(true);
    let items: Vec<_> = now(events).into_iter().map(Result::unwrap).collect();
    let kinds: Vec<_> = items.iter().map(OwnedEvent::kind).collect();
    assert_eq!(kinds, [Kind::Comment, Kind::Empty, Kind::Comment]);
    let names: Vec<_> = items.iter().map(OwnedEvent::name).collect();
    assert_eq!(names, ["", "done", ""]);
    assert_eq!(items[2].text(), "408: 408 Request Timeout");
}

#[test]
fn names_ids_and_retry() {
    let reads = [
        "event: a\nid: 1\nretry: 5\ndata: x\n\nevent: a\ndata: y\n\n",
        "id\ndata: z\n\n",
    ];
    let mut stream = events(reads);
    let items: Vec<_> = now(&mut stream).into_iter().map(Result::unwrap).collect();
    let parts: Vec<_> = items
        .iter()
        .map(|e| (e.name(), e.id(), e.retry()))
        .collect();
    assert_eq!(
        parts,
        [("a", "1", Some(5)), ("a", "1", None), ("message", "", None)]
    );
    assert_eq!((stream.last_event_id(), stream.retry()), ("", Some(5)));
}

#[test]
fn data_is_a_slice_of_its_read() {
    let read = Bytes::from_static(b"data: one\n\ndata: two\n\n");
    let reads = stream::iter([Ok::<_, io::Error>(read.clone())]);
    let items = now(EventStream::new(reads));
    assert_eq!(items.len(), 2);
    for item in items {
        let data = item.unwrap().data;
        assert!(read.as_ptr_range().contains(&data.as_ptr()));
    }
}

#[test]
fn an_inner_error_is_yielded_once() {
    let reads = stream::iter([
        Ok(Bytes::from_static(b"data: one\n\ndata: half")),
        Err(io::Error::from(io::ErrorKind::ConnectionReset)),
        Ok(Bytes::from_static(b"\n\ndata: late\n\n")),
    ]);
    let mut events = EventStream::new(reads);
    assert_eq!(
        events
            .next()
            .now_or_never()
            .unwrap()
            .unwrap()
            .unwrap()
            .text(),
        "one"
    );
    let error = events.next().now_or_never().unwrap().unwrap().unwrap_err();
    assert_eq!(error.to_string(), "the stream of reads failed");
    let source = std::error::Error::source(&error).unwrap();
    assert_eq!(
        source.downcast_ref::<io::Error>().unwrap().kind(),
        io::ErrorKind::ConnectionReset
    );
    for _ in 0..3 {
        assert!(events.next().now_or_never().unwrap().is_none());
    }
}

#[test]
fn a_limit_error_does_not_end_the_stream() {
    let reads = ["data: 12345678", "90\n\ndata: ok\n\ndata: 1234", "567890"];
    let items = now(events(reads).with_limits(Limits::new(12, 99)));
    let error = Err(StreamError::Limit(LimitExceeded::Line { limit: 12 }));
    let items: Vec<_> = items
        .into_iter()
        .map(|item| match item {
            Ok(event) => Ok(event.text().into_owned()),
            Err(StreamError::Limit(limit)) => Err(StreamError::<()>::Limit(limit)),
            Err(other) => panic!("{other}"),
        })
        .collect();
    assert_eq!(items, [error.clone(), Ok("ok".to_owned()), error]);
}

#[test]
fn the_stream_is_pending_if_the_inner_stream_is() {
    let reads = stream::iter([Ok::<_, io::Error>(Bytes::from_static(
        b"data: one\n\ndata: tw",
    ))])
    .chain(stream::pending());
    let mut events = EventStream::new(reads);
    assert!(events.next().now_or_never().is_some());
    assert!(events.next().now_or_never().is_none());
    assert!(!events.is_terminated());
}

#[test]
fn an_event_can_be_kept() {
    let mut decoder = Decoder::new();
    let mut kept = Vec::new();
    decoder
        .feed(b"event: e\nid: 1\ndata: a\ndata: b\n\n", |event| {
            kept.push(OwnedEvent::from(event))
        })
        .unwrap();
    let [event] = &kept[..] else {
        panic!("{kept:?}")
    };
    assert_eq!(
        (event.name(), event.id(), &event.data[..]),
        ("e", "1", &b"a\nb"[..])
    );
}

fn events<const N: usize>(
    reads: [&'static str; N],
) -> EventStream<stream::Iter<impl Iterator<Item = io::Result<Bytes>>>> {
    EventStream::new(stream::iter(
        reads
            .into_iter()
            .map(|read| Ok(Bytes::from_static(read.as_bytes()))),
    ))
}

fn texts<S, E: std::fmt::Debug>(events: &mut S) -> Vec<String>
where
    S: Stream<Item = Result<OwnedEvent, E>> + Unpin,
{
    now(events)
        .into_iter()
        .map(|event| {
            let event = event.unwrap();
            let note = if event.is_incomplete() {
                " (incomplete)"
            } else {
                ""
            };
            format!("{}{note}", event.text())
        })
        .collect()
}

/// All items of a stream that is never pending.
fn now<S: Stream + Unpin>(mut stream: S) -> Vec<S::Item> {
    iter::from_fn(|| stream.next().now_or_never().unwrap()).collect()
}
