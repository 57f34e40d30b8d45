//! Each decoder as a function from all reads to the number of events.

use std::convert::Infallible;
use std::hint::black_box;
use std::num::NonZeroUsize;
use std::pin::pin;

use bytes::{Bytes, BytesMut};
use futures_util::{FutureExt, Stream, StreamExt, stream};
use tokio_util::codec::Decoder as _;

pub(crate) type Decode = fn(&[Bytes]) -> usize;

pub(crate) const DECODERS: &[(&str, Decode)] = &[
    ("**bytes**", ours_bytes),
    ("**text**", ours_text),
    ("**`EventStream`**", ours_stream),
    ("sse-core 0.2.3", sse_core),
    ("sse-stream 0.3.0", sse_stream),
    ("sseer 0.3.1", sseer),
    ("tokio_sse_codec 0.0.2", tokio_sse_codec),
    ("eventsource-stream 0.2.3", eventsource_stream),
];

fn ours_bytes(reads: &[Bytes]) -> usize {
    let mut events = 0;
    let mut decoder = sse_codec::Decoder::new();
    for read in reads {
        let count = |event: sse_codec::Event<'_>| {
            see(event.name(), event.data(), event.id());
            events += 1;
        };
        decoder.feed(read, count).expect("no long lines");
    }
    events
}

fn ours_text(reads: &[Bytes]) -> usize {
    let mut events = 0;
    let mut decoder = sse_codec::Decoder::new();
    for read in reads {
        let count = |event: sse_codec::Event<'_>| {
            see(event.name(), event.text().as_bytes(), event.id());
            events += 1;
        };
        decoder.feed(read, count).expect("no long lines");
    }
    events
}

fn ours_stream(reads: &[Bytes]) -> usize {
    count(sse_codec::EventStream::new(stream_of(reads)), |event| {
        let event = event.expect("no long lines");
        see(event.name(), &event.data, event.id());
    })
}

fn sse_core(reads: &[Bytes]) -> usize {
    let limit = NonZeroUsize::new(1 << 30).expect("not zero");
    let mut decoder = sse_core::SseDecoder::with_limit(limit);
    let mut events = 0;
    for read in reads {
        let mut read = read.clone();
        while let Some(event) = decoder.next(&mut read) {
            if let sse_core::SseEvent::Message(event) = event.expect("no long lines") {
                let id = event.last_event_id.as_deref().unwrap_or_default();
                see(&event.event, event.data.as_bytes(), id);
                events += 1;
            }
        }
    }
    events
}

fn sse_stream(reads: &[Bytes]) -> usize {
    count(sse_stream::SseByteStream::new(stream_of(reads)), |event| {
        let event = event.expect("well-formed input");
        let data = event.data.as_ref().map(|data| -> &str { data.as_ref() });
        let name = event.event.as_deref().unwrap_or("message");
        see(
            name,
            data.unwrap_or_default().as_bytes(),
            event.id.as_deref().unwrap_or_default(),
        );
    })
}

fn sseer(reads: &[Bytes]) -> usize {
    count(
        sseer::event_stream::EventStream::new(stream_of(reads)),
        |event| {
            let event = event.expect("well-formed input");
            see(&event.event, event.data.as_bytes(), &event.id);
        },
    )
}

fn tokio_sse_codec(reads: &[Bytes]) -> usize {
    let mut decoder = tokio_sse_codec::SseDecoder::<Bytes>::new();
    let mut buffer = BytesMut::new();
    let mut events = 0;
    for read in reads {
        buffer.extend_from_slice(read);
        while let Some(frame) = decoder.decode(&mut buffer).expect("well-formed input") {
            if let tokio_sse_codec::Frame::Event(event) = frame {
                see(
                    &event.name,
                    event.data.as_ref(),
                    event.id.as_deref().unwrap_or_default(),
                );
                events += 1;
            }
        }
    }
    events
}

fn eventsource_stream(reads: &[Bytes]) -> usize {
    count(
        eventsource_stream::EventStream::new(stream_of(reads)),
        |event| {
            let event = event.expect("well-formed input");
            see(&event.event, event.data.as_bytes(), &event.id);
        },
    )
}

fn stream_of(reads: &[Bytes]) -> impl Stream<Item = Result<Bytes, Infallible>> {
    stream::iter(reads.iter().map(|read| Ok(read.clone())))
}

fn count<S: Stream>(events: S, mut see: impl FnMut(S::Item)) -> usize {
    let mut events = pin!(events);
    let mut count = 0;
    while let Some(event) = events.next().now_or_never().expect("the reads are ready") {
        see(event);
        count += 1;
    }
    count
}

#[inline]
fn see(name: &str, data: &[u8], id: &str) {
    black_box((name, data, id));
}
