//! Every splitting into reads gives the same lines as splitting the whole text.

#![allow(clippy::expect_used, clippy::unwrap_used, reason = "helpers of tests")]

use allocation_counter::measure;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use sse_codec::{LimitExceeded, LineDecoder};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4096))]

    #[test]
    fn any_chunking_gives_equal_lines(
        input in input(),
        cuts in prop::collection::vec(any::<Index>(), 0..12),
        limit in prop_oneof![0..6_usize, Just(usize::MAX)],
    ) {
        let wanted = reference(&input, limit);
        prop_assert_eq!(&pull(&split(&input, &cuts), limit), &wanted);
        prop_assert_eq!(&pull(&[&input], limit), &wanted);
        prop_assert_eq!(&pull(&input.chunks(1).collect::<Vec<_>>(), limit), &wanted);
    }

    #[test]
    fn pushed_lines_equal_pulled_lines(
        input in input(),
        cuts in prop::collection::vec(any::<Index>(), 0..12),
    ) {
        let mut decoder = LineDecoder::new();
        let mut lines = Vec::new();
        for read in split(&input, &cuts) {
            decoder.feed(read, |line| lines.push(Ok(line.to_vec()))).unwrap();
        }
        lines.extend(decoder.finish().map(|line| Ok(line.to_vec())));
        prop_assert_eq!(lines, reference(&input, usize::MAX));
    }
}

#[test]
fn lines_within_one_read_allocate_nothing() {
    let input = b"{\"response\":\"one\"}\n{\"response\":\"two\"}\r\n\n".repeat(1000);
    let mut decoder = LineDecoder::new();
    let mut lines = 0;
    let info = measure(|| {
        let _ = decoder.feed(&input, |_| lines += 1);
    });
    assert_eq!((info.count_total, lines), (0, 2000));
}

#[test]
fn a_line_over_the_limit_is_not_buffered() {
    let mut decoder = LineDecoder::new().with_limit(64 << 10);
    let endless = vec![b'x'; 1 << 20];
    let mut errors = 0;
    let info = measure(|| {
        for read in endless.chunks(1460) {
            errors += usize::from(decoder.feed(read, |_| {}).is_err());
        }
    });
    assert!(info.bytes_max <= 256 << 10, "{info:?}");
    assert_eq!((info.bytes_current, errors), (0, 1), "{info:?}");
    let mut lines = 0;
    decoder
        .feed(b"x\nnext\n", |line| lines += line.len())
        .unwrap();
    assert_eq!(lines, 4);
}

#[test]
fn the_memory_of_a_very_long_line_is_released() {
    let giant = [&vec![b'x'; 8 << 20][..], b"\nend\n"].concat();
    let mut decoder = LineDecoder::new();
    let mut longest = 0;
    let info = measure(|| {
        for read in giant.chunks(1460) {
            let _ = decoder.feed(read, |line| longest = longest.max(line.len()));
        }
    });
    assert_eq!(longest, 8 << 20);
    assert!(info.bytes_current <= 64 << 10, "{info:?}");
}

#[cfg(feature = "stream")]
mod stream {
    use std::io;

    use bytes::Bytes;
    use futures_util::stream::FusedStream;
    use futures_util::{FutureExt, StreamExt, stream};
    use sse_codec::{LineStream, StreamError};

    #[test]
    fn lines_share_their_reads_and_the_last_may_be_incomplete() {
        let read = Bytes::from_static(b"one\ntwo\nth");
        let reads = [
            Ok::<_, io::Error>(read.clone()),
            Ok(Bytes::from_static(b"ree")),
        ];
        let mut lines = LineStream::new(stream::iter(reads));
        let next = |lines: &mut LineStream<_>| lines.next().now_or_never().unwrap();
        let one = next(&mut lines).unwrap().unwrap();
        assert_eq!(
            (one.text(), one.data.as_ptr()),
            ("one".into(), read.as_ptr())
        );
        let two = next(&mut lines).unwrap().unwrap();
        assert_eq!((&two.data[..], two.is_incomplete()), (&b"two"[..], false));
        let three = next(&mut lines).unwrap().unwrap();
        assert_eq!(
            (&three.data[..], three.is_incomplete()),
            (&b"three"[..], true)
        );
        assert!(next(&mut lines).is_none() && lines.is_terminated());
    }

    #[test]
    fn only_an_error_of_the_reads_ends_the_stream() {
        let reads = [
            Ok(Bytes::from_static(b"too long\nok\n")),
            Err(io::Error::other("broken")),
            Ok(Bytes::from_static(b"never read\n")),
        ];
        let lines = LineStream::new(stream::iter(reads)).with_limit(3);
        let items: Vec<_> = lines.collect().now_or_never().unwrap();
        assert!(matches!(items[0], Err(StreamError::Limit(_))));
        assert_eq!(&items[1].as_ref().unwrap().data[..], b"ok");
        assert!(matches!(items[2], Err(StreamError::Inner(_))));
        assert_eq!(items.len(), 3);
    }
}

type Lines = Vec<Result<Vec<u8>, LimitExceeded>>;

/// Splits at LF, cuts one CR off each line, and leaves out empty lines.
fn reference(input: &[u8], limit: usize) -> Lines {
    let lines = input.split(|byte| *byte == b'\n');
    let lines = lines.map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    let lines = lines.filter(|line| !line.is_empty());
    lines
        .map(|line| match line.len() > limit {
            true => Err(error_of(limit)),
            false => Ok(line.to_vec()),
        })
        .collect()
}

fn error_of(limit: usize) -> LimitExceeded {
    let mut decoder = LineDecoder::new().with_limit(limit);
    let long = vec![b'x'; limit + 1];
    decoder
        .feed(&long, |_| {})
        .expect_err("a line over the limit")
}

fn pull(reads: &[&[u8]], limit: usize) -> Lines {
    let mut decoder = LineDecoder::new().with_limit(limit);
    let mut lines = Vec::new();
    for read in reads {
        let mut read = *read;
        while let Some(item) = decoder.next(&mut read) {
            lines.push(item.map(<[u8]>::to_vec));
        }
        assert!(read.is_empty());
    }
    lines.extend(decoder.finish().map(|line| Ok(line.to_vec())));
    lines
}

fn split<'i>(input: &'i [u8], cuts: &[Index]) -> Vec<&'i [u8]> {
    let mut at: Vec<usize> = cuts.iter().map(|cut| cut.index(input.len() + 1)).collect();
    at.sort_unstable();
    let mut reads = Vec::new();
    let mut start = 0;
    for end in at.into_iter().chain([input.len()]) {
        reads.push(&input[start..end]);
        start = end;
    }
    reads
}

fn input() -> impl Strategy<Value = Vec<u8>> {
    let piece = select(vec![
        "\n",
        "\r\n",
        "\r",
        "a",
        "{}",
        "{\"a\":1}",
        "\u{1f30d}",
        " ",
    ]);
    prop::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat().into_bytes())
}
