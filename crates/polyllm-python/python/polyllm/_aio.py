"""Waiting for native work in an event loop of asyncio."""

from __future__ import annotations

import asyncio
import weakref

from . import _native

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Optional

#: The queue of results of each event loop.
_results: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, _native.Results] = (
    weakref.WeakKeyDictionary()
)


async def run(
    start: Callable[..., Optional[_native.Task]],
    *arguments: Any,
) -> Any:
    """Starts native work with ``start(results, future, *arguments)``, and waits for its result.

    Cancelling the caller cancels the work.
    """
    loop = asyncio.get_running_loop()
    results = _results.get(loop)
    if results is None:
        results = _results.setdefault(loop, _native.Results())
    future = loop.create_future()
    task = start(results, future, *arguments)
    try:
        return await future
    except asyncio.CancelledError:
        if task is not None:
            task.cancel()
        raise
