//! Encoded events decode to the same events.

#![cfg(feature = "encode")]

use bytes::BytesMut;
use proptest::prelude::*;
use sse_codec::{Decoder, Kind, encode_comment, encode_event, encode_retry};

proptest! {
    #[test]
    fn an_event_comes_back(
        name in prop::option::of("[^\r\n]{1,8}"),
        id in prop::option::of("[^\r\n\0]{0,8}"),
        data in text(),
    ) {
        let mut out = Vec::new();
        encode_event(&mut out, name.as_deref(), id.as_deref(), &data);

        let mut decoder = Decoder::new();
        let mut rest = &out[..];
        let event = decoder.next(&mut rest).unwrap().unwrap();
        prop_assert_eq!(event.kind(), Kind::Message);
        prop_assert_eq!(event.name(), name.as_deref().unwrap_or("message"));
        prop_assert_eq!(event.id(), id.as_deref().unwrap_or(""));
        prop_assert_eq!(event.text(), data.replace("\r\n", "\n").replace('\r', "\n"));
        prop_assert_eq!(decoder.next(&mut rest), None);
        prop_assert_eq!(decoder.finish(), None);
    }

    #[test]
    fn no_input_forges_a_field(name in text(), id in text(), data in text(), note in text()) {
        let mut out = Vec::new();
        encode_comment(&mut out, &note);
        encode_event(&mut out, Some(&name), Some(&id), &data);

        let mut events = 0;
        let mut decoder = Decoder::new().with_empty_events(true);
        decoder
            .feed(&out, |event| {
                events += 1;
                assert_eq!(event.id(), id.replace(['\r', '\n', '\0'], " "));
                assert_eq!(event.retry(), None);
            })
            .unwrap();
        prop_assert_eq!(events, 1);
    }

    #[test]
    fn a_comment_decodes_to_its_lines(note in text()) {
        let mut out = BytesMut::new();
        encode_comment(&mut out, &note);

        let mut lines = Vec::new();
        let mut decoder = Decoder::new().with_comments(true);
        decoder.feed(&out, |event| lines.push(event.text().into_owned())).unwrap();
        prop_assert_eq!(lines.join("\n"), note.replace("\r\n", "\n").replace('\r', "\n"));
    }

    #[test]
    fn a_reconnection_time_round_trips(millis: u64) {
        let mut out = Vec::new();
        encode_retry(&mut out, millis);
        let mut decoder = Decoder::new();
        decoder.feed(&out, |_| {}).unwrap();
        prop_assert_eq!(decoder.retry(), Some(millis));
    }
}

#[test]
fn bytes_on_the_wire() {
    let mut out = Vec::new();
    encode_comment(&mut out, "hi");
    encode_retry(&mut out, 0);
    encode_event(&mut out, None, None, "{\"a\":1}");
    encode_event(&mut out, Some("done"), Some("1:0"), "");
    encode_event(
        &mut out,
        Some("a\nid: 2"),
        Some("3\r\n\0"),
        b" one\rtwo\r\n\nthree\n",
    );
    let wanted = concat!(
        ": hi\n\n",
        "retry: 0\n\n",
        "data: {\"a\":1}\n\n",
        "event: done\nid: 1:0\ndata: \n\n",
        "event: a id: 2\nid: 3   \ndata:  one\ndata: two\ndata: \ndata: three\ndata: \n\n",
    );
    assert_eq!(String::from_utf8_lossy(&out), wanted);
}

fn text() -> impl Strategy<Value = String> {
    "(a|b|:| |data|id|\r|\n|\r\n|\u{e9}|\0){0,12}"
}
