"""Streamed replies, for ``for`` and ``async for``."""

from __future__ import annotations

from . import _native

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType
    from typing import Any, Dict, Generic, Optional, Type, TypeVar

    Chunk = TypeVar("Chunk")

    class _Generic(Generic[Chunk]): ...

else:
    # As `typing.Generic`, whose module takes longer to import than this package.
    Chunk = None

    class _Generic:
        __slots__ = ()

        def __class_getitem__(cls, _):
            return cls


class CustomStreamWrapper(_Generic[Chunk]):
    """The chunks of a reply.

    Each chunk is returned once. Deleting the object, :meth:`close` and leaving a ``with`` block stop
    the work upstream.
    """

    __slots__ = ("_stream", "_hidden_params", "__weakref__")

    def __init__(self, stream: _native.Stream) -> None:
        self._stream = stream
        #: Facts about the call, such as the provider.
        self._hidden_params: Dict[str, Any] = stream.facts

    def __iter__(self) -> CustomStreamWrapper[Chunk]:
        return self

    def __next__(self) -> Chunk:
        chunk: Optional[Chunk] = self._stream.next()
        if chunk is None:
            raise StopIteration
        return chunk

    def __aiter__(self) -> CustomStreamWrapper[Chunk]:
        return self

    async def __anext__(self) -> Chunk:
        from . import _aio

        chunk: Optional[Chunk] = await _aio.run(self._stream.start_next)
        if chunk is None:
            raise StopAsyncIteration
        return chunk

    def close(self) -> None:
        """Stops the work upstream."""
        self._stream.close()

    async def aclose(self) -> None:
        """Like :meth:`close`."""
        self._stream.close()

    def __enter__(self) -> CustomStreamWrapper[Chunk]:
        return self

    def __exit__(
        self,
        kind: Optional[Type[BaseException]],
        error: Optional[BaseException],
        traceback: Optional[TracebackType],
    ) -> None:
        self.close()

    async def __aenter__(self) -> CustomStreamWrapper[Chunk]:
        return self

    async def __aexit__(
        self,
        kind: Optional[Type[BaseException]],
        error: Optional[BaseException],
        traceback: Optional[TracebackType],
    ) -> None:
        self.close()
