//! Every splitting into reads and every way of reading gives the events of the reference decoder.

#![allow(clippy::expect_used, clippy::panic, reason = "helpers of tests")]

mod reference;

use proptest::prelude::*;
use proptest::sample::{Index, select};
use sse_codec::{Decoder, Limits};

use reference::{Decoded, Options, Owned, decode};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4096))]

    #[test]
    fn any_chunking_gives_equal_events(
        input in input(),
        cuts in prop::collection::vec(any::<Index>(), 0..12),
        options in options(),
    ) {
        let wanted = decode(&input, options);
        prop_assert_eq!(&pull(&split(&input, &cuts), options), &wanted);
        prop_assert_eq!(&pull(&[&input], options), &wanted);
        prop_assert_eq!(&pull(&input.chunks(1).collect::<Vec<_>>(), options), &wanted);
        let at_line_ends: Vec<_> =
            input.chunk_by(|a, b| b"\r\n".contains(a) == b"\r\n".contains(b)).collect();
        prop_assert_eq!(&pull(&at_line_ends, options), &wanted);
        prop_assert_eq!(&push(&split(&input, &cuts), options), &wanted);
    }

    #[test]
    fn any_bytes_are_decoded(
        input in prop::collection::vec(any::<u8>(), 0..200),
        cuts in prop::collection::vec(any::<Index>(), 0..12),
        options in options(),
    ) {
        prop_assert_eq!(pull(&split(&input, &cuts), options), decode(&input, options));
    }

    #[test]
    fn a_decoder_can_be_used_again_after_the_end(
        first in input(),
        second in input(),
        options in options(),
    ) {
        let mut decoder = options.decoder();
        let _ = decoder.feed(&first, |_| {});
        let _ = decoder.finish();
        let mut events = Vec::new();
        let _ = decoder.feed(&second, |event| events.push((event.kind(), event.data().to_vec())));
        let wanted: Vec<_> =
            decode(&second, options).items.into_iter().flatten().map(|e| (e.kind, e.data)).collect();
        prop_assert_eq!(events, wanted);
    }
}

#[test]
fn an_event_comes_with_the_first_byte_of_its_blank_line() {
    for line_end in ["\n", "\r", "\r\n"] {
        let input = format!("data: a{line_end}{line_end}data: b{line_end}{line_end}");
        let mut decoder = Decoder::new();
        let mut at = Vec::new();
        for (nth, byte) in input.as_bytes().chunks(1).enumerate() {
            decoder
                .feed(byte, |event| at.push((event.text().into_owned(), nth)))
                .unwrap();
        }
        let event = 7 + 2 * line_end.len();
        let first = 7 + line_end.len();
        assert_eq!(
            at,
            [("a".to_owned(), first), ("b".to_owned(), event + first)]
        );
    }
}

#[cfg(feature = "stream")]
proptest! {
    #[test]
    fn a_stream_yields_the_same(
        input in input(),
        cuts in prop::collection::vec(any::<Index>(), 0..12),
        options in options(),
    ) {
        let wanted = decode(&input, options);
        let items: Vec<_> = wanted.items.into_iter().chain(wanted.tail).collect();
        prop_assert_eq!(stream::collect(&split(&input, &cuts), options), items);
    }
}

fn pull(reads: &[&[u8]], options: Options) -> Decoded {
    let mut decoder = options.decoder();
    let mut items = Vec::new();
    for mut read in reads.iter().copied() {
        while let Some(item) = decoder.next(&mut read) {
            items.push(item.map(Owned::from));
        }
        assert!(read.is_empty());
    }
    let (last_id, retry) = (decoder.last_event_id().to_owned(), decoder.retry());
    let tail = decoder.finish().map(|item| item.map(Owned::from));
    assert_eq!(
        (decoder.last_event_id(), decoder.retry()),
        (&*last_id, retry)
    );
    assert_eq!(decoder.finish(), None);
    Decoded {
        items,
        tail,
        last_id,
        retry,
    }
}

