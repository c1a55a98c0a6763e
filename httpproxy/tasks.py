"""The service's own tasks: named, supervised, and the only place that makes any."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from types import TracebackType
from typing import Any, Final, Self

# Starts a task that has a name: `Tasks.start`, handed to those who may start one.
Spawn = Callable[[Coroutine[Any, Any, None], str], object]

ASK_AGAIN: Final = 1.0  # seconds until a task that did not end is cancelled once more


class Tasks:
    """Named tasks of the service; one that fails takes the service down with it.

    What still runs when the service is closed is cancelled: polls, and housekeeping that
    waits for its turn. Calls under way are not here; they have been finished by then.
    """

    def __init__(self) -> None:
        self._group = asyncio.TaskGroup()
        self._running: set[asyncio.Task[None]] = set()

    def start(self, work: Coroutine[Any, Any, None], name: str) -> None:
        task = self._group.create_task(work, name=name)
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def __aenter__(self) -> Self:
        await self._group.__aenter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        while self._running:
            for task in self._running:
                task.cancel()
            # Asked again: a cancellation can get lost in a connection that breaks just then.
            await asyncio.wait(self._running, timeout=ASK_AGAIN)
        await self._group.__aexit__(kind, error, traceback)
