"""The decoder of Server-Sent Events by itself."""

import asyncio

import pytest

from polyllm import sse

STREAM = b": ping\nevent: output\nid: 7\nretry: 30\ndata: two\ndata: lines \xc3\xa9\n\ndata: [DONE]\n\n"
EVENTS = [
    sse.Event("message", "output", "two\nlines \u00e9", "7", 30),
    sse.Event("message", "message", "[DONE]", "7", None),
]


@pytest.mark.parametrize("size", [1, 2, 7, 1000])
def test_reads_of_any_size(size):
    reads = [STREAM[at : at + size] for at in range(0, len(STREAM), size)]
    assert list(sse.decode(reads)) == EVENTS

    async def stream():
        for read in reads:
            yield read

    async def decoded():
        return [event async for event in sse.adecode(stream())]

    assert asyncio.run(decoded()) == EVENTS


def test_the_end_of_a_stream():
    decoder = sse.Decoder(comments=True)
    assert [event.kind for event in decoder.feed(STREAM + b"data: cut")] == [
        "comment",
        "message",
        "message",
    ]
    assert (decoder.last_event_id, decoder.retry) == ("7", 30)
    last = decoder.finish()
    assert last is not None and (last.kind, last.data) == ("incomplete", "cut")
    assert decoder.finish() is None


def test_a_long_event_is_discarded_with_an_error():
    decoder = sse.Decoder(max_line=20)
    with pytest.raises(sse.LimitExceeded, match="20 bytes") as raised:
        decoder.feed(b"data: a\n\ndata: " + b"x" * 50 + b"\n\ndata: b\n\n")
    assert [event.data for event in raised.value.events] == ["a", "b"]


def test_encoding_is_the_inverse_of_decoding():
    text = sse.encode("two\nlines", event="output", id="7", retry=30) + sse.encode_comment("ping")
    [event] = [event for event in sse.decode([text])]
    assert (event.name, event.data, event.id) == ("output", "two\nlines", "7")
