"""Server-Sent Events, without a model.

>>> from polyllm import sse
>>> decoder = sse.Decoder()
>>> decoder.feed(b"data: hel")
[]
>>> decoder.feed(b"lo\\n\\n")[0].data
'hello'
"""

from __future__ import annotations

from . import _native
from ._native import encode, encode_comment

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, AsyncIterable, AsyncIterator, Iterable, Iterator, List, Optional

__all__ = ["Decoder", "Event", "LimitExceeded", "adecode", "decode", "encode", "encode_comment"]


class LimitExceeded(ValueError):
    """A line or an event was longer than its limit.

    ``events`` has the events of the same read; the decoder continues with the next one.
    """

    def __init__(self, message: str, events: List[Event]) -> None:
        super().__init__(message)
        self.events = events


class Event:
    """An item of an event stream."""

    __slots__ = ("kind", "name", "data", "id", "retry")

    def __init__(self, kind: str, name: str, data: str, id: str, retry: Optional[int]) -> None:
        #: ``message``; ``comment``, ``empty`` or ``incomplete`` for the items that need an option.
        self.kind = kind
        #: The type of the event, ``message`` by default.
        self.name = name
        #: The data; lines are joined by a line feed.
        self.data = data
        #: The last event id.
        self.id = id
        #: The reconnection time in milliseconds, if the event sets it.
        self.retry = retry

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Event) and self._fields() == other._fields()

    def __hash__(self) -> int:
        return hash(self._fields())

    def __repr__(self) -> str:
        return f"Event(kind={self.kind!r}, name={self.name!r}, data={self.data!r}, id={self.id!r})"

    def _fields(self) -> tuple[Any, ...]:
        return (self.kind, self.name, self.data, self.id, self.retry)


class Decoder:
    """Decodes a stream from reads of any size.

    ``comments`` and ``empty_events`` report comments and blocks without data, too. ``max_line`` and
    ``max_event`` are limits in bytes, 16 MiB by default.
    """

    __slots__ = ("_decoder",)

    def __init__(
        self,
        *,
        comments: bool = False,
        empty_events: bool = False,
        max_line: Optional[int] = None,
        max_event: Optional[int] = None,
    ) -> None:
        self._decoder = _native.Decoder(
            comments=comments,
            empty_events=empty_events,
            max_line=max_line,
            max_event=max_event,
        )

    def feed(self, read: bytes) -> List[Event]:
        """Decodes a read, and returns the events that it completes.

        Raises :class:`LimitExceeded` if an event was discarded.
        """
        fields, exceeded = self._decoder.feed(read)
        events = [Event(*event) for event in fields]
        if exceeded is not None:
            raise LimitExceeded(exceeded, events)
        return events

    def finish(self) -> Optional[Event]:
        """Ends the stream, and returns an incomplete last event, if there is one."""
        last = self._decoder.finish()
        return None if last is None else Event(*last)

    @property
    def last_event_id(self) -> str:
        """The last event id, for reconnecting."""
        return self._decoder.last_event_id

    @property
    def retry(self) -> Optional[int]:
        """The reconnection time in milliseconds that the server set most recently."""
        return self._decoder.retry


def decode(reads: Iterable[bytes], **options: Any) -> Iterator[Event]:
    """The events of a stream, such as ``response.iter_bytes()``."""
    decoder = Decoder(**options)
    for read in reads:
        yield from decoder.feed(read)


async def adecode(reads: AsyncIterable[bytes], **options: Any) -> AsyncIterator[Event]:
    """Like :func:`decode`, for an asynchronous stream."""
    decoder = Decoder(**options)
    async for read in reads:
        for event in decoder.feed(read):
            yield event
