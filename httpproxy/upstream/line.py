"""A lane on the event loop: its waiters' futures and the one timer for all of them.

The clock is time.monotonic and not loop.time(): uvloop's is cached per turn of the
loop, and a release stamped with an old time would give its slot back too early.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from math import isinf
from types import TracebackType
from typing import Self, TypeAlias

from httpproxy.upstream.counts import Counts
from httpproxy.upstream.errors import WaitExpired
from httpproxy.upstream.lane import Lane, Priority, Ticket
from providers.spec import Budget

Key: TypeAlias = tuple[str, ...]


class Line:
    """A lane in use, the budget that it was allotted here, and its waiters' alarm.

    While `trusted` says no, nobody is let go: what the lane holds may be another
    process's by now. `wanted` is told of everybody who has to wait.
    """

    __slots__ = (
        "_alarm", "_alarm_at", "budget", "clock", "counts", "key", "lane", "trusted", "wanted",
    )  # fmt: skip

    def __init__(
        self, key: Key, budget: Budget, lane: Lane, clock: Callable[[], float], counts: Counts
    ) -> None:
        self.key, self.budget, self.lane, self.clock = key, budget, lane, clock
        self.counts = counts
        self.trusted: Callable[[], bool] | None = None
        self.wanted: Callable[[Line], None] | None = None
        self._alarm: asyncio.TimerHandle | None = None
        self._alarm_at: float | None = None

    def __repr__(self) -> str:
        return f"Line({'/'.join(self.key)} {self.lane!r})"

    def take(self, priority: Priority) -> Permit | None:
        """A permit if one is due at once."""
        if self.trusted is not None and not self.trusted():
            return None
        if not self.lane.take(self.clock(), priority):
            return None
        self.counts.grants[priority] += 1
        return Permit(self)

    async def wait(self, priority: Priority, seconds: float) -> Permit:
        """A permit, awaited for so many seconds at most. Raises WaitExpired."""
        deadline = self.clock() + seconds
        await self._grant(priority, seconds)
        while self.trusted is not None and not self.trusted():
            # Stopped between the grant and now: by this time it may be another's.
            self.lane.withdraw()
            await self._grant(priority, deadline - self.clock())
        self.counts.grants[priority] += 1
        return Permit(self)

    def settle(self) -> None:
        """Let go all who may, and set the alarm for the next."""
        while self._deliver():
            pass

    def close(self) -> None:
        """Cancel the alarm."""
        self._set_alarm(None, 0.0)

    async def _grant(self, priority: Priority, seconds: float) -> None:
        now = self.clock()
        if self.lane.not_before(now) - now > seconds:
            raise self._expired(priority)
        loop = asyncio.get_running_loop()
        future: asyncio.Future[bool] = loop.create_future()
        ticket = self.lane.join(priority, future)
        self.counts.waits[priority] += 1
        self.settle()
        if self.wanted is not None and not future.done():
            self.wanted(self)
        expiry = None if isinf(seconds) else loop.call_later(seconds, self._give_up, ticket)
        try:
            granted = await future
        except asyncio.CancelledError:
            self._abandon(ticket)
            raise
        finally:
            self.counts.waited[priority] += self.clock() - now
            if expiry is not None:
                expiry.cancel()
        if not granted:
            raise self._expired(priority)

    def _expired(self, priority: Priority) -> WaitExpired:
        self.counts.expired[priority] += 1
        lane = self.lane
        return WaitExpired(lane.expected_wait(priority, self.clock()), lane.ahead(priority))

    def _deliver(self) -> bool:
        """One decision; True if a permit came back because its waiter is gone."""
        if self.trusted is not None and not self.trusted():
            self._set_alarm(None, 0.0)  # whoever finds that it is trusted again settles
            return False
        now = self.clock()
        granted, wake_at = self.lane.decide(now)
        refused = False
        for ticket in granted:
            future = _future(ticket)
            if future.done():  # cancelled since; its coroutine has not run yet
                self.lane.withdraw()
                refused = True
            else:
                future.set_result(True)
        self._set_alarm(None if refused else wake_at, now)
        return refused

    def _set_alarm(self, at: float | None, now: float) -> None:
        if at == self._alarm_at:
            return
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
        self._alarm_at = at
        if at is not None:
            loop = asyncio.get_running_loop()
            self._alarm = loop.call_later(max(0.0, at - now), self._ring)

    def _ring(self) -> None:
        self._alarm = self._alarm_at = None
        self.settle()

    def _give_up(self, ticket: Ticket) -> None:
        """The waiter's time is over."""
        if self.lane.leave(ticket):
            _future(ticket).set_result(False)

    def _abandon(self, ticket: Ticket) -> None:
        """Leave no trace of a waiter whose task was cancelled."""
        future = _future(ticket)
        if future.cancelled():
            self.lane.leave(ticket)
        elif future.result():  # granted, then cancelled before it could run
            self.lane.withdraw()
            self.settle()


def _future(ticket: Ticket) -> asyncio.Future[bool]:
    """What the ticket's coroutine awaits: True for a grant, False for the end of its time."""
    future = ticket.waiter
    if not isinstance(future, asyncio.Future):
        raise TypeError("a ticket of another adapter")
    return future


class Permit:
    """The right to make one call now. Give it back when the call's answer has ended.

    `release` and `withdraw` are synchronous, and idempotent: the first one counts. As
    a context manager it is released at the end of the block.
    """

    __slots__ = ("_line",)

    def __init__(self, line: Line) -> None:
        self._line: Line | None = line

    def release(self) -> None:
        """The answer has ended (or will not come)."""
        line = self._line
        if line is not None:
            self._line = None
            line.lane.release(line.clock())
            if line.lane.waiting():
                line.settle()

    def withdraw(self) -> None:
        """Nothing was sent: the next one may go at once."""
        line = self._line
        if line is not None:
            self._line = None
            line.lane.withdraw()
            if line.lane.waiting():
                line.settle()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.release()
