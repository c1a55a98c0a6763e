"""Where operations wait for their turn.

An operation is a coroutine that stops wherever the schedule is to decide what comes next:
before the API has done it, after it has, before its answer is committed. `settled` waits
until all operations have stopped or ended; meanwhile the commits of one turn run side by
side.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

PATIENCE = 30.0  # seconds: only a deadlock takes so long


class Line:
    """The stopped operations of one lane, the first to stop first."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.stopped: list[tuple[str, asyncio.Future[None]]] = []
        self.story: list[str] = []

    def tell(self, what: str) -> None:
        self.story.append(what)


class Turnstile:
    """Counts the operations that run, and wakes whoever waits for none to."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()
        self._running = 0
        self._idle = asyncio.Event()
        self.failures: list[BaseException] = []

    def start(self, operation: Coroutine[Any, Any, None]) -> None:
        """Lets an operation run up to its first stop."""
        self._running += 1
        task = asyncio.get_running_loop().create_task(self._run(operation))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _run(self, operation: Coroutine[Any, Any, None]) -> None:
        try:
            await operation
        except asyncio.CancelledError:
            raise
        except BaseException as error:  # noqa: BLE001 - told at the end of the turn
            self.failures.append(error)
        finally:
            self._left()

    async def stop(self, line: Line, where: str) -> None:
        """An operation waits here for its turn."""
        turn = asyncio.get_running_loop().create_future()
        line.stopped.append((where, turn))
        self._left()
        await turn

    def release(self, line: Line, which: int) -> str:
        """Lets one of the stopped operations go on; returns where it stood."""
        where, turn = line.stopped.pop(which)
        self._running += 1
        turn.set_result(None)
        return where

    def give_up(self, line: Line, where: str) -> None:
        """Ends the operations that have stopped at such a place, as a timeout would."""
        for place, turn in [one for one in line.stopped if one[0].startswith(where)]:
            line.stopped.remove((place, turn))
            line.tell(f"given up: {place}")
            self._running += 1
            turn.cancel()

    def _left(self) -> None:
        self._running -= 1
        if not self._running:
            self._idle.set()

    async def settled(self) -> None:
        """Returns when every operation has stopped or ended; raises what one raised."""
        async with asyncio.timeout(PATIENCE):
            while self._running:
                self._idle.clear()
                await self._idle.wait()
        if self.failures:
            raise self.failures[0]

    async def abandon(self) -> None:
        """Ends all operations where they are."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._running = 0