/// Like [`pull`]; `feed` reports only the first error of each read.
fn push(reads: &[&[u8]], options: Options) -> Decoded {
    let mut decoder = options.decoder();
    let mut pulled = options.decoder();
    let mut items = Vec::new();
    for read in reads {
        let mut events = Vec::new();
        let result = decoder.feed(read, |event| events.push(Owned::from(event)));
        let mut events = events.into_iter();
        let mut first = None;
        let mut rest = *read;
        while let Some(item) = pulled.next(&mut rest) {
            items.push(match item {
                Ok(_) => Ok(events
                    .next()
                    .expect("`feed` passed fewer events than `next`")),
                Err(error) => {
                    first.get_or_insert(error);
                    Err(error)
                }
            });
        }
        assert_eq!(events.next(), None);
        assert_eq!(result.err(), first);
    }
    let (last_id, retry) = (decoder.last_event_id().to_owned(), decoder.retry());
    let tail = decoder.finish().map(|item| item.map(Owned::from));
    Decoded {
        items,
        tail,
        last_id,
        retry,
    }
}

#[cfg(feature = "stream")]
mod stream {
    use std::convert::Infallible;

    use bytes::Bytes;
    use futures_util::{FutureExt, StreamExt, stream};
    use sse_codec::{EventStream, StreamError};

    use super::reference::{Item, Options, Owned};

    pub(crate) fn collect(reads: &[&[u8]], options: Options) -> Vec<Item> {
        let reads = reads
            .iter()
            .map(|read| Ok::<_, Infallible>(Bytes::copy_from_slice(read)));
        EventStream::new(stream::iter(reads))
            .with_comments(options.comments)
            .with_empty_events(options.empty_events)
            .with_limits(options.limits)
            .map(|item| match item {
                Ok(event) => Ok(Owned {
                    kind: event.kind(),
                    name: event.name().to_owned(),
                    data: event.data.to_vec(),
                    id: event.id().to_owned(),
                    retry: event.retry(),
                }),
                Err(StreamError::Limit(error)) => Err(error),
                Err(error) => panic!("{error:?}"),
            })
            .collect()
            .now_or_never()
            .expect("an iterator does not wait")
    }
}

fn split<'a>(input: &'a [u8], cuts: &[Index]) -> Vec<&'a [u8]> {
    let mut at: Vec<_> = cuts.iter().map(|cut| cut.index(input.len() + 1)).collect();
    at.extend([0, input.len()]);
    at.sort_unstable();
    at.windows(2).map(|pair| &input[pair[0]..pair[1]]).collect()
}

/// Bytes from the alphabet of the syntax, so that most of them have a meaning.
fn input() -> impl Strategy<Value = Vec<u8>> {
    let pieces: &[&[u8]] = &[
        b"data:",
        b"data: ",
        b"data",
        b"event: ",
        b"event:",
        b"event",
        b"id: ",
        b"id",
        b"retry: ",
        b"retry",
        b":",
        b": ",
        b" ",
        b"\n",
        b"\n",
        b"\n",
        b"\n\n",
        b"\n\n",
        b"\r",
        b"\r\n",
        b"\r\n",
        b"\r\r",
        b"a",
        b"output",
        b"7",
        b"007",
        b"99999999999999999999",
        b"\0",
        b"\t",
        b"\x0b",
        b"\xEF\xBB\xBF",
        b"\xEF",
        b"\xBB",
        b"\xFF",
        b"\xC3\xA9",
        b"\xE2\x80\xA8",
        b"[DONE]",
        b"data: plain\n\n",
        b"data: carriage\r\n\r\n",
        b"event: output\nid: 1:0\ndata: x\n\n",
        b"a text longer than the words that are scanned before `memchr` is used",
    ];
    prop::collection::vec(select(pieces), 0..40).prop_map(|pieces| pieces.concat())
}

fn options() -> impl Strategy<Value = Options> {
    let limits = prop_oneof![
        Just(Limits::default()),
        // From 2 on: a possible start of a byte-order mark is held back and not counted.
        (2..80_usize, 0..80_usize).prop_map(|(line, event)| Limits::new(line, event)),
    ];
    (any::<bool>(), any::<bool>(), limits).prop_map(|(comments, empty_events, limits)| Options {
        comments,
        empty_events,
        limits,
    })
}
