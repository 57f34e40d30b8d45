//! The decoder's allocations, measured with a counting allocator.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use allocation_counter::measure;
use sse_codec::{Decoder, Limits};

const EVENTS: usize = 1000;

#[test]
fn plain_events_allocate_nothing() {
    for size in [1, 1024, 1460, 16 << 10, usize::MAX] {
        check(&openai("\n"), size);
        check(&openai("\r\n"), size);
    }
}

#[test]
fn tiny_events_allocate_nothing() {
    check(&b"data:x\n\n".repeat(EVENTS), 1024);
}

#[test]
fn events_with_name_and_id_allocate_nothing() {
    let input: String = (0..EVENTS)
        .map(|nth| format!("event: output\nid: 1690212292:{nth}\ndata:  the\n\n"))
        .collect();
    for size in [1, 1024, usize::MAX] {
        check(input.as_bytes(), size);
    }
}

#[test]
fn joined_lines_allocate_nothing() {
    check(
        &b"data: one\ndata: two\ndata: three\n\n".repeat(EVENTS),
        1024,
    );
}

#[test]
fn the_memory_of_a_very_large_event_is_released() {
    for field in ["data: ", "event: ", "data: a\ndata: "] {
        let giant = [field.as_bytes(), &vec![b'x'; 8 << 20], b"\ndata: end\n\n"].concat();
        let mut decoder = Decoder::new();
        let mut len = 0;
        let info = measure(|| {
            for read in giant.chunks(1460) {
                decoder
                    .feed(read, |event| len = event.name().len() + event.data().len())
                    .unwrap();
            }
        });
        assert!(len > 8 << 20);
        assert!(info.bytes_max >= 8 << 20, "{info:?}");
        assert!(info.bytes_current <= 64 << 10, "{info:?}");
    }
}

#[test]
fn a_line_over_the_limit_is_not_buffered() {
    let mut decoder = Decoder::new().with_limits(Limits::new(64 << 10, 64 << 10));
    let endless = vec![b'x'; 1 << 20];
    let info = measure(|| {
        for read in endless.chunks(1460) {
            let _ = decoder.feed(read, |_| {});
        }
    });
    assert!(info.bytes_max <= 256 << 10, "{info:?}");
    assert_eq!(info.bytes_current, 0, "{info:?}");
}

/// Decodes `input` twice: in the first pass, the buffers grow to the required size.
#[track_caller]
fn check(input: &[u8], size: usize) {
    let mut decoder = Decoder::new();
    let mut events = 0;
    let mut bytes = 0;
    let mut decode = || {
        for read in input.chunks(size) {
            let count = |event: sse_codec::Event<'_>| {
                events += 1;
                bytes += event.text().len() + event.name().len() + event.id().len();
            };
            decoder.feed(read, count).unwrap();
        }
    };
    decode();
    let info = measure(&mut decode);
    assert_eq!(info.count_total, 0, "in reads of {size}");
    assert_eq!(events, 2 * EVENTS);
    assert!(bytes > 2 * EVENTS);
}

/// Chat completion chunks of about 272 bytes.
fn openai(line_end: &str) -> Vec<u8> {
    let event = concat!(
        r#"data: {"id":"chatcmpl-9a8b7c6d5e4f3g2h1i0jklmnopqr","object":"chat.completion.chunk","#,
        r#""created":1760000000,"model":"meta-llama/Llama-3.3-70B-Instruct-Turbo","#,
        r#""system_fingerprint":null,"choices":[{"index":0,"delta":{"content":" caf\u{e9}"},"#,
        r#""logprobs":null,"finish_reason":null}]}"#,
    );
    format!("{event}{line_end}{line_end}")
        .repeat(EVENTS)
        .into_bytes()
}
