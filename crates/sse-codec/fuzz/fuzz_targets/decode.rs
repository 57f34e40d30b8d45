//! Any bytes, split anywhere: no panic, and the same events as from the unsplit stream.
//!
//! `cargo +nightly fuzz run decode`, in the folder of the crate.

#![no_main]

use libfuzzer_sys::fuzz_target;
use sse_codec::{Decoder, Event, Kind, LimitExceeded, Limits, encode_event};

fuzz_target!(|input: &[u8]| {
    // The first bytes choose the options and the sizes of the reads.
    let Some((&[flags, line, event, size], stream)) = input.split_first_chunk() else {
        return;
    };
    let whole = decode(decoder(flags, line, event), [stream]);
    let size = usize::from(size % 32) + 1;
    assert_eq!(
        decode(decoder(flags, line, event), stream.chunks(size)),
        whole
    );

    // Decoded events can be encoded, and decode to the same again.
    for event in whole
        .into_iter()
        .flatten()
        .filter(|event| event.kind == Kind::Message)
    {
        let mut out = Vec::new();
        encode_event(&mut out, Some(&event.name), Some(&event.id), &event.data);
        let back = decode(Decoder::new(), [&out[..]]);
        assert_eq!(
            back,
            [Ok(Owned {
                retry: None,
                ..event
            })]
        );
    }
});

fn decoder(flags: u8, line: u8, event: u8) -> Decoder {
    let decoder = Decoder::new()
        .with_comments(flags & 1 != 0)
        .with_empty_events(flags & 2 != 0);
    match flags & 4 {
        0 => decoder,
        _ => decoder.with_limits(Limits::new(line.into(), event.into())),
    }
}

fn decode<'a>(
    mut decoder: Decoder,
    reads: impl IntoIterator<Item = &'a [u8]>,
) -> Vec<Result<Owned, LimitExceeded>> {
    let mut items = Vec::new();
    for mut read in reads {
        while let Some(item) = decoder.next(&mut read) {
            items.push(item.map(Owned::from));
        }
    }
    items.extend(decoder.finish().map(|item| item.map(Owned::from)));
    items
}

#[derive(Debug, PartialEq)]
struct Owned {
    kind: Kind,
    name: String,
    data: Vec<u8>,
    id: String,
    retry: Option<u64>,
}

impl From<Event<'_>> for Owned {
    fn from(event: Event<'_>) -> Self {
        Self {
            kind: event.kind(),
            name: event.name().to_owned(),
            data: event.data().to_vec(),
            id: event.id().to_owned(),
            retry: event.retry(),
        }
    }
}
