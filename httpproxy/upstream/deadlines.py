"""One deadline per call, without a timer per call.

Every call has the same time, so they expire in the order in which they began, and one
timer serves them all: it rings every second while there are calls, cancels what is due
and looks at the rest. A call of a few milliseconds costs two dictionary operations.

Looking at the rest is for one fault of aiohttp (3.14): when a later part of a chunked
answer is not valid, it closes the connection, but nobody tells the reader, who would
wait for its whole time. A body whose connection was gone at two rings in a row is
closed, and its reader wakes up with an error.
"""

from __future__ import annotations

import asyncio
from typing import Final

from aiohttp import ClientResponse

TICK: Final = 1.0  # seconds


class Deadline:
    """One call's time. `passed` is true once it has run out.

    The caller sets `answer` when an answer has begun.
    """

    __slots__ = ("answer", "at", "cancelling", "passed", "suspect", "task")

    def __init__(self, task: asyncio.Task[object], at: float) -> None:
        self.task = task
        self.at = at
        self.cancelling = task.cancelling()
        self.answer: ClientResponse | None = None
        self.passed = self.suspect = False


class Deadlines:
    """The deadlines of all calls under way.

    Use: `deadline = start()`, then in `finally` `end(deadline)`. When the time is over
    the task is cancelled; who catches the CancelledError asks `ours(deadline)` whether
    it was that and nothing else.
    """

    def __init__(self, timeout: float) -> None:
        """`timeout` in seconds, the same for all."""
        self._timeout = timeout
        self._running: dict[Deadline, None] = {}  # in the order in which they began
        self._alarm: asyncio.TimerHandle | None = None

    def start(self) -> Deadline:
        """The current task's time begins."""
        loop = asyncio.get_running_loop()
        task = asyncio.current_task(loop)
        if task is None:
            raise RuntimeError("a deadline needs a task to cancel")
        deadline = Deadline(task, loop.time() + self._timeout)
        self._running[deadline] = None
        if self._alarm is None:
            self._set_alarm(loop, deadline)
        return deadline

    def end(self, deadline: Deadline) -> None:
        """The call is over."""
        self._running.pop(deadline, None)

    @staticmethod
    def ours(deadline: Deadline) -> bool:
        """Whether the cancellation just caught is this deadline's alone; if so it is
        taken back, and the task may go on."""
        return deadline.passed and deadline.task.uncancel() <= deadline.cancelling

    def close(self) -> None:
        """Stop the timer; calls still under way have no deadline any more."""
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None

    def _set_alarm(self, loop: asyncio.AbstractEventLoop, first: Deadline) -> None:
        self._alarm = loop.call_at(min(first.at, loop.time() + TICK), self._ring)

    def _ring(self) -> None:
        self._alarm = None
        loop = asyncio.get_running_loop()
        now = loop.time()
        for deadline in [d for d in self._running if d.at <= now]:
            del self._running[deadline]
            deadline.passed = True
            deadline.task.cancel()
        for deadline in self._running:
            _look_at(deadline)
        first = next(iter(self._running), None)
        if first is not None:
            self._set_alarm(loop, first)


def _look_at(deadline: Deadline) -> None:
    answer = deadline.answer
    if answer is None or answer.connection is None or answer.content.is_eof():
        return
    transport = answer.connection.transport
    if transport is not None and not transport.is_closing():
        return
    if deadline.suspect:
        answer.close()
    deadline.suspect = True  # once may be the moment between an answer's end and its news
