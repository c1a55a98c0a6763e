"""One deadline per call, without a timer per call.

Every call has the same time, so they expire in the order in which they began. One
timer stands for the oldest; when it rings, what is due is cancelled and the timer is
set for the oldest that is left. With calls that end in time it rings once per
`timeout`, however many there are.
"""

from __future__ import annotations

import asyncio


class Deadline:
    """One call's time. `passed` is true once it has run out."""

    __slots__ = ("at", "cancelling", "passed", "task")

    def __init__(self, task: asyncio.Task[object], at: float) -> None:
        self.task, self.at, self.passed = task, at, False
        self.cancelling = task.cancelling()


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
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("a deadline needs a task to cancel")
        deadline = Deadline(task, loop.time() + self._timeout)
        self._running[deadline] = None
        if self._alarm is None:
            self._alarm = loop.call_at(deadline.at, self._ring)
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

    def _ring(self) -> None:
        self._alarm = None
        loop = asyncio.get_running_loop()
        now = loop.time()
        due = []
        for deadline in self._running:
            if deadline.at > now:
                self._alarm = loop.call_at(deadline.at, self._ring)
                break
            due.append(deadline)
        for deadline in due:
            del self._running[deadline]
            deadline.passed = True
            deadline.task.cancel()
